"""The volume of a grey level is counted once."""

import math

import pytest
import torch
from torch import Tensor

from genbench.flows.base_distribution import StandardNormal
from genbench.flows.dequantization import UniformDequantization, VariationalDequantization
from genbench.nn.coupling import ConvNets
from tests.flows.laws import shaken

SHAPE = (1, 2, 3)


def levels(n: int) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, *SHAPE), generator=rng).double()


def learned() -> VariationalDequantization:
    """A q(u | k) that is far from uniform."""
    torch.manual_seed(0)
    return shaken(VariationalDequantization(SHAPE, networks=ConvNets(2, width=8), steps=3), 0.1)  # type: ignore[return-value]


@pytest.mark.parametrize("kind", ["uniform", "variational"])
def test_noise_stays_within_its_grey_level(kind: str) -> None:
    k, y = levels(500), torch.zeros(500, dtype=torch.int64)
    v, log_q = UniformDequantization()(k) if kind == "uniform" else learned()(k, y)
    assert bool(((v >= k) & (v < k + 1)).all())
    assert log_q.shape == (500,)


def test_uniform_noise_has_density_one() -> None:
    assert torch.equal(UniformDequantization()(levels(3))[1], torch.zeros(3, dtype=torch.float64))


def test_the_learned_density_is_that_of_its_draws() -> None:
    """log q(u) = log N(eps) - log |det du/deps|, the determinant by autograd."""
    q, k, y, eps = learned(), levels(1), torch.ones(1, dtype=torch.int64), levels(1) / 100 - 1
    jacobian = torch.autograd.functional.jacobian(lambda e: q.noise(e, k, y)[0], eps).reshape(6, 6)
    expected = StandardNormal().log_prob(eps) - torch.linalg.slogdet(jacobian).logabsdet
    assert torch.allclose(q.noise(eps, k, y)[1], expected, atol=1e-10)


@torch.no_grad()
def test_learned_noise_gives_a_lower_bound() -> None:
    """Under a uniform p(v) E[log p(v) - log q] falls short of the truth by KL(q || 1)."""
    k = levels(1).expand(5_000, *SHAPE)
    _, log_q = learned()(k, torch.ones(5_000, dtype=torch.int64))
    error = float(log_q.std()) / math.sqrt(len(log_q))
    assert float(log_q.mean()) > 5 * error  # a false alarm in 2 million


def test_the_learned_noise_depends_on_image_and_label() -> None:
    noise, k = learned(), levels(1)
    draws = []
    for image, label in ((k, 0), (k, 1), (255 - k, 0)):
        torch.manual_seed(0)
        draws.append(noise(image, torch.tensor([label]))[0] - image)
    assert not torch.allclose(draws[0], draws[1])
    assert not torch.allclose(draws[0], draws[2])


def test_steps_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match=r"dequantization.steps is 0"):
        VariationalDequantization(SHAPE, networks=ConvNets(width=4), steps=0)
