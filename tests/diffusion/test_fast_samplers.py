"""Fast samplers: the law of the data, their orders, and agreement with other implementations."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate
from torch import Tensor

from genbench.diffusion.fast_samplers import DPMSolver, DPMSolverSDE, HeunSampler, UniPC, mean_over_step
from genbench.diffusion.sampler import DDIM, Ancestral, Denoised, Sampler
from genbench.diffusion.schedule import (
    CosineSchedule,
    FixedSchedule,
    LinearSchedule,
    Schedule,
    ZeroTerminalSchedule,
)
from genbench.diffusion.spacing import Karras, LogSNR, Spacing, UniformSpacing
from tests.diffusion.laws import (
    GAUSSIAN,
    TWO_HUMPS,
    EvenLogSNR,
    Mixture,
    check_law,
    counted,
    counted_reads,
    flow_error,
    given,
    noise,
    orders,
    samples,
)

FAST = [DPMSolver, DPMSolverSDE, HeunSampler, UniPC]


@pytest.mark.parametrize(
    ("schedule", "law"), [(LinearSchedule(1000), GAUSSIAN), (CosineSchedule(1000), TWO_HUMPS)]
)
@pytest.mark.parametrize(
    "sampler",
    [
        DPMSolver(40, clip_x0=False),
        DPMSolver(60, clip_x0=False, spacing=Karras()),
        DPMSolverSDE(100, clip_x0=False),
        HeunSampler(40, clip_x0=False),
        HeunSampler(40, clip_x0=False, spacing=LogSNR()),
        UniPC(30, clip_x0=False),
        UniPC(30, order=3, clip_x0=False),
    ],
    ids=lambda s: f"{type(s).__name__}-{s.steps}-{type(s.spacing).__name__}",
)
def test_the_exact_denoiser_returns_the_law_of_the_data(
    sampler: Sampler, schedule: Schedule, law: Mixture
) -> None:
    # So many steps that the discretisation stays under the five standard errors of 10,000 samples.
    check_law(samples(sampler, schedule, law, n=10_000), law)


@pytest.mark.parametrize(
    ("make", "low", "high"),
    [
        (lambda n, s: DDIM(n, clip_x0=False, spacing=s), 0.9, 1.1),
        (lambda n, s: DPMSolver(n, clip_x0=False, spacing=s), 1.9, 2.2),
        (lambda n, s: HeunSampler(n, clip_x0=False, spacing=s), 1.9, 2.2),
        # The corrector adds one order to the predictor's.
        (lambda n, s: UniPC(n, order=2, clip_x0=False, spacing=s), 2.9, 3.2),
        # Between three and four: its first two steps have fewer estimates.
        (lambda n, s: UniPC(n, order=3, clip_x0=False, spacing=s), 2.9, 4.2),
    ],
    ids=["DDIM", "DPMSolver", "Heun", "UniPC-2", "UniPC-3"],
)
@pytest.mark.parametrize("law", [GAUSSIAN, TWO_HUMPS], ids=["gaussian", "two humps"])
def test_the_error_falls_with_the_order_of_the_solver(
    law: Mixture, make: Callable[[int, Spacing], Sampler], low: float, high: float
) -> None:
    """Steps even in lambda from -9 to 9; the one from there to 0 adds sigma^2 = 1.5e-8."""
    schedule, spacing = EvenLogSNR(2**10 * 3 + 1, ends=9.0), LogSNR(sigma_max=1e6)
    errors = [flow_error(make(n + 1, spacing), schedule, law) for n in (64, 128, 256)]
    assert all(low < order < high for order in orders(errors)), errors


@pytest.mark.parametrize("h", [0.05, 1.0, 6.0])
@pytest.mark.parametrize("nodes", [[-0.7, 1.0], [-2.0, -0.9], [-2.1, -1.0, 1.0]])
def test_the_mean_over_a_step_is_exact_for_polynomials(nodes: list[float], h: float) -> None:
    p = np.polynomial.Polynomial([0.3, -1.2, 0.7, 0.4][: len(nodes) + 1])
    value = mean_over_step(torch.tensor(p(0.0)), [(u, torch.tensor(p(u))) for u in nodes], h)
    above = integrate.quad(lambda u: np.exp(h * u) * p(u), 0, 1)[0]
    below = integrate.quad(lambda u: np.exp(h * u), 0, 1)[0]
    # The moments cancel by h^-3, which is 1e4 of float64's 1e-16 at the smallest h.
    assert float(value) == pytest.approx(above / below, rel=1e-9)


def bent(xt: Tensor, t: Tensor) -> Denoised:
    """Some denoiser that is linear neither in xt nor in t."""
    return given(torch.tanh(xt - t.to(xt.dtype)[:, None, None, None] ** 2) + 0.3 * torch.cos(2 * xt))


def theirs(scheduler: Any, x: Tensor, rng: torch.Generator | None) -> Iterator[Tensor]:
    """The states of a scheduler that is told x0; its steps count from 0."""
    for step in scheduler.timesteps.tolist():
        x0 = bent(x, torch.full((len(x),), (step + 1) / 1000, dtype=torch.float64)).x0
        options = {} if rng is None else {"generator": rng}
        x = scheduler.step(x0, step, x, **options).prev_sample
        yield x


@pytest.mark.parametrize("steps", [2, 10, 20])
@pytest.mark.parametrize(
    ("make", "name", "options"),
    [
        (DPMSolver, "DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
        (DPMSolverSDE, "DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
        (UniPC, "UniPCMultistepScheduler", {"solver_order": 2}),
        (lambda n, **more: UniPC(n, order=3, **more), "UniPCMultistepScheduler", {"solver_order": 3}),
    ],
    ids=["DPMSolver", "DPMSolverSDE", "UniPC-2", "UniPC-3"],
)
def test_states_equal_those_of_diffusers(
    make: Callable[..., Sampler], name: str, options: dict[str, object], steps: int
) -> None:
    diffusers = pytest.importorskip("diffusers")
    scheduler = getattr(diffusers, name)(
        1000, beta_schedule="linear", prediction_type="sample", timestep_spacing="trailing", **options
    )
    scheduler.set_timesteps(steps)
    first, second = (torch.Generator().manual_seed(1) for _ in range(2))
    x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    sampler = make(steps, clip_x0=False, spacing=UniformSpacing())
    ours = list(sampler.path(bent, LinearSchedule(1000), x, first))
    expected = list(theirs(scheduler, x, second if make is DPMSolverSDE else None))
    # Their UniPC corrects a state in the step after it: of its states only the last compares.
    shown = slice(-1, None) if isinstance(sampler, UniPC) else slice(None)
    for a, b in zip(ours[shown], expected[shown], strict=True):
        assert torch.allclose(a, b, atol=1e-4)  # float32 tables there


def test_heun_equals_that_of_diffusers() -> None:
    """Theirs keeps y = x / alpha and gives a state a pass; every second one is a state of ours."""
    diffusers = pytest.importorskip("diffusers")
    scheduler = diffusers.HeunDiscreteScheduler(
        1000, beta_start=1e-4, beta_end=0.02, beta_schedule="linear", timestep_spacing="trailing"
    )
    scheduler.set_timesteps(10)
    x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y, states = x * (scheduler.sigmas[0] ** 2 + 1) ** 0.5, []
    for k, (step, sigma) in enumerate(zip(scheduler.timesteps, scheduler.sigmas, strict=False)):
        seen = scheduler.scale_model_input(y, step)
        at = torch.full((len(x),), float(step + 1) / 1000, dtype=torch.float64)
        sigma = scheduler.sigmas[k + 1] if k % 2 else sigma
        y = scheduler.step((y - bent(seen, at).x0) / sigma, step, y).prev_sample
        states.append(y / (scheduler.sigmas[k + 1] ** 2 + 1) ** 0.5)
    ours = HeunSampler(10, clip_x0=False, spacing=UniformSpacing()).path(bent, LinearSchedule(1000), x, None)
    for a, b in zip(ours, states[1::2] + states[-1:], strict=True):
        assert torch.allclose(a, b, atol=1e-4)  # a float32 table there


@pytest.mark.parametrize(
    ("sampler", "schedule", "passes"),
    [
        (DPMSolver(20), CosineSchedule(1000), 20),
        (DPMSolverSDE(20), CosineSchedule(1000), 20),
        (UniPC(20), CosineSchedule(1000), 20),
        (UniPC(20, order=3), CosineSchedule(1000), 20),
        (HeunSampler(20), LinearSchedule(1000), 39),
        # The first step, from sigma = 20,000 alpha down to 80 alpha, or from alpha = 0, has no second pass.
        (HeunSampler(20), CosineSchedule(1000), 38),
        (HeunSampler(20), ZeroTerminalSchedule(1000), 38),
        (HeunSampler(1), LinearSchedule(1000), 1),
    ],
)
def test_a_path_has_a_state_a_step_and_the_passes_that_are_told(
    sampler: Sampler, schedule: Schedule, passes: int
) -> None:
    seen = []
    states = list(sampler.path(counted(bent, seen), schedule, noise(2)[0], None))
    assert len(states) == sampler.steps
    assert len(seen) == passes
    assert sorted(set(seen), reverse=True) == sampler.times(schedule)[:-1].tolist()


def test_a_heun_step_over_decades_of_noise_stays_an_euler_step() -> None:
    """Evenly in t the cosine's first step falls from sigma = 20,000 alpha to 13 alpha."""
    guarded = HeunSampler(20, clip_x0=False, spacing=UniformSpacing())
    bare = HeunSampler(20, max_ratio=1e9, clip_x0=False, spacing=UniformSpacing())
    assert flow_error(guarded, CosineSchedule(1000), TWO_HUMPS) < 0.05
    assert flow_error(bare, CosineSchedule(1000), TWO_HUMPS) > 0.5


