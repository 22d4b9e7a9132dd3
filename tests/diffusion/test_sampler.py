"""Samplers: with the exact denoiser of Gaussian data they return the data's law."""

from collections.abc import Callable

import pytest
import torch

from genbench.diffusion.posterior import Interpolated
from genbench.diffusion.sampler import DDIM, Ancestral, Denoised, Sampler
from genbench.diffusion.schedule import CosineSchedule, LinearSchedule, Schedule
from genbench.diffusion.spacing import Karras, LogSNR
from tests.diffusion.laws import GAUSSIAN, check_law, counted, flow_error, given, orders, samples


@pytest.mark.parametrize(
    ("sampler", "schedule", "v"),
    [
        (Ancestral(1000, clip_x0=False), LinearSchedule(1000), 0.0),
        (Ancestral(1000, clip_x0=False), LinearSchedule(1000), 1.0),
        (Ancestral(1000, clip_x0=False), CosineSchedule(1000), 0.5),
        (Ancestral(500, clip_x0=False), CosineSchedule(1000), 0.0),
        (DDIM(1000, clip_x0=False), LinearSchedule(1000), 0.0),
        (DDIM(250, clip_x0=False), CosineSchedule(1000), 0.0),
        (DDIM(1000, eta=1.0, clip_x0=False), CosineSchedule(1000), 0.0),
        (DDIM(1000, eta=0.5, clip_x0=False), LinearSchedule(1000), 0.0),
    ],
)
def test_the_exact_denoiser_returns_the_law_of_the_data(
    sampler: Sampler, schedule: Schedule, v: float
) -> None:
    # The discretisation adds at most 1 percent of the deviation at 250 steps or more.
    check_law(samples(sampler, schedule, GAUSSIAN, v=v, n=8_000), GAUSSIAN)


def test_ddim_with_eta_one_on_the_full_grid_is_ancestral_with_the_posterior_variance() -> None:
    schedule = LinearSchedule(100)
    ours = samples(DDIM(100, eta=1.0, clip_x0=False), schedule, GAUSSIAN, n=500)
    theirs = samples(Ancestral(100, clip_x0=False), schedule, GAUSSIAN, n=500)
    assert torch.allclose(ours, theirs, atol=1e-9)  # the same noise, two forms of one formula in float64


def test_the_error_of_ddim_falls_with_the_first_order_of_its_step() -> None:
    errors = [flow_error(DDIM(n, clip_x0=False), CosineSchedule(4096), GAUSSIAN) for n in (32, 64, 128, 256)]
    assert all(0.8 < order < 1.2 for order in orders(errors)), errors  # 1 up to terms of the next order


@pytest.mark.parametrize("spacing", [LogSNR(), Karras()])
def test_one_step_samplers_stand_where_their_spacing_says(spacing: LogSNR | Karras) -> None:
    schedule, seen = LinearSchedule(1000), []
    for sampler in (Ancestral(7, spacing=spacing), DDIM(7, spacing=spacing)):
        seen.clear()
        denoise = counted(GAUSSIAN.denoiser(schedule), seen)
        list(sampler.path(denoise, schedule, torch.zeros(2, 1, 2, 2), None))
        assert seen == spacing.times(schedule, 7)[:-1].tolist()


@pytest.mark.parametrize("v", [-30.0, 0.0, 1.0, 31.0])
def test_the_last_step_adds_no_noise_whatever_the_learned_variance(v: float) -> None:
    """beta~ is 0 there, so that beyond [0, 1] log variances are -inf or inf; the answer is x0 itself."""
    x0, xt = torch.rand(2, 2, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    estimate = Denoised(x0, Interpolated(torch.full_like(x0, v, dtype=torch.float64)))
    alpha_bar_t, data = torch.tensor([0.9999, 1.0], dtype=torch.float64)
    assert torch.equal(Ancestral(2).step(xt, estimate, alpha_bar_t, data, None), x0)


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_clipping_keeps_the_last_state_in_range(steps: int) -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(16, 1, 2, 2, generator=rng)
    for sampler in (Ancestral(steps), DDIM(steps)):
        *_, y = sampler.path(lambda xt, t: given(100 * xt), CosineSchedule(1000), x, rng)
        assert float(y.abs().max()) <= 1.0


def test_a_path_has_one_state_a_step_and_one_denoising_each() -> None:
    seen = []
    denoise = counted(lambda xt, t: given(torch.zeros_like(xt)), seen)
    states = list(DDIM(5).path(denoise, LinearSchedule(1000), torch.zeros(2, 1, 2, 2), None))
    assert len(states) == 5
    assert seen == [1.0, 0.8, 0.6, 0.4, 0.2]


def test_a_ddim_step_equals_that_of_diffusers() -> None:
    diffusers = pytest.importorskip("diffusers")
    scheduler = diffusers.DDIMScheduler(
        1000, beta_schedule="linear", clip_sample=False, set_alpha_to_one=True, timestep_spacing="leading"
    )
    scheduler.set_timesteps(50)
    rng = torch.Generator().manual_seed(0)
    xt, eps = torch.randn(2, 4, 3, 8, 8, generator=rng)
    schedule = LinearSchedule(1000)
    for k in (980, 500, 20):
        expected = scheduler.step(eps, k, xt, eta=0.0).prev_sample
        ab_t, ab_s = schedule.table[k + 1], schedule.table[k + 1 - 20]
        x0 = (xt - (1 - ab_t).sqrt().float() * eps) / ab_t.sqrt().float()
        ours = DDIM(50, clip_x0=False).step(xt, given(x0), ab_t, ab_s, None)
        # Theirs is a float32 table; x0 divides by alpha = 0.007 at k = 980.
        assert torch.allclose(ours, expected, atol=2e-4), k


def test_a_ddpm_step_equals_that_of_diffusers() -> None:
    diffusers = pytest.importorskip("diffusers")
    scheduler = diffusers.DDPMScheduler(
        1000, beta_schedule="linear", clip_sample=False, variance_type="fixed_small"
    )
    schedule = LinearSchedule(1000)
    xt, eps = torch.randn(2, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for k in (999, 500, 1, 0):
        expected = scheduler.step(eps, k, xt, generator=torch.Generator().manual_seed(7)).prev_sample
        ab_t, ab_s = schedule.table[k + 1], schedule.table[k]
        x0 = (xt - (1 - ab_t).sqrt().float() * eps) / ab_t.sqrt().float()
        sampler = Ancestral(1000, clip_x0=False)
        ours = sampler.step(xt, given(x0), ab_t, ab_s, torch.Generator().manual_seed(7))
        assert torch.allclose(ours, expected, atol=5e-4), k  # a float32 table there


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DDIM(0), "sampler.steps is 0"),
        (lambda: DDIM(10, eta=1.5), "sampler.eta is 1.5"),
    ],
)
def test_illegal_settings_are_refused_with_the_value(make: Callable[[], Sampler], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
