"""Weightings of the distance, in terms of what they mean for eps and x0."""

import pytest
import torch

from genbench.diffusion.bound import step_nats
from genbench.diffusion.objective import L2
from genbench.diffusion.parameterization import X0, EDMPreconditioning, Eps, Parameterization, V
from genbench.diffusion.posterior import Interpolated
from genbench.diffusion.schedule import LinearSchedule
from genbench.diffusion.weighting import MinSNR, TrueBound, Unweighted

ALL = [Eps(), X0(), V(), EDMPreconditioning()]
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
    at = schedule.level(t)
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


def test_a_gamma_that_means_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"weighting\.gamma is 0"):
        MinSNR(0.0)