@pytest.mark.parametrize("make", FAST)
@pytest.mark.parametrize("spacing", [UniformSpacing(), LogSNR(), Karras()], ids=lambda s: type(s).__name__)
def test_images_that_are_noised_halfway_come_back_to_the_law(make: type[Sampler], spacing: Spacing) -> None:
    schedule, sampler = CosineSchedule(1000), make(100, clip_x0=False, spacing=spacing)
    rng = torch.Generator().manual_seed(0)
    x0 = TWO_HUMPS.draw(10_000, rng)
    ab = schedule.alpha_bar(sampler.times(schedule, 0.5)[0])
    xt = ab.sqrt() * x0 + (1 - ab).sqrt() * torch.randn(x0.shape, generator=rng, dtype=torch.float64)
    states = list(sampler.path(TWO_HUMPS.denoiser(schedule), schedule, xt, rng, start=0.5))
    assert len(states) == 50
    check_law(states[-1].flatten(), TWO_HUMPS)


@pytest.mark.parametrize("make", [*FAST, DDIM, Ancestral])
@pytest.mark.parametrize(("base", "spacing"), [(LinearSchedule, Karras()), (CosineSchedule, LogSNR())])
def test_a_schedule_without_signal_at_its_end_returns_the_law(
    make: type[Sampler], base: Callable[[int], FixedSchedule], spacing: Spacing
) -> None:
    sampler = make(200 if make in (DDIM, Ancestral) else 60, clip_x0=False, spacing=spacing)
    check_law(samples(sampler, ZeroTerminalSchedule(1000, base), GAUSSIAN, n=4_000), GAUSSIAN)


