"""The volume of a grey level is counted once."""

import math

import pytest
import torch
from torch import Tensor

from genbench.flows.base_distribution import StandardNormal
from genbench.flows.dequantization import (
    GaussianDequantization,
    UniformDequantization,
    VariationalDequantization,
)
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


def test_gaussian_noise_has_its_deviation_about_the_middle_of_the_grey_level() -> None:
    k = levels(4_000)
    torch.manual_seed(0)
    v, _ = GaussianDequantization(sigma=0.1)(k)
    off = v - k - 0.5
    # 24,000 numbers: the mean is off by 0.08, the deviation by 0.06; a false alarm in 2 million.
    assert float(off.mean()) == pytest.approx(0.0, abs=0.4)
    assert float(off.std()) == pytest.approx(12.75, abs=0.3)


@torch.no_grad()
def test_the_density_of_gaussian_noise_is_against_the_decoder_that_adds_it_again() -> None:
    """log q(v | k) - log P(k | v), P(k | v) the mass of N(v, s^2) in the bucket [k, k + 1], ends open."""
    noise, k = GaussianDequantization(sigma=0.05), torch.arange(256.0).double().reshape(256, 1, 1, 1)
    v, log_q = noise(k)
    normal = torch.distributions.Normal(v, torch.tensor(0.05 * 127.5, dtype=torch.float64))
    mass = normal.cdf(torch.where(k == 255, math.inf, k + 1)) - normal.cdf(torch.where(k == 0, -math.inf, k))
    expected = normal.log_prob(k + 0.5) - mass.log()
    assert torch.allclose(log_q, expected.flatten(), atol=1e-6)


def test_denoised_gaussian_data_are_their_posterior_mean() -> None:
    """Data N(m, d^2), noise s: E[data | v] = (d^2 v + s^2 m) / (d^2 + s^2)."""
    noise, v, m, d = GaussianDequantization(sigma=0.1), levels(3), 100.0, 20.0
    s = 0.1 * 127.5
    noised = torch.distributions.Normal(m, math.hypot(d, s))
    found = noise.clean(v, lambda at: noised.log_prob(at).flatten(1).sum(1))
    assert torch.allclose(found, (d**2 * v + s**2 * m) / (d**2 + s**2))
    assert not found.requires_grad
    assert torch.equal(GaussianDequantization(denoise=False).clean(v, lambda at: at.flatten(1).sum(1)), v)


@pytest.mark.parametrize("sigma", [0.0, 1.5, math.nan])
def test_noise_without_a_deviation_is_refused(sigma: float) -> None:
    with pytest.raises(ValueError, match=r"dequantization.sigma is .*it must be above 0 and at most 1"):
        GaussianDequantization(sigma=sigma)
