"""Parameterizations are codes that lose nothing."""

import pytest
import torch
from torch import Tensor

from genbench.diffusion.parameterization import (
    X0,
    EDMPreconditioning,
    Eps,
    Parameterization,
    PosteriorMean,
    Score,
    StepLevel,
    V,
)
from genbench.diffusion.posterior import posterior
from genbench.diffusion.schedule import CosineSchedule, Level, LinearSchedule, Schedule, ZeroTerminalSchedule

ALL = [Eps(), X0(), V(), EDMPreconditioning(), EDMPreconditioning(2.0), Score(), PosteriorMean()]


def noised(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, StepLevel]:
    """x0, eps, xt and the level of noise at 64 times of the linear grid."""
    rng = torch.Generator().manual_seed(seed)
    x0, eps = torch.randn(2, 64, 1, 4, 4, generator=rng, dtype=torch.float64)
    at = exact_level(LinearSchedule(1000), torch.round(torch.arange(1, 65) / 64 * 1000))
    return x0, eps, at.alpha * x0 + at.sigma * eps, at


def exact_level(schedule: Schedule, k: Tensor) -> StepLevel:
    """The level of steps k (B,) of the grid with the step back, in float64."""
    alpha_bar, before = schedule.around(k.double() / schedule.T)
    return StepLevel(alpha_bar.sqrt(), (1 - alpha_bar).sqrt(), posterior(alpha_bar, before))


@pytest.mark.parametrize("parameterization", ALL)
def test_target_and_back_is_the_identity_at_every_time(parameterization: Parameterization) -> None:
    x0, eps, xt, at = noised()
    output = parameterization.target(x0, eps, at)
    # float64; eps divides by alpha = 0.006 at t = 1, the mean by c_0 = 0.0001
    assert torch.allclose(parameterization.to_x0(output, xt, at), x0, atol=1e-11)
    assert torch.allclose(parameterization.to_eps(output, xt, at), eps, atol=1e-11)


@pytest.mark.parametrize("parameterization", ALL)
def test_any_answer_explains_xt(parameterization: Parameterization) -> None:
    _, _, xt, at = noised()
    output = torch.randn(xt.shape, generator=torch.Generator().manual_seed(1), dtype=xt.dtype)
    x0, eps = parameterization.to_x0(output, xt, at), parameterization.to_eps(output, xt, at)
    assert torch.allclose(at.alpha * x0 + at.sigma * eps, xt, atol=1e-11)


def test_v_equals_the_velocity_of_diffusers() -> None:
    diffusers = pytest.importorskip("diffusers")
    scheduler = diffusers.DDPMScheduler(1000, beta_schedule="linear")
    rng = torch.Generator().manual_seed(0)
    x0, eps = torch.randn(2, 8, 3, 4, 4, generator=rng)
    k = torch.tensor([0, 1, 10, 100, 500, 900, 998, 999])
    at = LinearSchedule(1000).level((k + 1) / 1000)
    # Theirs is a float32 table of products.
    assert torch.allclose(V().target(x0, eps, at), scheduler.get_velocity(x0, eps, k), atol=1e-5)


def test_noising_equals_that_of_diffusers() -> None:
    diffusers = pytest.importorskip("diffusers")
    rng = torch.Generator().manual_seed(0)
    x0, eps = torch.randn(2, 1000, 1, 2, 2, generator=rng)
    k = torch.arange(1000)
    for theirs, ours in (("linear", LinearSchedule(1000)), ("squaredcos_cap_v2", CosineSchedule(1000))):
        scheduler = diffusers.DDPMScheduler(1000, beta_schedule=theirs)
        at = ours.level((k + 1) / 1000)
        # Theirs is a float32 table of products of up to 1000 factors.
        expected = scheduler.add_noise(x0, eps, k)
        assert torch.allclose(at.alpha * x0 + at.sigma * eps, expected, atol=5e-5)


@pytest.mark.parametrize("parameterization", ALL)
def test_the_gain_is_the_squared_error_of_x0_over_that_of_the_answer(
    parameterization: Parameterization,
) -> None:
    x0, eps, xt, at = noised()
    target = parameterization.target(x0, eps, at)
    off = parameterization.to_x0(target + 0.1, xt, at) - x0
    gain = (off / 0.1).square().mean(dim=(1, 2, 3), keepdim=True)
    before = at.alpha.square() / (1 - at.step.beta)
    # eps at t = 1 turns rounding of float64 into 1e-9 of x0
    assert torch.allclose(gain, parameterization.gain_of_step(at.alpha.square(), before), rtol=1e-6)


def test_edm_gives_the_network_inputs_and_targets_of_unit_variance() -> None:
    """Karras et al. 2022, Appendix B.6, for data of standard deviation sigma_data."""
    rng, edm = torch.Generator().manual_seed(0), EDMPreconditioning(0.5)
    for alpha_bar in (0.999, 0.5, 1e-3):
        ab = torch.tensor(alpha_bar, dtype=torch.float64)
        at = Level(ab.sqrt(), (1 - ab).sqrt())
        x0, eps = torch.randn(2, 200_000, generator=rng, dtype=torch.float64)
        x0 = 0.5 * x0
        xt = at.alpha * x0 + at.sigma * eps
        # The standard error of a variance over 200,000 is 0.0032.
        assert float(edm.network_input(xt, at).var()) == pytest.approx(1, abs=0.016)
        assert float(edm.target(x0, eps, at).var()) == pytest.approx(1, abs=0.016)


