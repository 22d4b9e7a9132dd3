"""Parameterizations are codes that lose nothing."""

import pytest
import torch
from torch import Tensor

from genbench.diffusion.parameterization import X0, Eps, Parameterization, V
from genbench.diffusion.schedule import Cosine, Level, Linear

ALL = [Eps(), X0(), V()]


def noised(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Level]:
    """x0, eps, xt and the level of noise at 64 times of the linear grid."""
    rng = torch.Generator().manual_seed(seed)
    x0, eps = torch.randn(2, 64, 1, 4, 4, generator=rng, dtype=torch.float64)
    alpha_bar = Linear(1000).alpha_bar(torch.arange(1, 65) / 64)[:, None, None, None]
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
    at = Linear(1000).level((k + 1) / 1000)
    # Theirs is a float32 table of products.
    assert torch.allclose(V().target(x0, eps, at), scheduler.get_velocity(x0, eps, k), atol=1e-5)


def test_noising_equals_that_of_diffusers() -> None:
    diffusers = pytest.importorskip("diffusers")
    rng = torch.Generator().manual_seed(0)
    x0, eps = torch.randn(2, 1000, 1, 2, 2, generator=rng)
    k = torch.arange(1000)
    for theirs, ours in (("linear", Linear(1000)), ("squaredcos_cap_v2", Cosine(1000))):
        scheduler = diffusers.DDPMScheduler(1000, beta_schedule=theirs)
        at = ours.level((k + 1) / 1000)
        # Theirs is a float32 table of products of up to 1000 factors.
        expected = scheduler.add_noise(x0, eps, k)
        assert torch.allclose(at.alpha * x0 + at.sigma * eps, expected, atol=5e-5)
