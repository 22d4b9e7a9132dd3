"""Langevin dynamics and predictor-corrector sampling: their laws, and the sources' own form of them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from genbench.diffusion.langevin import Langevin, PredictorCorrector, Step, langevin_step, reverse_diffusion
from genbench.diffusion.sampler import Denoised, Sampler
from genbench.diffusion.schedule import (
    CosineSchedule,
    EDMSchedule,
    LinearSchedule,
    Schedule,
    ZeroTerminalSchedule,
)
from genbench.diffusion.variance_exploding import VarianceExplodingSchedule
from tests.diffusion.laws import (
    GAUSSIAN,
    TWO_HUMPS,
    Mixture,
    check_law,
    counted,
    counted_reads,
    given,
    noise,
    samples,
)

EXPLODING = VarianceExplodingSchedule(1000)
BOTH = [Langevin, PredictorCorrector]


def step_at(schedule: Schedule, k: int) -> Step:
    """The step of the full grid that begins at k / T."""
    return Step(schedule.table[k], schedule.table[k - 1], isinstance(schedule, VarianceExplodingSchedule))


@pytest.mark.parametrize("k", [100, 500, 1000])
@pytest.mark.parametrize("schedule", [EXPLODING, LinearSchedule(1000)], ids=["VE", "VP"])
def test_langevin_dynamics_at_one_level_have_the_law_of_that_level(schedule: Schedule, k: int) -> None:
    """N(alpha m, v (1 + a r^2)), v the variance of xt: V = (1 - e / v)^2 V + 2 e with e = 2 a r^2 v^2 / V."""
    step, (x, rng), r = step_at(schedule, k), noise(20_000), 0.8
    law, denoise = GAUSSIAN.noised(float(step.alpha_bar_t)), GAUSSIAN.denoiser(schedule)
    t = torch.full((len(x),), k / 1000, dtype=torch.float64)
    for _ in range(60):  # a step turns its distance from the mean by 1 - 2 a r^2 / (1 + a r^2) = 0.22
        x = langevin_step(x, denoise(x, t).x0, step, r, rng)
    a = 1.0 if step.exploding else float(1 - step.beta)
    check_law(x.flatten(), Mixture([1.0], law.means, [law.stds[0] * (1 + a * r**2) ** 0.5]))


@pytest.mark.parametrize(
    ("sampler", "schedule"),
    [
        (PredictorCorrector(1000, corrector_steps=0, clip_x0=False), EXPLODING),
        (PredictorCorrector(500, corrector_steps=2, snr=0.05, clip_x0=False), EXPLODING),
        (PredictorCorrector(500, snr=0.05, clip_x0=False), LinearSchedule(1000)),
        (PredictorCorrector(500, snr=0.05, clip_x0=False), EDMSchedule(500)),
        (Langevin(500, corrector_steps=2, snr=0.16, clip_x0=False), EXPLODING),
        (Langevin(500, corrector_steps=2, snr=0.16, clip_x0=False), CosineSchedule(1000)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_exact_denoiser_returns_the_law_of_the_data(sampler: Sampler, schedule: Schedule) -> None:
    # So many steps of so small an r that both discretizations stay under five standard errors.
    check_law(samples(sampler, schedule, GAUSSIAN, n=4_000), GAUSSIAN)


@pytest.mark.parametrize("make", BOTH)
def test_two_humps_come_back_from_images_that_are_noised_halfway(make: type[Sampler]) -> None:
    sampler, rng = make(800, snr=0.1, clip_x0=False), torch.Generator().manual_seed(0)
    x0 = TWO_HUMPS.draw(4_000, rng)
    ab = EXPLODING.alpha_bar(sampler.times(EXPLODING, 0.6)[0])
    xt = ab.sqrt() * x0 + (1 - ab).sqrt() * torch.randn(x0.shape, generator=rng, dtype=torch.float64)
    *_, x = sampler.path(TWO_HUMPS.denoiser(EXPLODING), EXPLODING, xt, rng, start=0.6)
    check_law(x.flatten(), TWO_HUMPS)


def bent(xt: Tensor, t: Tensor) -> Denoised:
    """Some denoiser that is linear neither in xt nor in t."""
    return given(torch.tanh(xt - t.to(xt.dtype)[:, None, None, None] ** 2) + 0.3 * torch.cos(2 * xt))


def score_of(xt: Tensor, ab: Tensor, t: Tensor) -> Tensor:
    """The score of xt that `bent` gives."""
    return (ab.sqrt() * bent(xt, t.expand(len(xt))).x0 - xt) / (1 - ab)


def published(y: Tensor, table: Tensor, n: int, r: float, rng: torch.Generator) -> Tensor:
    """Algorithms 2 and 4 of Song et al. 2021 in y = x0 + s eps with sigma_i = s, on the full grid."""
    s, T = (1 / table - 1).sqrt(), len(table) - 1

    def drawn() -> Tensor:
        return torch.randn(y.shape, generator=rng, dtype=y.dtype)

    for i in range(T, 0, -1):
        a, t = table[i].sqrt(), torch.tensor(i / T, dtype=torch.float64)
        for _ in range(n):
            g, z = a * score_of(a * y, table[i], t), drawn()
            e = 2 * (r * z.flatten(1).norm(dim=1).mean() / g.flatten(1).norm(dim=1).mean()) ** 2
            y = y + e * g + (2 * e).sqrt() * z
        y = y + (s[i] ** 2 - s[i - 1] ** 2) * a * score_of(a * y, table[i], t)
        y = y + (s[i] ** 2 - s[i - 1] ** 2).sqrt() * drawn() if i > 1 else y
    return y


@pytest.mark.parametrize("n", [0, 2])
def test_held_with_its_variance_preserved_the_exploding_process_takes_the_published_steps(n: int) -> None:
    """One starts where the other does, and both draw the same noise."""
    schedule, x = VarianceExplodingSchedule(20, 0.05, 10.0), noise(288)[0].reshape(6, 3, 4, 4)
    first, second = (torch.Generator().manual_seed(1) for _ in range(2))
    sampler = PredictorCorrector(20, corrector_steps=n, snr=0.3, clip_x0=False)
    *_, ours = sampler.path(bent, schedule, x, first)
    theirs = published(x / schedule.table[-1].sqrt(), schedule.table, n, 0.3, second)
    assert torch.allclose(ours, theirs, atol=1e-10)  # float64, two forms of one formula


def test_a_step_of_the_preserving_process_is_the_published_one() -> None:
    """Algorithms 3 and 5 of Song et al. 2021."""
    step, x = step_at(LinearSchedule(1000), 700), noise(288)[0].reshape(6, 3, 4, 4)
    t = torch.tensor(0.7, dtype=torch.float64)
    g, x0 = score_of(x, step.alpha_bar_t, t), bent(x, t.expand(6)).x0
    beta = LinearSchedule(1000).betas()[699]
    z = torch.randn(x.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    predicted = (2 - (1 - beta).sqrt()) * x + beta * g + beta.sqrt() * z
    e = 2 * (1 - beta) * (0.2 * z.flatten(1).norm(dim=1).mean() / g.flatten(1).norm(dim=1).mean()) ** 2
    corrected = x + e * g + (2 * e).sqrt() * z
    for ours, theirs in (
        (reverse_diffusion(x, x0, step, torch.Generator().manual_seed(3)), predicted),
        (langevin_step(x, x0, step, 0.2, torch.Generator().manual_seed(3)), corrected),
    ):
        assert torch.allclose(ours, theirs, atol=1e-10)


def test_the_steps_of_the_exploding_process_equal_those_of_diffusers() -> None:
    diffusers = pytest.importorskip("diffusers")
    scheduler = diffusers.ScoreSdeVeScheduler(100, snr=0.2, sigma_min=0.01, sigma_max=50.0)
    scheduler.set_timesteps(100)
    scheduler.set_sigmas(100)
    schedule, k = VarianceExplodingSchedule(100, 0.01, 50.0), 60  # their index counts from 0
    a_t, a_s = schedule.table[k].sqrt().float(), schedule.table[k - 1].sqrt().float()
    x = noise(4 * 192)[0].float().reshape(4, 3, 8, 8)
    x0 = bent(x, torch.full((4,), 0.6, dtype=torch.float64)).x0
    g = a_t * (a_t * x0 - x) / (1 - schedule.table[k]).float()
    theirs, step = [], step_at(schedule, k)
    at = torch.full((4,), (k - 1) / 99 + 1e-6, dtype=torch.float64)
    theirs.append(a_s * scheduler.step_pred(g, at, x / a_t, torch.Generator().manual_seed(5)).prev_sample)
    theirs.append(a_t * scheduler.step_correct(g, x / a_t, torch.Generator().manual_seed(5)).prev_sample)
    ours = [
        reverse_diffusion(x, x0, step, torch.Generator().manual_seed(5)),
        langevin_step(x, x0, step, 0.2, torch.Generator().manual_seed(5)),
    ]
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b.float(), atol=1e-4)  # a float32 table there


@pytest.mark.parametrize("schedule", [VarianceExplodingSchedule(50), CosineSchedule(50)], ids=["VE", "VP"])
def test_as_r_vanishes_the_reverse_diffusion_is_left_alone(schedule: Schedule) -> None:
    x, denoise = noise(100)[0], GAUSSIAN.denoiser(schedule)
    *_, ours = PredictorCorrector(50, snr=1e-7, clip_x0=False).path(denoise, schedule, x, noise(1)[1])
    rng, alone = noise(1)[1], x
    for k in range(50, 0, -1):
        noise_like_x = torch.randn(x.shape, generator=rng, dtype=x.dtype)  # the corrector's, of no weight
        x0 = denoise(alone, torch.full((100,), k / 50, dtype=torch.float64)).x0
        alone = x0 if k == 1 else reverse_diffusion(alone, x0, step_at(schedule, k), rng)
    assert noise_like_x.shape == x.shape
    assert torch.allclose(ours, alone, atol=1e-5)  # r times the noise of 50 steps


@pytest.mark.parametrize(
    ("sampler", "passes"),
    [
        (PredictorCorrector(10), 20),
        (PredictorCorrector(10, corrector_steps=0), 10),
        (PredictorCorrector(10, corrector_steps=3), 40),
        (Langevin(10), 51),
        (Langevin(10, corrector_steps=2), 21),
    ],
)
def test_a_path_has_a_state_a_step_and_the_passes_that_are_told(sampler: Sampler, passes: int) -> None:
    seen = []
    states = list(sampler.path(counted(bent, seen), EXPLODING, noise(2)[0], noise(1)[1]))
    assert len(states) == 10
    assert len(seen) == passes
    assert sorted(set(seen), reverse=True) == sampler.times(EXPLODING)[:-1].tolist()


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("steps", [1, 7, 50])
def test_samples_are_estimates_of_x0_whatever_the_schedule_and_the_number_of_steps(
    make: type[Sampler], steps: int
) -> None:
    x = noise(64)[0].float()
    for schedule in (VarianceExplodingSchedule(50), CosineSchedule(50), ZeroTerminalSchedule(50)):
        *_, y = make(steps).path(TWO_HUMPS.denoiser(schedule), schedule, x, noise(1)[1])
        assert y.dtype == torch.float32
        assert float(y.abs().max()) <= 1


@pytest.mark.parametrize("make", BOTH)
def test_an_untrained_network_leads_nowhere_but_not_to_infinity(make: type[Sampler]) -> None:
    """An answer of eps = 0 is a score of 0, whose step by the rule alone would be infinite."""

    def nothing(xt: Tensor, t: Tensor) -> Denoised:
        return given(xt / EXPLODING.level(t).alpha)

    *_, y = make(20, clip_x0=False).path(nothing, EXPLODING, noise(8)[0].float(), noise(1)[1])
    assert bool(y.isfinite().all())


@pytest.mark.parametrize("make", BOTH)
def test_noise_comes_from_the_generator_that_is_given(make: type[Sampler]) -> None:
    x, before = noise(8)[0], torch.get_rng_state()

    def last(seed: int) -> Tensor:
        *_, y = make(5).path(bent, EXPLODING, x, torch.Generator().manual_seed(seed))
        return y

    assert torch.equal(last(1), last(1))
    assert not torch.equal(last(1), last(2))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("make", BOTH)
def test_no_step_waits_for_the_device(make: type[Sampler]) -> None:
    counts = []
    for steps in (5, 20):
        with counted_reads() as reads:
            list(make(steps).path(GAUSSIAN.denoiser(EXPLODING), EXPLODING, noise(4)[0], noise(1)[1]))
        counts.append(len(reads))
    assert counts[0] == counts[1] <= 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Langevin(0), "sampler.steps is 0"),
        (lambda: Langevin(10, corrector_steps=0), "sampler.corrector_steps is 0; it must be from 1"),
        (lambda: PredictorCorrector(10, corrector_steps=-1), "sampler.corrector_steps is -1; .* from 0"),
        (lambda: PredictorCorrector(10, snr=1.0), "sampler.snr is 1.0; it must be above 0 and below 1"),
        (lambda: Langevin(10, snr=0.0), "sampler.snr is 0.0; it must be above 0 and below 1"),
    ],
)
def test_illegal_settings_are_refused_with_their_key(make: Callable[[], Sampler], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
