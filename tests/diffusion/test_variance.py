"""The variance of a reverse step: the fitted one is the best of those that are constant over pixels."""

import math
from collections.abc import Iterator
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from genbench.diffusion.bound import second_beta_tilde
from genbench.diffusion.density import Bound
from genbench.diffusion.posterior import Interpolated, Posterior, ReverseVariance, Widened, posterior
from genbench.diffusion.sampler import DDIM, Ancestral, Denoised, Denoiser, Sampler
from genbench.diffusion.schedule import CosineSchedule, LinearSchedule, Schedule, ZeroTerminalSchedule
from genbench.diffusion.variance import Beta, BetaTilde, Fitted, Variance, draw_steps
from genbench.diffusion.weighting import TrueBound
from genbench.probability.buckets import gaussian_log_prob
from genbench.runtime.precision import BFloat16
from tests.diffusion.laws import Mixture, noise
from tests.toys import toy_model, toy_process

LINEAR, COSINE = LinearSchedule(1000), CosineSchedule(1000)
MEAN, STD = 0.1, 8 / 127.5
LAW = Mixture([1.0], [MEAN], [STD])
LOW, HIGH = (Interpolated(torch.tensor(v, dtype=torch.float64)) for v in (0.0, 1.0))


def pictures(n: int, *, seed: int = 1) -> Tensor:
    """8-bit images of 16 pixels from N(MEAN, STD^2): (n, 1, 4, 4)."""
    x = MEAN + STD * torch.randn(n, 1, 4, 4, generator=torch.Generator().manual_seed(seed))
    return ((x + 1) * 127.5).round().clamp(0, 255) / 127.5 - 1


def batches(n: int) -> Iterator[tuple[Tensor, None]]:
    return ((x, None) for x in pictures(n).split(64))


def left(alpha_bar: Tensor, std: float = STD) -> Tensor:
    """Var[x0 | xt] of N(m, std^2)."""
    return std**2 * (1 - alpha_bar) / (alpha_bar * std**2 + 1 - alpha_bar)


@cache
def fitted(schedule: Schedule) -> Fitted:
    """The variance fitted to the exact denoiser on 4096 images."""
    variance, denoise = Fitted(schedule.T), LAW.denoiser(schedule)
    variance.fit(lambda xt, t, y: denoise(xt, t), schedule, batches(4096))
    return variance


def under(variance: Variance, schedule: Schedule) -> Denoiser:
    """The exact denoiser with this variance."""
    denoise = LAW.denoiser(schedule)
    return lambda xt, t: Denoised(denoise(xt, t).x0, variance.split(xt, t)[1])


def step_kl(q: Posterior, m: Tensor, variance: ReverseVariance) -> Tensor:
    """E[KL] of a pixel where x0_hat is off by m in the mean square."""
    log = variance.log(q)
    return (log - q.beta_tilde.log() + (q.beta_tilde + q.of_x0**2 * m) / log.exp() - 1) / 2


def test_the_sums_of_divergences_are_those_of_the_closed_form() -> None:
    """Bits a dimension over steps 2 .. 1000 of the cosine schedule; the reference values were found apart."""
    table = CosineSchedule(1000).table
    q, m = posterior(table[2:], table[1:-1]), left(table[2:])
    low, best, high = (float(step_kl(q, m, of).sum()) / math.log(2) for of in (LOW, Widened(m), HIGH))
    assert low == pytest.approx(3.792, abs=5e-4)
    assert high == pytest.approx(3.320, abs=5e-4)
    assert best == pytest.approx(3.295, abs=5e-4)


@pytest.mark.parametrize("factor", [0.0, 0.5, 0.9, 1.1, 2.0])
def test_no_other_error_than_the_true_one_gives_a_smaller_divergence(factor: float) -> None:
    table = LinearSchedule(1000).table
    q, m = posterior(table[2:], table[1:-1]), left(table[2:])
    worse = step_kl(q, m, Widened(factor * m)) - step_kl(q, m, Widened(m))
    assert bool((worse > -1e-12).all())  # float64; where beta~ is all of the variance there is no difference
    assert float(worse.sum()) > 1e-3


@pytest.mark.parametrize("s", [1, 30, 299])
def test_no_error_is_beta_tilde_and_that_of_unit_normal_data_is_beta(s: int) -> None:
    """For strided steps too: m belongs to the time where a step begins."""
    table = CosineSchedule(1000).table
    q = posterior(table[300], table[s])
    assert float(Widened(torch.zeros(())).log(q)) == pytest.approx(float(LOW.log(q)), abs=1e-12)
    assert float(Widened(1 - table[300]).log(q)) == pytest.approx(float(HIGH.log(q)), abs=1e-9)


