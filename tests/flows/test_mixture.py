"""Couplings by mixtures: scipy's distribution function, inverses, and tails."""

import math

import pytest
import torch
from scipy import optimize, stats
from torch import Tensor

from genbench.flows.coupling import Channels, Checkerboard, CouplingLayer
from genbench.flows.mixture import Logistics, MixtureCdf
from genbench.flows.transform import Transform
from genbench.nn.coupling import ConvNets
from tests.flows.laws import jacobian_log_det, noise, shaken

NETS = ConvNets(3, width=4)
SHAPE = (4, 2, 4)
COUPLINGS = {
    "channels": lambda: CouplingLayer(Channels(SHAPE), MixtureCdf(3), NETS),
    "checkerboard": lambda: CouplingLayer(Checkerboard(SHAPE), MixtureCdf(3), NETS),
    "one component": lambda: CouplingLayer(Channels(SHAPE), MixtureCdf(1), NETS),
}
PI, MU, S = (0.2, 0.5, 0.3), (-3.0, 0.5, 4.0), (0.3, 1.0, 0.1)


def mixture() -> Logistics:
    numbers = [torch.tensor(row, dtype=torch.float64).reshape(1, 3, 1, 1, 1) for row in (PI, MU, S)]
    return Logistics(numbers[0].log(), numbers[1], numbers[2].log())


def cdf(x: float) -> float:
    return sum(p * stats.logistic.cdf(x, m, s) for p, m, s in zip(PI, MU, S, strict=True))


def pdf(x: float) -> float:
    return sum(p * stats.logistic.pdf(x, m, s) for p, m, s in zip(PI, MU, S, strict=True))


def test_the_distribution_function_and_its_slope_are_those_of_scipy() -> None:
    x = torch.linspace(-6, 6, 41, dtype=torch.float64)
    h, log_slope = mixture().logit_cdf(x.reshape(1, 1, 1, -1))
    share = torch.tensor([cdf(value) for value in x.tolist()], dtype=torch.float64)
    density = torch.tensor([pdf(value) for value in x.tolist()], dtype=torch.float64)
    assert torch.allclose(h.flatten(), share.logit(), atol=1e-9)  # float64
    assert torch.allclose(log_slope.flatten(), (density / share / (1 - share)).log(), atol=1e-9)


def test_quantiles_are_those_that_scipy_searches() -> None:
    shares = [0.001, 0.15, 0.2, 0.6, 0.7, 0.95]
    expected = [optimize.brentq(lambda x, p=p: cdf(x) - p, -20, 20, xtol=1e-12) for p in shares]
    found = mixture().quantile(torch.tensor(shares, dtype=torch.float64).logit().reshape(1, 1, 1, -1))
    assert found.flatten().tolist() == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("name", COUPLINGS)
def test_the_inverse_brings_back_what_went_in(name: str) -> None:
    coupling, x, y = shaken(COUPLINGS[name]()), 3 * noise(5, *SHAPE), torch.arange(5) % 3
    assert torch.allclose(coupling.inverse(coupling(x, y)[0], y), x, atol=1e-9)  # float64


@pytest.mark.parametrize("name", COUPLINGS)
def test_log_det_is_that_of_the_jacobian(name: str) -> None:
    coupling, x, y = shaken(COUPLINGS[name]()), noise(2, *SHAPE), torch.arange(2)
    assert torch.allclose(coupling(x, y)[1], jacobian_log_det(coupling, x, y), atol=1e-6)


def test_far_out_the_map_is_a_straight_line_and_the_inverse_stays_exact_in_float32() -> None:
    """In tails that the distribution function itself has long rounded to 0 or 1."""
    function, x = MixtureCdf(3), torch.tensor([-1e4, -1e3, 1e3, 1e4]).reshape(1, 1, 1, 4)
    raw = noise(1, function.parameters, 1, 1).float().expand(-1, -1, 1, 4)
    z, log_det = function.forward(x, raw)
    assert bool(log_det.isfinite().all())
    assert float(z[..., 3] / z[..., 2]) == pytest.approx(10, rel=0.05)  # but for what lies near 0
    assert torch.allclose(function.inverse(z, raw), x, rtol=1e-5)


def test_bf16_reaches_the_network_alone() -> None:
    coupling: Transform = shaken(CouplingLayer(Channels(SHAPE), MixtureCdf(4), NETS)).float()
    x, y = noise(4, *SHAPE).float(), torch.zeros(4, dtype=torch.int64)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        z, log_det = coupling(x, y)
        back = coupling.inverse(z, y)
    assert z.dtype == log_det.dtype == back.dtype == torch.float32
    assert torch.allclose(back, x, atol=1e-4)  # the network answers alike both ways


def test_where_the_network_answers_zero_the_number_zero_is_unchanged_with_slope_one() -> None:
    """So that the fixed squares of a checkerboard change no volume."""
    function = MixtureCdf(4)
    z, log_det = function.forward(torch.zeros(1, 2, 3, 3), torch.zeros(1, 2 * function.parameters, 3, 3))
    assert torch.allclose(z, torch.zeros_like(z), atol=1e-6)
    assert float(log_det) == pytest.approx(0, abs=1e-5)


def test_one_component_is_an_affine_map() -> None:
    """logit sigmoid((x - mu) / s) = (x - mu) / s."""
    function, x = MixtureCdf(1, bound=2.0, component_bound=4.0), noise(1, 1, 3, 3)
    raw = noise(1, function.parameters, 1, 1)
    _, mu, u, v, t = raw.flatten().tolist()  # no choice of one component; then as `parts` and `Affine` read
    s, log_scale = 4 * math.tanh(u / 4), 2 * math.tanh(v / 2)
    expected: Tensor = ((x - mu) * math.exp(-s) + t) * math.exp(log_scale)
    assert torch.allclose(function.forward(x, raw.expand(-1, -1, 3, 3))[0], expected, atol=1e-10)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"components": 0}, "coupling.components is 0"),
        ({"component_bound": 0.0}, "coupling.component_bound is 0"),
        ({"spread": -1.0}, "coupling.spread is -1"),
        ({"bound": 0.0}, "coupling.bound is 0"),
    ],
    ids=str,
)
def test_values_that_cannot_be_are_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MixtureCdf(**wrong)  # type: ignore[arg-type]
