"""Solvers in fixed steps: their times, the variance that they leave, and that no step waits for a device."""

from collections.abc import Callable

import pytest
import torch
from hydra.utils import instantiate
from torch import Tensor

from genbench.data import Gaussians
from genbench.diffusion.ode import Adaptive, Euler, FixedSteps, Heun, Midpoint, Solver
from genbench.metrics import bits_per_dim
from tests.diffusion.laws import counted_reads, normal_quantiles
from tests.test_contract import config

MEAN, STD = 0.2, 0.15


def shipped(name: str) -> FixedSteps:
    """A solver as its YAML describes it."""
    return instantiate(config("model=flow_matching", f"solver={name}").solver)


def velocity(x: Tensor, t: Tensor) -> Tensor:
    """The exact one from N(0, 1) to N(MEAN, STD^2)."""
    slope = ((1 - t) * STD**2 - t) / ((1 - t) ** 2 * STD**2 + t**2)
    return MEAN + slope * (x - (1 - t) * MEAN)


def spread(solver: Solver) -> float:
    """The standard deviation of samples over that of the data, minus 1; the flow of a normal is linear."""
    *_, x = solver.walk(velocity, normal_quantiles(101))
    return float(x.std(correction=0)) / STD - 1


@pytest.mark.parametrize("rho", [1.0, 2.0, 3.5])
@pytest.mark.parametrize("start", [1.0, 0.5, 0.01])
def test_times_are_a_power_of_equal_steps_from_start_to_zero(rho: float, start: float) -> None:
    times = Euler(20, rho=rho).times(start)
    assert float(times[0]) == pytest.approx(start, rel=1e-12)
    assert float(times[-1]) == 0
    roots = times ** (1 / rho)
    assert torch.allclose(roots.diff(), -roots[0] / (len(times) - 1), rtol=1e-9)
    assert len(times) - 1 == max(round(20 * start ** (1 / rho)), 1)


def test_a_recorded_solver_without_rho_takes_the_equal_steps_it_took() -> None:
    assert torch.allclose(Heun(25).times(), torch.linspace(1, 0, 26, dtype=torch.float64), atol=1e-15)


@pytest.mark.parametrize("name", ["midpoint", "heun"])
def test_shipped_solvers_of_second_order_keep_the_datas_deviation_in_50_passes(name: str) -> None:
    """Within 1 %; in equal steps Heun's method loses 2.8 %."""
    solver = shipped(name)
    assert solver.steps == 25
    assert abs(spread(solver)) < 0.01
    # The last step begins where a seventh of the narrowest of the data's deviations is left.
    assert float(solver.times()[-2]) < STD / 7


def test_the_pairs_that_reflow_learns_from_keep_the_datas_deviation() -> None:
    """Within 2 % in ten passes; five equal steps of Heun's method lost 46 %."""
    assert abs(spread(instantiate(config("model=flow_matching", "pairing=reflow").pairing.solver))) < 0.02


def test_the_default_solver_of_flow_matching_is_the_best_of_those_at_its_cost() -> None:
    chosen = instantiate(config("model=flow_matching").solver)
    prior = instantiate(config("model=latent_diffusion", "prior=flow_matching").solver)
    assert type(chosen) is type(prior) is Midpoint
    errors = {name: abs(spread(shipped(name))) for name in ("euler", "heun", "midpoint")}
    assert min(errors, key=errors.get) == "midpoint"  # 0.01 %, against 0.5 % and 3.5 %


def test_shorter_steps_near_the_data_keep_variance_that_equal_ones_lose() -> None:
    for make, n in ((Euler, 50), (Heun, 25)):
        assert abs(spread(make(n, rho=2.0))) < abs(spread(make(n))) - 0.02


def test_the_exact_velocity_of_the_gaussians_gives_samples_as_likely_as_the_data() -> None:
    """law_bits: 4.96 in the equal steps of Heun's method, 5.15 of the law itself."""
    law, spread = Gaussians().distribution, 8 / 127.5
    means, weights = law.means / 127.5 - 1, law.weights.log()

    def mixture(x: Tensor, t: Tensor) -> Tensor:
        variance = (1 - t) ** 2 * spread**2 + t**2
        near = (
            torch.softmax(weights - torch.cdist(x, (1 - t) * means).square() / (2 * variance), dim=1) @ means
        )
        x0 = near + (1 - t) * spread**2 / variance * (x - (1 - t) * near)
        return (x0 - x) / t

    rng = torch.Generator().manual_seed(0)
    *_, x = shipped("midpoint").walk(mixture, torch.randn(512, 64, generator=rng, dtype=torch.float64))
    images = ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    found, truth = (
        bits_per_dim(float(law.log_prob(u).mean()), 64) for u in (images, law.draw(512, rng).images)
    )
    # Each mean has a standard error of 0.006, sqrt(64 / 2) nats an image; five of their difference
    assert found == pytest.approx(truth, abs=0.04)


@pytest.mark.parametrize("make", [Euler, Midpoint, Heun])
def test_no_step_waits_for_the_device(make: Callable[[int], FixedSteps]) -> None:
    with counted_reads() as reads:
        list(make(20).walk(velocity, torch.zeros(2, 1, 1, 1)))
    assert reads == []
    with counted_reads() as reads:  # the count counts
        list(Adaptive().walk(velocity, torch.zeros(2, 1, 1, 1)))
    assert len(reads) > 3


@pytest.mark.parametrize("rho", [0.0, -1.0, float("inf"), float("nan")])
def test_a_rho_that_means_nothing_is_refused(rho: float) -> None:
    with pytest.raises(ValueError, match=r"solver.rho is .* it must be above 0: 1 for equal steps"):
        Heun(5, rho=rho)