@pytest.mark.parametrize("schedule", [LINEAR, COSINE, CosineSchedule(50), ZeroTerminalSchedule(1000)])
def test_the_fit_finds_the_exact_reverse_variance_at_every_step(schedule: Schedule) -> None:
    """From four images a step; what lies between groups of steps is read off."""
    found, truth = fitted(schedule).m[1:], left(schedule.table[2:])
    # About 60 images of 16 pixels in each of 64 groups: 2 / sqrt(960) ~ 0.05 of one, at most 4 of them.
    assert (found / truth - 1).abs().max() < 0.2
    assert (found / truth - 1).square().mean().sqrt() < 0.06


def test_the_decoders_variance_is_the_likeliest_of_all() -> None:
    """No other standard deviation, within 3 %, gives the same images more probability at step 1."""
    schedule = COSINE
    decoder = fitted(schedule).m[0] + second_beta_tilde(schedule, torch.ones(1)).reshape(())
    x, denoise, t = pictures(20_000, seed=2), LAW.denoiser(schedule), torch.full((20_000,), 1e-3).double()
    at = schedule.level(t)
    x0_hat = denoise(at.alpha * x + at.sigma * torch.randn_like(x), t).x0

    def nats(log_std: Tensor) -> float:
        return -float(gaussian_log_prob(x, x0_hat, log_std.float()).double().mean())

    here = decoder.log() / 2
    # 512 images fitted it, other ones hold it to account: 1e-3 nats of a pixel is far below what 10 % cost.
    assert nats(here) < min(nats(here + 0.1), nats(here - 0.1))
    assert nats(here) < min(nats(here + shift) for shift in torch.linspace(-0.05, 0.05, 5)) + 1e-3


@pytest.mark.parametrize("schedule", [LINEAR, COSINE])
def test_the_bound_comes_to_the_floor_and_below_those_of_beta_and_beta_tilde(schedule: Schedule) -> None:
    x = pictures(4096)  # those that the variance is fitted to
    floor = -float(gaussian_log_prob(x, torch.tensor(MEAN), torch.tensor(math.log(STD))).mean()) / math.log(2)

    def above(variance: Variance) -> float:
        torch.manual_seed(0)
        nats = -Bound(10, clip_x0=False).log_prob(under(variance, schedule), schedule, x)
        return float(nats.double().mean()) / 16 / math.log(2) - floor

    best, high, low = above(fitted(schedule)), above(Beta()), above(BetaTilde())
    # The reverse steps are then exact, and only the buckets' decoder loses: less than 0.01 bits.
    assert -0.01 < best < 0.02
    assert best < min(high, low) - 0.02
    assert low > 0.4  # half a bit, which is what made the published comparison unfair


@pytest.mark.parametrize("steps", [10, 50])
def test_with_any_number_of_steps_the_states_are_as_wide_as_the_forward_process_makes_them(
    steps: int,
) -> None:
    """Before the last step, which adds no noise. beta~ narrows them, beta widens them."""
    schedule = COSINE

    def width(variance: Variance) -> float:
        sampler = Ancestral(steps, clip_x0=False)
        x, rng = noise(20_000)
        *_, state, _ = sampler.path(under(variance, schedule), schedule, x, rng)
        alpha_bar = schedule.alpha_bar(sampler.times(schedule)[-2:-1])
        return float(state.std() / (alpha_bar * STD**2 + 1 - alpha_bar).sqrt())

    best, high, low = width(fitted(schedule)), width(Beta()), width(BetaTilde())
    # The standard error of a deviation is 0.005, and the errors of the fit (0.06 a group) come to less.
    assert best == pytest.approx(1, abs=0.02)
    assert low < 0.98 < 1.04 < high


def test_the_drawn_steps_cover_the_grid_and_the_first_step_most() -> None:
    k = draw_steps(8000, 1000, torch.device("cpu"))
    assert (float(k.min()), float(k.max())) == (1, 1000)
    assert 0.125 < float((k == 1).double().mean()) < 0.15
    for low, high in ((2, 10), (11, 100), (101, 1000)):
        assert float(((k >= low) & (k <= high)).double().mean()) > 0.05
    assert draw_steps(5, 2, torch.device("cpu")).unique().tolist() == [1, 2]


def test_until_it_is_fitted_it_is_the_posteriors() -> None:
    x = torch.rand(4, 1, 4, 4) * 2 - 1
    mine = toy_model(process=toy_process(variance=Fitted(50), sampler=Ancestral(5))).eval()
    theirs = toy_model(process=toy_process(variance=BetaTilde(), sampler=Ancestral(5))).eval()
    for draw in (
        lambda model: model.sample(3, rng=torch.Generator().manual_seed(0)),
        lambda m: log_prob(m, x),
    ):
        assert torch.allclose(draw(mine), draw(theirs), rtol=1e-6, atol=1e-6)


