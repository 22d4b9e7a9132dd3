"""One step of an explicit Runge-Kutta method: the only integrator of the folder.

dx/du = rate(u) f(x, t(u)) from u to u + h, by stages j = 1..q that each start from the slope before:
f_j = f(x + c_j h rate_{j-1} f_{j-1}, t(u + c_j h)),   x(u + h) = x + h sum_j b_j rate_j f_j.
t is a function of u where steps of equal length in u are to be short in t somewhere; rate = dt/du, else 1.
"""

from collections.abc import Callable, Sequence
from typing import cast

from torch import Tensor

__all__ = ["EULER", "HEUN", "MIDPOINT", "RK4", "Stages", "slopes", "weighted_sum"]

Stages = Sequence[tuple[float, float]]
"""(c_j, b_j) of each stage; c_1 = 0, the b_j sum to 1."""

EULER: Stages = ((0.0, 1.0),)
MIDPOINT: Stages = ((0.0, 0.0), (0.5, 1.0))
HEUN: Stages = ((0.0, 1 / 2), (1.0, 1 / 2))
RK4: Stages = ((0.0, 1 / 6), (0.5, 2 / 6), (0.5, 2 / 6), (1.0, 1 / 6))


def slopes(
    stages: Stages,
    field: Callable[[Tensor, float], Tensor],
    x: Tensor,
    h: float | Tensor,
    rates: Sequence[float] | None = None,
) -> list[Tensor]:
    """Evaluate f_1 .. f_q, one pass each, for a step of length h from x (B, C, H, W).

    field: (state, c) -> f at u + c h. rates: rate_j at each stage, 1 where None.
    """
    found = list[Tensor]()
    for j, (c, _) in enumerate(stages):
        reach = c * h if rates is None else c * h * rates[j - 1]
        found.append(field(x + reach * found[-1] if found else x, c))
    return found


def weighted_sum(
    stages: Stages, values: Sequence[Tensor], rates: Sequence[float] | Tensor | None = None
) -> Tensor:
    """sum_j b_j rate_j values_j, in the shape of each value; times h it is the integral over the step.

    values: the slopes, or another integrand at the same stages. rates: rate_j at each stage, 1 where None.
    """
    factors = [1.0] * len(stages) if rates is None else rates
    terms = (b * factors[j] * values[j] for j, (_, b) in enumerate(stages) if b)
    return cast("Tensor", sum(terms))  # of one stage at least