@pytest.mark.parametrize("make", FAST)
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 50])
def test_samples_lie_in_the_range_of_x0_whatever_the_number_of_steps(make: type[Sampler], steps: int) -> None:
    x = noise(64)[0].float()
    for schedule in (CosineSchedule(50), ZeroTerminalSchedule(50)):
        for spacing in (UniformSpacing(), LogSNR(), Karras()):
            sampler = make(steps, spacing=spacing)
            *_, y = sampler.path(TWO_HUMPS.denoiser(schedule), schedule, x, torch.Generator().manual_seed(0))
            assert y.dtype == torch.float32
            assert float(y.abs().max()) <= 1  # the last step goes to an estimate of x0, which is clipped


@pytest.mark.parametrize("make", [DPMSolver, HeunSampler, UniPC])
def test_float32_states_follow_those_of_float64(make: type[Sampler]) -> None:
    schedule, (x, _) = CosineSchedule(1000), noise(1000)
    sampler = make(100, clip_x0=False)
    *_, exact = sampler.path(TWO_HUMPS.denoiser(schedule), schedule, x, None)
    *_, y = sampler.path(TWO_HUMPS.denoiser(schedule), schedule, x.float(), None)
    # A rounding of 1e-7 a step, which the flow between the humps stretches some twentyfold.
    assert float((y.double() - exact).abs().max()) < 1e-4


@pytest.mark.parametrize("make", FAST)
def test_only_the_stochastic_solver_draws_and_only_from_its_rng(make: type[Sampler]) -> None:
    x, default = noise(8)[0], torch.get_rng_state()

    def last(seed: int) -> tuple[Tensor, bool]:
        rng = torch.Generator().manual_seed(seed)
        before = rng.get_state()
        *_, y = make(10).path(bent, CosineSchedule(1000), x, rng)
        return y, not torch.equal(before, rng.get_state())

    (first, drew), (again, _), (other, _) = last(1), last(1), last(2)
    assert torch.equal(first, again)
    assert drew == (make is DPMSolverSDE)
    assert torch.equal(first, other) != drew
    assert torch.equal(torch.get_rng_state(), default)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DPMSolver(0), "sampler.steps is 0"),
        (lambda: UniPC(10, order=4), "sampler.order is 4; it must be 2 or 3"),
        (lambda: HeunSampler(10, max_ratio=1.0), "sampler.max_ratio is 1.0; it must be above 1"),
    ],
)
def test_illegal_settings_are_refused_with_their_key(make: Callable[[], Sampler], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("make", [Ancestral, DDIM, *FAST])
def test_no_step_of_a_sampler_waits_for_the_device(make: Callable[..., Sampler]) -> None:
    """A few values are read a call, for the times; as many whatever the number of steps."""
    counts = []
    for steps in (5, 20):
        sampler, (x, rng) = make(steps), noise(4)
        with counted_reads() as reads:
            list(sampler.path(GAUSSIAN.denoiser(LinearSchedule(100)), LinearSchedule(100), x, rng))
        counts.append(len(reads))
    assert counts[0] == counts[1] <= 4