def log_prob(model: torch.nn.Module, x: Tensor) -> Tensor:
    torch.manual_seed(0)
    with torch.no_grad():
        return model.log_prob(x)


def test_samples_are_drawn_with_it_where_that_is_asked_for_and_likelihoods_always_are() -> None:
    x = pictures(4)

    def of(variance: Variance) -> tuple[Tensor, Tensor]:
        model = toy_model(process=toy_process(variance=variance, sampler=Ancestral(5))).eval()
        torch.manual_seed(0)
        model.fit(batches(256))
        return model.sample(3, rng=torch.Generator().manual_seed(0)), log_prob(model, x)

    plain, draws, low = of(Fitted(50)), of(Fitted(50, samples=True)), of(BetaTilde())
    assert torch.allclose(plain[0], low[0], rtol=1e-6, atol=1e-6)
    assert not torch.allclose(draws[0], low[0], atol=1e-3)
    assert torch.equal(plain[1], draws[1])
    assert bool((plain[1] > low[1]).all())


class Loud(nn.Module):
    """Answers far beyond [-1, 1]."""

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        return -5 * x


def test_it_is_fitted_to_the_estimates_as_the_bound_clips_them_whatever_the_sampler_does() -> None:
    def found(*, bound: bool, sampler: bool) -> tuple[Tensor, Tensor]:
        process = toy_process(
            variance=Fitted(50),
            sampler=Ancestral(5, clip_x0=sampler),
            density=Bound(5, clip_x0=bound),
        )
        torch.manual_seed(0)
        process.fit(Loud(), batches(512))
        assert isinstance(process.variance, Fitted)
        return process.variance.m[1:], process.log_prob(Loud(), pictures(64), None)

    clipped, free = found(bound=True, sampler=True), found(bound=False, sampler=True)
    assert float(clipped[0].max()) <= 4 < float(free[0].max())  # 4 is the square of from -1 to 1
    assert all(map(torch.equal, clipped, found(bound=True, sampler=False)))
    assert all(map(torch.equal, free, found(bound=False, sampler=False)))


@pytest.mark.parametrize("clip", [True, False])
def test_samples_drawn_with_it_ask_the_sampler_to_clip_as_the_bound_does(clip: bool) -> None:
    def process(sampler: Sampler, *, samples: bool) -> None:
        variance, density = Fitted(50, samples=samples), Bound(5, clip_x0=clip)
        toy_process(variance=variance, sampler=sampler, density=density)

    with pytest.raises(ValueError, match=rf"density\.clip_x0 is {clip} while sampler\.clip_x0 is {not clip}"):
        process(Ancestral(5, clip_x0=not clip), samples=True)
    process(Ancestral(5, clip_x0=clip), samples=True)
    process(Ancestral(5, clip_x0=not clip), samples=False)
    process(DDIM(5, clip_x0=not clip), samples=True)  # which uses no variance


def test_half_precision_networks_fit_the_same_variance() -> None:
    def m(*, half: bool) -> Tensor:
        model = toy_model(process=toy_process(variance=Fitted(50))).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
        if half:
            BFloat16().apply(model.networks(), torch.device("cpu"))
        torch.manual_seed(0)
        model.fit(batches(512))
        return model.process.variance.m

    full = m(half=False)
    assert full.dtype == m(half=True).dtype == torch.float64
    # bfloat16 keeps 3 digits, and errors are squared.
    assert torch.allclose(m(half=True)[1:], full[1:], rtol=0.05)


def test_a_model_without_anything_to_fit_draws_no_image() -> None:
    drawn = []
    toy_model(process=toy_process(variance=Beta())).fit(drawn.append(0) for _ in range(3))
    assert drawn == []


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"variance\.T is 1000, and schedule\.T is 50: they must be equal"):
        toy_process(variance=Fitted(1000))
    with pytest.raises(ValueError, match=r"variance\.T is 0"):
        Fitted(0)
    with pytest.raises(ValueError, match="no images were given"):
        Fitted(50).fit(lambda xt, t, y: Denoised(xt, LOW), CosineSchedule(50), [])
    with pytest.raises(FloatingPointError, match="not finite"):
        Fitted(50).fit(lambda xt, t, y: Denoised(xt * torch.nan, LOW), CosineSchedule(50), batches(64))
    with pytest.raises(ValueError, match="variance=fitted, which is the posterior's until"):
        toy_process(weighting=TrueBound(), variance=Beta())
    toy_process(weighting=TrueBound(), variance=Fitted(50))
