"""Solvers of dx/dt = -velocity(x, t) from t = start down to 0: how a flow takes noise to images."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

__all__ = ["Adaptive", "Euler", "Field", "FixedSteps", "Heun", "Midpoint", "Solver"]

LAST = 1e-3  # the time from which an adaptive solver goes to 0 in one step, since no velocity is known there

Field = Callable[[Tensor, Tensor], Tensor]
"""(x (B, C, H, W), t () float64 on the host) -> velocity (B, C, H, W), towards the data."""


class Solver(ABC):
    """A walk from t = start to t = 0."""

    @abstractmethod
    def walk(self, velocity: Field, x: Tensor, start: float = 1.0) -> Iterator[Tensor]:
        """The states after each step, the last one at t = 0."""


class FixedSteps(Solver):
    """Steps between t_k = (start^(1/rho) (1 - k / n))^rho, k = 0..n, fixed before the walk begins.

    steps: n from start = 1; from a lower start fewer, round(steps start^(1/rho)), at least 1.
    rho: 1 makes equal steps; more makes them shorter towards the data. A last step that begins at noise
    t = n^-rho loses about t^2 / (2 s^2) of the variance of data of standard deviation s.
    Source of the form: Karras et al. 2022, Eq. 5, with sigma_min = 0.
    """

    order: int

    def __init__(self, steps: int, *, rho: float = 1.0) -> None:
        if steps < 1:
            raise ValueError(f"solver.steps is {steps}; it must be at least 1, e.g. 20")
        if not 0 < rho < math.inf:
            raise ValueError(f"solver.rho is {rho}; it must be above 0: 1 for equal steps, e.g. 2")
        self.steps, self.rho = steps, rho

    def times(self, start: float = 1.0) -> Tensor:
        """start = t_0 > .. > t_n = 0: (n + 1,) float64 on the host."""
        top = start ** (1 / self.rho)
        return torch.linspace(top, 0, max(round(self.steps * top), 1) + 1, dtype=torch.float64) ** self.rho

    def walk(self, velocity: Field, x: Tensor, start: float = 1.0) -> Iterator[Tensor]:
        times = self.times(start)
        lengths = (-times.diff()).tolist()
        for k, h in enumerate(lengths):
            x = self.step(velocity, x, times[k], h, last=k == len(lengths) - 1)
            yield x

    @abstractmethod
    def step(self, velocity: Field, x: Tensor, t: Tensor, h: float, *, last: bool) -> Tensor:
        """x (B, C, H, W) at t - h, which is 0 in the last step; t () float64."""


class Euler(FixedSteps):
    """x + h velocity(x, t): one pass a step, exact for straight paths."""

    order = 1

    def step(self, velocity: Field, x: Tensor, t: Tensor, h: float, *, last: bool) -> Tensor:
        return x + h * velocity(x, t)


class Midpoint(FixedSteps):
    """x + h velocity(x + h/2 velocity(x, t), t - h/2): two passes a step, none of them at t = 0."""

    order = 2

    def step(self, velocity: Field, x: Tensor, t: Tensor, h: float, *, last: bool) -> Tensor:
        return x + h * velocity(x + h / 2 * velocity(x, t), t - h / 2)


class Heun(FixedSteps):
    """The mean of the velocities at both ends: two passes a step, one in the last, which ends at the data.

    The last step is Euler's, since at t = 0 the velocity of an image is not defined by the image; where that
    step begins above a seventh of the data's own noise it loses variance, see rho.
    """

    order = 2

    def step(self, velocity: Field, x: Tensor, t: Tensor, h: float, *, last: bool) -> Tensor:
        here = velocity(x, t)
        there = x + h * here
        return there if last else x + h / 2 * (here + velocity(there, t - h))


class Adaptive(Solver):
    """Heun's method with Euler's as its error estimate; steps are as long as the tolerance allows.

    tolerance: bound on max |Heun - Euler| of a step over the batch, images being in [-1, 1]; a step that
    misses it is repeated, shorter. The batch shares its steps, so that a sample depends a little on its
    batch. Each step reads its error from the device, which no solver of this kind can do without.
    most: steps after which it gives up, by a FloatingPointError.
    Source: Hairer, Norsett & Wanner 1993, Section II.4, Eq. 4.13, with safety factor 0.9.
    """

    def __init__(self, tolerance: float = 0.02, *, most: int = 1000) -> None:
        if not tolerance > 0 or most < 1:
            raise ValueError(f"solver.tolerance={tolerance} must be above 0, solver.most={most} at least 1")
        self.tolerance, self.most = tolerance, most

    def walk(self, velocity: Field, x: Tensor, start: float = 1.0) -> Iterator[Tensor]:
        t, h = start, start / 10
        for _ in range(self.most):
            h = min(h, t - LAST) if t > LAST else t
            now = torch.tensor(t, dtype=torch.float64)
            here = velocity(x, now)
            there = x + h * here
            if t == h:
                yield there
                return
            bend = h / 2 * (velocity(there, now - h) - here)
            error = float(bend.abs().max())
            if error <= self.tolerance:
                x, t = there + bend, max(t - h, LAST)
                yield x
            h *= min(max(0.9 * (self.tolerance / max(error, 1e-12)) ** 0.5, 0.2), 5.0)
        raise FloatingPointError(
            f"the ODE is not solved within solver.most={self.most} steps: raise solver.tolerance"
        )
