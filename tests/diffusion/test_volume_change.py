"""Densities by an ODE against exact ones, where the velocity of the data is exact."""

import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from genbench.diffusion import density, flow_matching
from genbench.diffusion.density import ProbabilityFlow
from genbench.diffusion.flow_matching import FlowMatching
from genbench.diffusion.guidance import Unguided
from genbench.diffusion.ode import Euler
from genbench.diffusion.pairing import Independent
from genbench.diffusion.path_times import StratifiedPathTimes
from genbench.diffusion.sampler import Denoised, Denoiser
from genbench.diffusion.schedule import CosineSchedule, EDMSchedule, LinearSchedule, Schedule
from genbench.diffusion.variance_exploding import VarianceExplodingSchedule
from genbench.diffusion.volume_change import Divergence, flow_to_noise
from tests.diffusion.laws import Mixture, counted, counted_reads, normal_quantiles
from tests.diffusion.test_flow_matching import Exact

MEAN = 0.2
STDS = [1.0, 0.3, 0.1, 0.05, 0.02, 0.01, 0.0023]  # down to a flat pixel under uniform dequantization
CONVERGED = 0.005


@pytest.fixture(autouse=True)
def _continuous(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data that are no bytes: no noise is added, no volume counted, no bucket decoded."""
    monkeypatch.setattr(flow_matching, "dequantized", lambda x: (x, 1.0))
    monkeypatch.setattr(density, "step_nats", decoded)


def bits(nats: Tensor) -> float:
    return float(nats.double().mean()) / math.log(2)


def data(std: float, n: int = 64) -> tuple[Tensor, Tensor]:
    """Pixels of N(MEAN, std^2), (n, 1, 1, 1), and log N of each, (n,)."""
    z = normal_quantiles(n)
    return MEAN + std * z, -(z.flatten().square() + math.log(2 * math.pi)) / 2 - math.log(std)


def decoded(
    x0: Tensor, xt: Tensor, x0_hat: Tensor, variance: "OfGaussian", t: Tensor, schedule: Schedule
) -> Tensor:
    """-log N(x0; x0_hat, Var[x0 | xt]), pixels of one dimension: (B,)."""
    at = schedule.level(t)
    noise = (at.sigma / at.alpha).double().square()
    var = noise * variance.std**2 / (noise + variance.std**2)
    return ((x0 - x0_hat).double().square() / var + (2 * math.pi * var).log()).flatten() / 2


class OfGaussian(NamedTuple):
    """Return the facts that the decoder needs of data of N(MEAN, std^2)."""

    std: float


def exact(schedule: Schedule, std: float) -> Denoiser:
    denoise = Mixture([1.0], [MEAN], [std]).denoiser(schedule)
    return lambda xt, t: Denoised(denoise(xt, t).x0, OfGaussian(std))


def straight() -> FlowMatching:
    """With as many steps as by default."""
    return FlowMatching(
        coupling=Independent(), times=StratifiedPathTimes(), solver=Euler(1), guidance=Unguided()
    )


@pytest.mark.parametrize("std", STDS)
def test_flow_matching_finds_the_density_of_gaussian_data(std: float) -> None:
    """Converged; t = u^4 was off by 0.0064 at 0.0023, 25 equal steps of Heun's method by -0.66 at 0.01."""
    x, truth = data(std)
    process, network = straight(), Exact(MEAN, std)
    found = bits(process.log_prob(network, x, None) - truth)
    assert abs(found) < 0.0025
    refined = bits(process.refined_log_prob(network, x, None) - truth)
    assert abs(refined) < max(abs(found) / 4, 2e-4)  # order 4; float32 networks


def flow_errors(schedule: Schedule, std: float) -> tuple[float, float]:
    """Of log p(x) in bits by the probability flow at its defaults: the true one, and the one it states."""
    x, truth = data(std, 4000)  # their noise of step 1 is drawn
    method, found = ProbabilityFlow(), []
    for log_prob in (method.log_prob, method.refined_log_prob):
        torch.manual_seed(0)
        found.append(bits(log_prob(exact(schedule, std), schedule, x) - truth))
    return found[0], found[0] - found[1]


@pytest.mark.parametrize("std", STDS)
@pytest.mark.parametrize(
    "schedule",
    [EDMSchedule(1000), CosineSchedule(1000), LinearSchedule(1000), VarianceExplodingSchedule(1000)],
)
def test_the_probability_flow_finds_the_density_of_gaussian_data(schedule: Schedule, std: float) -> None:
    """Though they be narrower than the noise of step 1; without a decoder it was off by -0.9 at 0.0023.

    What it states leaves out 0.0022, where data are as narrow as that noise.
    """
    true, stated = flow_errors(schedule, std)
    assert abs(true) < 0.01
    assert abs(true - stated) < 0.0025


@pytest.mark.parametrize("std", [0.3, 0.05, 0.02, 0.0023])
@pytest.mark.parametrize("schedule", [CosineSchedule(64), LinearSchedule(100)])
def test_the_probability_flow_states_the_error_of_grids_too_coarse_for_twice_the_steps(
    schedule: Schedule, std: float
) -> None:
    true, stated = flow_errors(schedule, std)
    assert abs(true) < 0.035
    assert abs(true) < 0.01 or abs(stated) > CONVERGED
    assert abs(true - stated) < 0.016  # half of the largest


@pytest.mark.parametrize(("T", "steps"), [(1000, 64), (64, 62)])
def test_the_probability_flow_says_the_steps_that_it_takes(T: int, steps: int) -> None:
    schedule, asked = CosineSchedule(T), []
    x, _ = data(0.1)
    method = ProbabilityFlow()
    method.log_prob(counted(exact(schedule, 0.1), asked), schedule, x)
    assert len(asked) == 1 + 2 * steps
    assert method.method(schedule) == f"ode, {steps} log-snr steps and decoder"


@pytest.mark.parametrize("std", [0.3, 0.02])
def test_the_change_at_twice_the_steps_is_the_error_that_is_left(std: float) -> None:
    """So that it may be said beside the number: of few steps it is near their true error."""
    x, truth = data(std)
    field = Divergence(lambda x, t: Exact(MEAN, std)(x, t.expand(len(x))), x)

    def found(steps: int) -> float:
        noise, volume = flow_to_noise(field, x, steps=steps)
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
        denoise = exact(CosineSchedule(1000), 0.1)
        with counted_reads() as reads:
            ProbabilityFlow(steps).log_prob(denoise, CosineSchedule(1000), x)
        counts.append(len(reads))
    assert counts[0] == counts[1] <= 8
