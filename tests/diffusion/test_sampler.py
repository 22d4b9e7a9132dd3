"""Samplers: with the exact denoiser of Gaussian data they return the data's law."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from scipy import stats
from torch import Tensor

from genbench.diffusion.sampler import DDIM, Ancestral, Sampler
from genbench.diffusion.schedule import Cosine, Linear, Schedule

MEAN, STD, N = 0.3, 0.5, 20_000


def exact(schedule: Schedule, mean: float = MEAN, std: float = STD) -> Callable[[Tensor, Tensor], Tensor]:
    """E[x0 | xt] = mean + alpha std^2 (xt - alpha mean) / (alpha^2 std^2 + sigma^2), x0 ~ N(mean, std^2)."""

    def denoise(xt: Tensor, t: Tensor) -> Tensor:
        ab = schedule.alpha_bar(t)[:, None, None, None]
        return mean + ab.sqrt() * std**2 * (xt - ab.sqrt() * mean) / (ab * std**2 + 1 - ab)

    return denoise


def draw(sampler: Sampler, schedule: Schedule, seed: int = 0, n: int = N) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 1, 1, 1, generator=rng, dtype=torch.float64)
    *_, x = sampler.path(exact(schedule), schedule, x, rng)
    return x.flatten()


@pytest.mark.parametrize(
    ("sampler", "schedule"),
    [
        (Ancestral(1000, clip_x0=False), Linear(1000)),
        (Ancestral(1000, variance=1.0, clip_x0=False), Linear(1000)),
        (Ancestral(1000, variance=0.5, clip_x0=False), Cosine(1000)),
        (Ancestral(500, clip_x0=False), Cosine(1000)),
        (DDIM(1000, clip_x0=False), Linear(1000)),
        (DDIM(250, clip_x0=False), Cosine(1000)),
        (DDIM(1000, eta=1.0, clip_x0=False), Cosine(1000)),
        (DDIM(1000, eta=0.5, clip_x0=False), Linear(1000)),
    ],
)
def test_the_exact_denoiser_returns_the_law_of_the_data(sampler: Sampler, schedule: Schedule) -> None:
    x = draw(sampler, schedule)
    # n = 20,000: the mean's standard error is 0.0035 and the deviation's 0.0025, five of each; the
    # discretisation adds at most 1 percent of the deviation at 250 steps or more.
    assert float(x.mean()) == pytest.approx(MEAN, abs=5 * 0.0035)
    assert float(x.std()) == pytest.approx(STD, abs=5 * 0.0025)
    # A false alarm under 1e-6 with a fixed seed
    assert stats.kstest(x.numpy(), stats.norm(MEAN, STD).cdf).pvalue > 1e-6


def test_ddim_with_eta_one_on_the_full_grid_is_ancestral_with_the_posterior_variance() -> None:
    schedule = Linear(100)
    ours = draw(DDIM(100, eta=1.0, clip_x0=False), schedule, n=500)
    theirs = draw(Ancestral(100, clip_x0=False), schedule, n=500)
    assert torch.allclose(ours, theirs, atol=1e-9)  # the same noise, two forms of one formula in float64


def test_the_error_of_ddim_falls_with_the_first_order_of_its_step() -> None:
    """Gaussian data: x0 = mean + std (x1 - alpha mean) / sqrt(alpha^2 std^2 + sigma^2) is the flow map."""
    schedule = Cosine(4096)
    x = torch.linspace(-2, 2, 41, dtype=torch.float64)[:, None, None, None]
    ab = schedule.table[-1]
    truth = MEAN + STD * (x - ab.sqrt() * MEAN) / (ab * STD**2 + 1 - ab).sqrt()
    errors = []
    for steps in (32, 64, 128, 256):
        *_, y = DDIM(steps, clip_x0=False).path(exact(schedule), schedule, x, None)
        errors.append(float((y - truth).abs().max()))
    ratios = [a / b for a, b in pairwise(errors)]
    assert all(1.7 < ratio < 2.3 for ratio in ratios), ratios  # 2 up to terms of the next order


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_clipping_keeps_the_last_state_in_range(steps: int) -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(16, 1, 2, 2, generator=rng)
    for sampler in (Ancestral(steps), DDIM(steps)):
        *_, y = sampler.path(lambda xt, t: 100 * xt, Cosine(1000), x, rng)
        assert float(y.abs().max()) <= 1.0


def test_a_path_has_one_state_a_step_and_one_denoising_each() -> None:
    calls = []

    def denoise(xt: Tensor, t: Tensor) -> Tensor:
        calls.append(float(t[0]))
        return torch.zeros_like(xt)

    states = list(DDIM(5).path(denoise, Linear(1000), torch.zeros(2, 1, 2, 2), None))
    assert len(states) == 5
    assert calls == [1.0, 0.8, 0.6, 0.4, 0.2]


def test_a_ddim_step_equals_that_of_diffusers() -> None:
    diffusers = pytest.importorskip("diffusers")
    scheduler = diffusers.DDIMScheduler(
        1000, beta_schedule="linear", clip_sample=False, set_alpha_to_one=True, timestep_spacing="leading"
    )
    scheduler.set_timesteps(50)
    rng = torch.Generator().manual_seed(0)
    xt, eps = torch.randn(2, 4, 3, 8, 8, generator=rng)
    schedule = Linear(1000)
    for k in (980, 500, 20):
        expected = scheduler.step(eps, k, xt, eta=0.0).prev_sample
        ab_t, ab_s = schedule.table[k + 1], schedule.table[k + 1 - 20]
        x0 = (xt - (1 - ab_t).sqrt().float() * eps) / ab_t.sqrt().float()
        ours = DDIM(50, clip_x0=False).step(xt, x0, ab_t, ab_s, None)
        # Theirs is a float32 table; x0 divides by alpha = 0.007 at k = 980.
        assert torch.allclose(ours, expected, atol=2e-4), k


def test_a_ddpm_step_equals_that_of_diffusers() -> None:
    diffusers = pytest.importorskip("diffusers")
    scheduler = diffusers.DDPMScheduler(
        1000, beta_schedule="linear", clip_sample=False, variance_type="fixed_small"
    )
    schedule = Linear(1000)
    xt, eps = torch.randn(2, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for k in (999, 500, 1, 0):
        expected = scheduler.step(eps, k, xt, generator=torch.Generator().manual_seed(7)).prev_sample
        ab_t, ab_s = schedule.table[k + 1], schedule.table[k]
        x0 = (xt - (1 - ab_t).sqrt().float() * eps) / ab_t.sqrt().float()
        sampler = Ancestral(1000, clip_x0=False)
        ours = sampler.step(xt, x0, ab_t, ab_s, torch.Generator().manual_seed(7))
        assert torch.allclose(ours, expected, atol=5e-4), k  # a float32 table there


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DDIM(0), "sampler.steps is 0"),
        (lambda: DDIM(10, eta=1.5), "sampler.eta is 1.5"),
        (lambda: Ancestral(10, variance=-0.1), "sampler.variance is -0.1"),
    ],
)
def test_illegal_settings_are_refused_with_the_value(make: Callable[[], Sampler], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
