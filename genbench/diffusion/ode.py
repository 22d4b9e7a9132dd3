"""Solvers of dx/dt = -velocity(x, t) from t = start down to 0: the way of a flow from noise to images.

Samplers of diffusion models, which know their schedule, are in `sampler` and `fast_samplers`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from genbench.diffusion.runge_kutta import EULER, HEUN, MIDPOINT, Stages, slopes, weighted_sum
from genbench.probability.counts import MOST_PASSES, check_count

__all__ = ["Adaptive", "Euler", "Field", "FixedSteps", "Heun", "Midpoint", "Solver"]

LAST = 1e-3  # the time from which an adaptive solver goes to 0 in one step, since no velocity is known there

Field = Callable[[Tensor, Tensor], Tensor]
"""(x (B, C, H, W), t () float64 on the host) -> velocity (B, C, H, W), towards the data."""


class Solver(ABC):
    """A solver of dx/dt = -velocity(x, t), which takes states from t = start to t = 0; abstract.

    It calls the velocity and nothing else of a model, so that one solver serves every flow.
    """

    @abstractmethod
    def walk(self, velocity: Field, x: Tensor, start: float = 1.0) -> Iterator[Tensor]:
        """Yield the state after each step from x (B, C, H, W) at t = start; the last one is at t = 0.

        Raises FloatingPointError where the solver adapts its steps and needs too many.
        """


class FixedSteps(Solver):
    """Steps between t_k = (start^(1/rho) (1 - k / n))^rho, k = 0..n, fixed before the walk begins; abstract.

    steps: n from start = 1; from a lower start fewer, round(steps start^(1/rho)), at least 1.
    rho: 1 makes equal steps; more makes them shorter towards the data. A last step that begins at noise
    t = n^-rho loses about t^2 / (2 s^2) of the variance of data of standard deviation s.
    Raises ValueError unless steps >= 1 and rho > 0.
    Source of the form: Karras et al. 2022, Eq. 5, with sigma_min = 0.
    """

    order: int
    """The global error falls as steps^-order."""
    stages: Stages
    """The Runge-Kutta method of each step."""

    def __init__(self, steps: int, *, rho: float = 1.0) -> None:
        check_count("solver.steps", steps, MOST_PASSES, usual=20)
        if not 0 < rho < math.inf:
            raise ValueError(f"solver.rho is {rho}; it must be above 0: 1 for equal steps, e.g. 2")
        self.steps, self.rho = steps, rho

    def times(self, start: float = 1.0) -> Tensor:
        """Return start = t_0 > .. > t_n = 0, where steps begin and end: (n + 1,) float64 on the host."""
        # The power is undone before times are laid out evenly.
        top = start ** (1 / self.rho)
        return torch.linspace(top, 0, max(round(self.steps * top), 1) + 1, dtype=torch.float64) ** self.rho

    def walk(self, velocity: Field, x: Tensor, start: float = 1.0) -> Iterator[Tensor]:
        times = self.times(start)
        lengths = (-times.diff()).tolist()
        for k, h in enumerate(lengths):
            yield (x := self.step(velocity, x, times[k], h, last=k == len(lengths) - 1))

    def step(self, velocity: Field, x: Tensor, t: Tensor, h: float, *, last: bool) -> Tensor:
        """One step from x (B, C, H, W) at t () float64 to t - h, which is 0 in the last step."""
        # At t = 0 the velocity of an image is not defined: a method that evaluates there ends by Euler's.
        stages = EULER if last and self.stages[-1][0] == 1 else self.stages
        found = slopes(stages, towards_data(velocity, t, h), x, h)
        return x + h * weighted_sum(stages, found)


class Euler(FixedSteps):
    """x + h velocity(x, t): first order, one pass a step, exact for straight paths."""

    order = 1
    stages = EULER


class Midpoint(FixedSteps):
    """x + h velocity(x + h/2 velocity(x, t), t - h/2): second order, two passes a step, none at t = 0."""

    order = 2
    stages = MIDPOINT


class Heun(FixedSteps):
    """x + h/2 (v + velocity(x + h v, t - h)), v = velocity(x, t): second order, two passes a step.

    The last step is Euler's, in one pass; where that step begins above a seventh of the data's own noise it
    loses variance, see rho.
    """

    order = 2
    stages = HEUN


class Adaptive(Solver):
    """Heun's method with Euler's as its error estimate; steps are as long as the tolerance allows.

    tolerance: bound on max |Heun - Euler| of a step over the batch, images being in [-1, 1]; a step that
    exceeds it is repeated, shorter. The batch shares its steps, so that a sample depends a little on its
    batch. Each step reads its error from the device, which no solver of this kind can do without.
    most: the number of steps after which it raises FloatingPointError.
    Raises ValueError unless tolerance > 0 and most >= 1.
    Source: Hairer, Norsett & Wanner 1993, Section II.4, Eq. 4.13, with safety factor 0.9.
    """

    def __init__(self, tolerance: float = 0.02, *, most: int = 1000) -> None:
        if not tolerance > 0 or most < 1:
            raise ValueError(f"solver.tolerance={tolerance} must be above 0, solver.most={most} at least 1")
        self.tolerance, self.most = tolerance, most

    def walk(self, velocity: Field, x: Tensor, start: float = 1.0) -> Iterator[Tensor]:
        t, h = start, start / 10
        for _ in range(self.most):
            # The last step but one ends at LAST exactly, the last one at 0.
            h = min(h, t - LAST) if t > LAST else t
            now = torch.tensor(t, dtype=torch.float64)
            if t == h:
                yield x + h * velocity(x, now)
                return
            here, there = slopes(HEUN, towards_data(velocity, now, h), x, h)
            difference = h / 2 * (there - here)  # Heun's step less Euler's
            error = float(difference.abs().max())
            if error <= self.tolerance:
                x, t = x + h * here + difference, max(t - h, LAST)
                yield x
            # The local error is of order h^2; no step is more than five times longer or shorter than before.
            h *= min(max(0.9 * (self.tolerance / max(error, 1e-12)) ** 0.5, 0.2), 5.0)
        raise FloatingPointError(
            f"the ODE is not solved within solver.most={self.most} steps: raise solver.tolerance"
        )


def towards_data(velocity: Field, t: Tensor, h: float) -> Callable[[Tensor, float], Tensor]:
    """Return the velocity as a function of the state and of c, the share of a step from t to t - h."""
    return lambda x, c: velocity(x, t - c * h)
