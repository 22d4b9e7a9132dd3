"""The laws of latents, held to torch's and scipy's."""

import pytest
import torch
from scipy import stats

from genbench.flows.base import Base, Normal, Student

CPU = torch.device("cpu")
MEMBERS = [(Normal(), stats.norm()), (Student(1), stats.t(1)), (Student(10), stats.t(10))]
EACH = pytest.mark.parametrize(("base", "law"), MEMBERS, ids=["normal", "cauchy", "student10"])


@EACH
def test_the_density_is_that_of_scipy_far_into_the_tails(base: Base, law: stats.rv_continuous) -> None:
    z = torch.tensor([[-1e3, -5.0, -1.0], [0.0, 0.3, 40.0]], dtype=torch.float64)
    assert torch.allclose(base.log_prob(z), torch.from_numpy(law.logpdf(z.numpy()).sum(1)), rtol=1e-12)


@EACH
def test_draws_follow_the_law_and_their_generator(base: Base, law: stats.rv_continuous) -> None:
    draws = [base.sample((100, 200), rng=torch.Generator().manual_seed(0), device=CPU) for _ in range(2)]
    assert torch.equal(*draws)
    # n = 20,000, one fixed seed: a true law fails with probability 1e-6.
    assert stats.kstest(draws[0].flatten().numpy(), law.cdf).pvalue > 1e-6


def test_a_law_without_degrees_is_refused() -> None:
    with pytest.raises(ValueError, match=r"base.degrees is 0"):
        Student(0)