def test_edm_is_the_papers_preconditioning() -> None:
    """c_skip y + c_out F and c_in y for y = xt / alpha, s = sigma / alpha, straight from Table 1."""
    _x0, _eps, xt, at = noised()
    d, s, y = 0.5, at.sigma / at.alpha, xt / at.alpha
    output = torch.randn(xt.shape, generator=torch.Generator().manual_seed(1), dtype=xt.dtype)
    denoised = d**2 / (s**2 + d**2) * y + s * d / (s**2 + d**2).sqrt() * output
    assert torch.allclose(EDMPreconditioning(d).to_x0(output, xt, at), denoised, rtol=1e-9)
    assert torch.allclose(EDMPreconditioning(d).network_input(xt, at), y / (s**2 + d**2).sqrt(), rtol=1e-9)


def test_edm_of_unit_data_is_the_negative_velocity() -> None:
    x0, eps, _, at = noised()
    assert torch.allclose(EDMPreconditioning(1.0).target(x0, eps, at), -V().target(x0, eps, at), atol=1e-12)


@pytest.mark.parametrize("schedule", [LinearSchedule(50), CosineSchedule(50), ZeroTerminalSchedule(50)])
def test_the_mean_is_that_of_the_paper_at_every_step(schedule: Schedule) -> None:
    """(beta sqrt(ab_prev) x0 + (1 - ab_prev) sqrt(1 - beta) xt) / (1 - ab), Ho et al. 2020, Eq. 7."""
    ab, before = schedule.table[1:, None, None, None], schedule.table[:-1, None, None, None]
    beta, at = 1 - ab / before, exact_level(schedule, torch.arange(1, 51))
    x0, eps = torch.randn(2, 50, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    xt = at.alpha * x0 + at.sigma * eps
    expected = beta * before.sqrt() * x0 + (1 - before) * (1 - beta).sqrt() * xt
    found = PosteriorMean().target(x0, eps, at)
    assert torch.allclose(found, expected / (1 - ab), atol=1e-12)
    # Also at the end of a schedule without signal, where it is sqrt(ab_prev) x0.
    assert torch.allclose(PosteriorMean().to_x0(found, xt, at), x0, atol=1e-9)


def test_the_mean_at_the_first_step_is_x0_itself() -> None:
    schedule = CosineSchedule(1000)
    x0, eps = torch.randn(2, 3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    at = PosteriorMean().level(schedule, torch.full((3,), 1 / 1000, dtype=torch.float64))
    assert torch.equal(PosteriorMean().target(x0, eps, at), x0)


def test_the_level_of_the_mean_is_one_of_the_grid_wherever_a_time_lies() -> None:
    """Halves would be rounded to the even neighbour at both ends of the step."""
    at = PosteriorMean().level(CosineSchedule(10), torch.tensor([0.25, 0.35, 0.5]))
    assert isinstance(at, StepLevel)
    assert bool((at.step.of_x0 > 0).all())


def test_a_level_without_its_step_is_refused_by_the_mean() -> None:
    at = CosineSchedule(10).level(torch.ones(1))
    with pytest.raises(ValueError, match="parameterization=mean needs the step"):
        PosteriorMean().target(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), at)


def test_the_score_is_the_gradient_of_the_log_density() -> None:
    """Of q(xt | x0) = N(alpha x0, sigma^2), by autograd."""
    x0, eps, xt, at = noised()
    leaf = xt.clone().requires_grad_()
    log_density = -((leaf - at.alpha * x0) / at.sigma).square().sum() / 2
    (gradient,) = torch.autograd.grad(log_density, leaf)
    assert torch.allclose(Score().target(x0, eps, at), gradient, rtol=1e-9)


def test_an_output_of_zero_is_an_answer_of_the_right_size() -> None:
    """An untrained network says no noise as a score, and xt as a mean."""
    _, _, xt, at = noised()
    zero, ones = torch.zeros_like(xt), torch.ones_like(xt)
    assert torch.equal(PosteriorMean().answer(zero, xt, at), xt)
    assert torch.equal(PosteriorMean(scaled=False).answer(ones, xt, at), ones)
    assert torch.allclose(Score().answer(ones, xt, at) * at.sigma, ones)
    assert torch.equal(Score(scaled=False).answer(ones, xt, at), ones)


def test_the_output_for_a_mean_has_about_unit_variance_at_every_step() -> None:
    """From beta / sigma of 0.0001 to 1, of which the network need know nothing."""
    schedule, steps = CosineSchedule(1000), torch.tensor([1, 10, 100, 500, 900, 1000])
    at = exact_level(schedule, steps)
    x0, eps = torch.randn(2, 6, 1, 60, 60, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    xt, mean = at.alpha * x0 + at.sigma * eps, PosteriorMean()
    shift = mean.answer(torch.ones_like(xt), xt, at) - xt
    output = (mean.target(x0, eps, at) - xt) / shift
    assert bool(((output.std(dim=(1, 2, 3)) > 0.5) & (output.std(dim=(1, 2, 3)) < 1.5)).all())
