"""Densities by an ODE against exact ones, where the velocity of the data is exact."""

import math

import pytest
from torch import Tensor

from genbench.diffusion import density, flow_matching
from genbench.diffusion.density import ProbabilityFlow
from genbench.diffusion.divergence import Divergence, carried
from genbench.diffusion.flow_matching import FlowMatching, Independent, Uniform
from genbench.diffusion.guidance import Unguided
from genbench.diffusion.ode import Euler
from genbench.diffusion.schedule import EDM, Cosine, Linear, Schedule
from tests.diffusion.laws import Mixture, counted_reads, normal_quantiles
from tests.diffusion.test_flow_matching import Exact

MEAN = 0.2
STDS = [1.0, 0.3, 0.1, 0.05, 0.02, 0.01, 0.0023]  # down to a flat pixel under uniform dequantization
CONVERGED = 0.005


@pytest.fixture(autouse=True)
def _continuous(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data that are no bytes: no noise is added, no volume counted."""
    for module in (flow_matching, density):
        monkeypatch.setattr(module, "dequantized", lambda x: (x, 1.0))


def bits(nats: Tensor) -> float:
    return float(nats.double().mean()) / math.log(2)


def data(std: float) -> tuple[Tensor, Tensor]:
    """Pixels of N(MEAN, std^2), (64, 1, 1, 1), and log N of each, (64,)."""
    z = normal_quantiles(64)
    return MEAN + std * z, -(z.flatten().square() + math.log(2 * math.pi)) / 2 - math.log(std)


def straight() -> FlowMatching:
    """With as many steps as by default."""
    return FlowMatching(coupling=Independent(), times=Uniform(), solver=Euler(1), guidance=Unguided())


@pytest.mark.parametrize("std", STDS)
def test_flow_matching_finds_the_density_of_gaussian_data(std: float) -> None:
    """Within 0.01 bits; 25 equal steps of Heun's method were off by -0.66 at 0.01, +0.04 at 0.05."""
    x, truth = data(std)
    process, network = straight(), Exact(MEAN, std)
    found = bits(process.log_prob(network, x, None) - truth)
    assert abs(found) < 0.01
    refined = bits(process.refined_log_prob(network, x, None) - truth)
    assert abs(refined) < max(abs(found) / 4, 2e-4)  # order 4; float32 networks


@pytest.mark.parametrize("std", STDS)
@pytest.mark.parametrize("schedule", [EDM(1000, sigma_min=2e-4), Cosine(1000), Linear(1000)])
def test_the_probability_flow_finds_the_density_of_data_as_noisy_as_step_1(
    schedule: Schedule, std: float
) -> None:
    """Of the data themselves where that step is finer than they are, as here in the first schedule."""
    first = float(((1 - schedule.table[1]) / schedule.table[1]).sqrt())
    x, truth = data(math.hypot(std, first))
    denoise = Mixture([1.0], [MEAN], [std]).denoiser(schedule)
    method = ProbabilityFlow()
    errors = [bits(of.log_prob(denoise, schedule, x) - truth) for of in (method, method.refined())]
    assert abs(errors[0]) < 0.01
    assert abs(errors[1]) < abs(errors[0]) + 1e-4


@pytest.mark.parametrize("std", [0.3, 0.02])
def test_the_change_at_twice_the_steps_is_the_error_that_is_left(std: float) -> None:
    """So that it may be said beside the number: of few steps it is near their true error."""
    x, truth = data(std)
    field = Divergence(lambda x, t: Exact(MEAN, std)(x, t.expand(len(x))), x)

    def found(steps: int) -> float:
        noise, volume = carried(field, x, steps=steps)
        return bits(-volume - (noise.flatten().square() + math.log(2 * math.pi)) / 2 - truth)

    coarse, fine = found(4), found(8)
    assert abs(fine - coarse) == pytest.approx(abs(coarse), rel=0.3)
    assert abs(found(32) - found(16)) < CONVERGED


def test_a_density_reads_nothing_back_from_the_device_in_a_step() -> None:
    x, _ = data(0.1)
    counts = []
    for steps in (5, 20):
        process = straight()
        process.density_steps = steps
        with counted_reads() as reads:
            process.log_prob(Exact(MEAN, 0.1), x, None)
        assert reads == []
        denoise = Mixture([1.0], [MEAN], [0.1]).denoiser(Cosine(1000))
        with counted_reads() as reads:
            ProbabilityFlow(steps).log_prob(denoise, Cosine(1000), x)
        counts.append(len(reads))
    assert counts[0] == counts[1] <= 8
