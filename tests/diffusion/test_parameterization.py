"""Parameterizations are codes that lose nothing."""

import pytest
import torch
from torch import Tensor

from genbench.diffusion.parameterization import X0, EDMPreconditioning, Eps, Parameterization, V
from genbench.diffusion.schedule import CosineSchedule, Level, LinearSchedule

ALL = [Eps(), X0(), V(), EDMPreconditioning(), EDMPreconditioning(2.0)]


def noised(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Level]:
    """x0, eps, xt and the level of noise at 64 times of the linear grid."""
    rng = torch.Generator().manual_seed(seed)
    x0, eps = torch.randn(2, 64, 1, 4, 4, generator=rng, dtype=torch.float64)
    alpha_bar = LinearSchedule(1000).alpha_bar(torch.arange(1, 65) / 64)[:, None, None, None]
    at = Level(alpha_bar.sqrt(), (1 - alpha_bar).sqrt())
    return x0, eps, at.alpha * x0 + at.sigma * eps, at


@pytest.mark.parametrize("parameterization", ALL)
def test_target_and_back_is_the_identity_at_every_time(parameterization: Parameterization) -> None:
    x0, eps, xt, at = noised()
    output = parameterization.target(x0, eps, at)
    # float64; eps divides by alpha = 0.006 at t = 1
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
    # eps at t = 1 turns rounding of float64 into 1e-9 of x0
    assert torch.allclose(gain, parameterization.gain(at.alpha.square()), rtol=1e-6)


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
