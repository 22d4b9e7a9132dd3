"""The distributions of latents, compared with scipy's."""

import pytest
import torch
from scipy import stats

from genbench.flows.base_distribution import Base, StandardNormal, StudentT

CPU = torch.device("cpu")
MEMBERS = [(StandardNormal(), stats.norm()), (StudentT(1), stats.t(1)), (StudentT(10), stats.t(10))]
EACH = pytest.mark.parametrize(("base", "expected"), MEMBERS, ids=["normal", "cauchy", "student10"])


@EACH
def test_the_density_is_that_of_scipy_far_into_the_tails(base: Base, expected: stats.rv_continuous) -> None:
    z = torch.tensor([[-1e3, -5.0, -1.0], [0.0, 0.3, 40.0]], dtype=torch.float64)
    assert torch.allclose(base.log_prob(z), torch.from_numpy(expected.logpdf(z.numpy()).sum(1)), rtol=1e-12)


@EACH
def test_draws_follow_their_distribution_and_their_generator(
    base: Base, expected: stats.rv_continuous
) -> None:
    draws = [base.sample((100, 200), rng=torch.Generator().manual_seed(0), device=CPU) for _ in range(2)]
    assert torch.equal(*draws)
    # n = 20,000, one fixed seed: true draws fail with probability 1e-6.
    assert stats.kstest(draws[0].flatten().numpy(), expected.cdf).pvalue > 1e-6


def test_a_distribution_without_degrees_is_refused() -> None:
    with pytest.raises(ValueError, match=r"base.degrees is 0"):
        StudentT(0)
