"""Weightings of the distance, in terms of what they mean for eps and x0."""

import pytest
import torch

from genbench.diffusion.bound import step_nats
from genbench.diffusion.objective import L1, L2, Huber, Simple
from genbench.diffusion.parameterization import (
    X0,
    EDMPreconditioning,
    Eps,
    Parameterization,
    PosteriorMean,
    Score,
    V,
)
from genbench.diffusion.posterior import Interpolated
from genbench.diffusion.schedule import LinearSchedule
from genbench.diffusion.weighting import MinSNR, OfNoise, TrueBound, Unweighted, Weighting

ALL = [Eps(), X0(), V(), EDMPreconditioning(), Score(), PosteriorMean()]
T = 1000
STEPS = torch.tensor([2, 10, 300, 900, 1000])


@pytest.mark.parametrize("parameterization", ALL)
def test_min_snr_is_that_of_the_paper_in_every_parameterization(parameterization: Parameterization) -> None:
    schedule = LinearSchedule(T)
    ab = schedule.table[STEPS]
    snr = ab / (1 - ab)
    bounded = snr.clamp(max=5)
    papers = {Eps: bounded / snr, X0: bounded, V: bounded / (snr + 1)}  # Hang et al. 2023, Section 3.4
    if type(parameterization) in papers:
        found = MinSNR(5.0)(STEPS / T, schedule, parameterization).flatten()
        assert torch.allclose(found.double(), papers[type(parameterization)], rtol=1e-5)


@pytest.mark.parametrize("parameterization", ALL)
def test_the_true_bounds_weight_makes_the_distance_the_bounds_term(
    parameterization: Parameterization,
) -> None:
    """With the posterior's own variance, L_{k-1} / D is the weighted mean squared error."""
    schedule, rng = LinearSchedule(T), torch.Generator().manual_seed(0)
    t = STEPS / T
    at = parameterization.level(schedule, t)
    x0, eps, off = torch.randn(3, len(t), 1, 2, 2, generator=rng)
    xt = at.alpha * x0 + at.sigma * eps
    target = parameterization.target(x0, eps, at)
    output = target + 0.1 * off
    weight = TrueBound()(t, schedule, parameterization)
    x0_hat = parameterization.to_x0(output, xt, at)
    nats = step_nats(x0, xt, x0_hat, Interpolated(torch.zeros((), dtype=torch.float64)), t, schedule)
    # float32; eps at t = 1 divides by alpha = 0.006
    assert torch.allclose(L2()(output, target, weight=weight), nats / 4, rtol=2e-3)


def test_the_weight_on_eps_is_that_of_the_paper() -> None:
    """beta^2 / (2 beta~ alpha_k (1 - alpha_bar)), Ho et al. 2020, Eq. 12."""
    schedule = LinearSchedule(T)
    ab, ab_prev = schedule.table[STEPS], schedule.table[STEPS - 1]
    beta = 1 - ab / ab_prev
    tilde = beta * (1 - ab_prev) / (1 - ab)
    expected = beta**2 / (2 * tilde * (1 - beta) * (1 - ab))
    found = TrueBound()(STEPS / T, schedule, Eps()).flatten()
    assert torch.allclose(found.double(), expected, rtol=1e-5)


def test_no_weighting_is_one_everywhere_and_the_first_step_is_finite() -> None:
    t = torch.tensor([1 / T])
    assert Unweighted()(t, LinearSchedule(T), V()).tolist() == [[[[1.0]]]]
    assert bool(TrueBound()(t, LinearSchedule(T), V()).isfinite().all())


class Former(V):
    """A parameterization of somebody else, who knows gain(alpha_bar) alone."""

    def gain(self, alpha_bar: torch.Tensor) -> torch.Tensor:
        return 2 * super().gain(alpha_bar)


@pytest.mark.parametrize("weighting", [MinSNR(), TrueBound()])
def test_a_gain_that_depends_on_alpha_bar_alone_is_all_that_a_parameterization_states(
    weighting: Weighting,
) -> None:
    schedule, t = LinearSchedule(T), STEPS / T
    assert torch.allclose(weighting(t, schedule, Former()), 2 * weighting(t, schedule, V()))
    with pytest.raises(ValueError, match="gain_of_step"):
        PosteriorMean().gain(schedule.table[STEPS])


def test_a_gamma_that_means_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"weighting\.gamma is 0"):
        MinSNR(0.0)


def test_the_bounds_weight_on_the_mean_is_one_over_twice_the_variance() -> None:
    """|mu~ - mu|^2 / (2 beta~), Ho et al. 2020, Eq. 8."""
    schedule = LinearSchedule(T)
    ab, ab_prev = schedule.table[STEPS], schedule.table[STEPS - 1]
    tilde = (1 - ab / ab_prev) * (1 - ab_prev) / (1 - ab)
    found = TrueBound()(STEPS / T, schedule, PosteriorMean()).flatten()
    assert torch.allclose(found.double(), 1 / (2 * tilde), rtol=1e-5)


@pytest.mark.parametrize("objective", [L1(), L2(), Huber(0.5)])
@pytest.mark.parametrize("parameterization", ALL)
def test_the_weighting_of_the_noise_makes_every_loss_and_its_gradient_that_of_eps(
    parameterization: Parameterization, objective: Simple
) -> None:
    """For one and the same x0_hat; L_simple of Ho et al. 2020, and sigma^2 on a score, Song & Ermon 2019."""

    def loss(p: Parameterization, weighting: Weighting) -> tuple[torch.Tensor, torch.Tensor]:
        at = p.level(schedule, t)
        eps_hat = guess.clone().requires_grad_()
        x0_hat = (xt - at.sigma * eps_hat) / at.alpha
        output = p.target(x0_hat, eps_hat, at)  # the answer from which x0_hat and eps_hat follow
        scale = weighting.scale(t, schedule, p)
        factor = torch.ones(()) if scale is None else scale
        value = objective(factor * output, factor * p.target(x0, eps, at), weight=weighting(t, schedule, p))
        (gradient,) = torch.autograd.grad(value.sum(), eps_hat)
        return value.detach(), gradient

    # Past the first steps and before the last, where float32 holds x0 and eps alike
    schedule, t = LinearSchedule(T), torch.tensor([10, 100, 300, 600]).double() / T
    rng = torch.Generator().manual_seed(0)
    x0, eps, guess = torch.randn(3, 4, 1, 4, 4, generator=rng)
    at = schedule.level(t)
    xt = at.alpha * x0 + at.sigma * eps
    (expected, slope), (found, theirs) = loss(Eps(), Unweighted()), loss(parameterization, OfNoise())
    assert torch.allclose(found, expected, rtol=2e-3)
    assert torch.allclose(theirs, slope, rtol=1e-2, atol=1e-3)


def test_the_weighting_of_the_noise_is_sigma_on_a_score_and_one_on_eps() -> None:
    schedule = LinearSchedule(T)
    sigma = schedule.level(STEPS / T).sigma
    scales = [OfNoise().scale(STEPS / T, schedule, p) for p in (Score(), Eps())]
    for scale, expected in zip(scales, (sigma, torch.ones_like(sigma)), strict=True):
        assert scale is not None
        assert torch.allclose(scale, expected, rtol=1e-6)
