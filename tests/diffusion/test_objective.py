"""Objectives in closed form."""

import pytest
import torch

from genbench.diffusion.bound import step_nats
from genbench.diffusion.objective import L1, L2, VLB, Case, Huber, Hybrid, Simple
from genbench.diffusion.posterior import Interpolated, posterior
from genbench.diffusion.schedule import LinearSchedule, Schedule
from genbench.diffusion.variance import Beta, BetaTilde, LearnedVariance

RESIDUALS = torch.tensor([[0.0, 0.5, -2.0, 4.0]]).reshape(1, 1, 2, 2)


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        (L1(), (0 + 0.5 + 2 + 4) / 4),
        (L2(), (0 + 0.25 + 4 + 16) / 4),
        (Huber(1.0), (0 + 0.125 + 1.5 + 3.5) / 4),
        (Huber(3.0), (0 + 0.125 + 2 + 3 * (4 - 1.5)) / 4),
    ],
)
def test_objectives_have_their_closed_form(objective: Simple, expected: float) -> None:
    target = torch.full_like(RESIDUALS, 0.25)
    assert objective(RESIDUALS + target, target).tolist() == [pytest.approx(expected)]


def test_huber_of_a_wide_delta_is_half_the_squared_error() -> None:
    target = torch.zeros_like(RESIDUALS)
    assert torch.equal(2 * Huber(100.0)(RESIDUALS, target), L2()(RESIDUALS, target))


def test_objectives_are_float32_whatever_the_network_answers() -> None:
    assert L2()(RESIDUALS.bfloat16(), RESIDUALS).dtype == torch.float32


@pytest.mark.parametrize("delta", [0.0, -1.0])
def test_huber_refuses_a_delta_that_is_not_positive(delta: float) -> None:
    with pytest.raises(ValueError, match=r"loss\.delta"):
        Huber(delta)


def case(schedule: Schedule, k: int, x0_hat: torch.Tensor, v: torch.Tensor) -> Case:
    rng = torch.Generator().manual_seed(0)
    x0 = torch.rand(4, 1, 2, 2, generator=rng) * 2 - 1
    t = torch.full((4,), k / schedule.T, dtype=torch.float64)
    at, eps = schedule.level(t), torch.randn(x0.shape, generator=rng)
    return Case(
        x0=x0,
        xt=at.alpha * x0 + at.sigma * eps,
        t=t,
        target=x0,
        output=x0_hat,
        x0_hat=x0_hat,
        variance=Interpolated(v),
        weight=torch.ones(4, 1, 1, 1),
    )


def test_the_hybrids_bound_gives_the_mean_no_gradient_and_the_variance_some() -> None:
    x0_hat = torch.zeros(4, 1, 2, 2, requires_grad=True)
    v = torch.full((4, 1, 2, 2), 0.5, requires_grad=True)
    terms = Hybrid().terms(case(LinearSchedule(1000), 300, x0_hat, v), LinearSchedule(1000))
    of_mean, of_v = torch.autograd.grad(terms["vlb"].sum(), (x0_hat, v), allow_unused=True)
    assert of_mean is None
    assert bool((of_v != 0).all())
    assert bool((torch.autograd.grad(terms["simple"].sum(), x0_hat)[0] != 0).any())


def test_the_hybrid_weighs_the_sum_over_all_steps_by_its_scale() -> None:
    """scale T L_{t-1} / D: leaving out T would weigh the bound a thousandth of what the paper says."""
    x0_hat, v = torch.zeros(4, 1, 2, 2), torch.full((4, 1, 2, 2), 0.5)
    for T, k in ((1000, 300), (4000, 300)):
        schedule = LinearSchedule(T)
        each = case(schedule, k, x0_hat, v)
        nats = step_nats(each.x0, each.xt, x0_hat, Interpolated(v), each.t, schedule)
        assert torch.allclose(Hybrid(0.001).terms(each, schedule)["vlb"], 0.001 * T * nats / 4)


def test_the_bound_counts_what_is_left_at_the_last_step_and_one_step_for_all() -> None:
    schedule = LinearSchedule(1000)
    x0_hat = torch.zeros(4, 1, 2, 2, requires_grad=True)
    terms = VLB().terms(case(schedule, 10, x0_hat, torch.zeros(())), schedule)
    assert list(terms) == ["prior", "vlb"]
    assert bool((torch.autograd.grad(terms["vlb"].sum(), x0_hat)[0] != 0).any())


def test_a_learned_variance_spans_the_two_fixed_ones() -> None:
    """Raw answers of -1 and +1 are beta~ and beta."""
    image, ones = torch.zeros(2, 1, 2, 2), torch.ones(2, 1, 2, 2)
    for raw, fixed in ((-1, BetaTilde()), (1, Beta())):
        t = torch.full((2,), 0.5, dtype=torch.float64)
        answer, variance = LearnedVariance().split(torch.cat([image, raw * ones], dim=1), t)
        assert torch.equal(answer, image)
        q = posterior(torch.tensor(0.5).double(), torch.tensor(0.7).double())
        assert bool((variance.log(q) == fixed.split(image, t)[1].log(q)).all())


def test_settings_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match=r"loss\.scale is 0"):
        Hybrid(0.0)
    with pytest.raises(ValueError, match=r"variance\.answers is 3"):
        LearnedVariance(3)
