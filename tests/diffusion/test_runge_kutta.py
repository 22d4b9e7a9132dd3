"""Runge-Kutta steps: their order, on an equation whose solution is known, with and without a rate."""

import math

import pytest
import torch
from torch import Tensor

from genbench.diffusion.runge_kutta import EULER, HEUN, MIDPOINT, RK4, Stages, slopes, weighted_sum
from tests.diffusion.laws import orders

METHODS = [(EULER, 1), (MIDPOINT, 2), (HEUN, 2), (RK4, 4)]
IDS = ["euler", "midpoint", "heun", "rk4"]


def solve(stages: Stages, steps: int, *, substituted: bool = False) -> float:
    """x(1) of dx/dt = x cos(t), x(0) = 1, in equal steps of t, or of u where t = u^2 and dt/du = 2 u."""
    x, h = torch.ones((), dtype=torch.float64), 1 / steps
    for k in range(steps):
        u, rates = k * h, [2 * (k + c) * h for c, _ in stages] if substituted else None

        def field(state: Tensor, c: float, u: float = u) -> Tensor:
            at = u + c * h
            return state * math.cos(at**2 if substituted else at)

        x = x + h * weighted_sum(stages, slopes(stages, field, x, h, rates), rates)
    return float(x)


@pytest.mark.parametrize(("stages", "order"), METHODS, ids=IDS)
@pytest.mark.parametrize("substituted", [False, True])
def test_the_error_falls_with_the_order_of_the_method(stages: Stages, order: int, substituted: bool) -> None:
    exact = math.exp(math.sin(1))
    errors = [abs(solve(stages, steps, substituted=substituted) - exact) for steps in (20, 40, 80)]
    assert orders(errors) == pytest.approx([order] * 2, abs=0.25)


@pytest.mark.parametrize("stages", [stages for stages, _ in METHODS], ids=IDS)
def test_weights_sum_to_one_and_the_first_stage_is_where_the_step_begins(stages: Stages) -> None:
    assert sum(b for _, b in stages) == pytest.approx(1)
    assert stages[0][0] == 0
    ones = [torch.ones(2)] * len(stages)
    assert torch.allclose(weighted_sum(stages, ones), torch.ones(2))


def test_each_stage_is_one_evaluation_from_the_slope_before() -> None:
    seen = list[tuple[float, float]]()

    def field(state: Tensor, c: float) -> Tensor:
        seen.append((c, float(state)))
        return torch.full((), len(seen), dtype=torch.float64)

    assert [float(slope) for slope in slopes(RK4, field, torch.zeros(()), 1.0)] == [1, 2, 3, 4]
    assert seen == [(0.0, 0.0), (0.5, 0.5), (0.5, 1.0), (1.0, 3.0)]
