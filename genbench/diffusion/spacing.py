"""Where on the schedule's grid the steps of a sampler stand."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from genbench.diffusion.schedule import Schedule

__all__ = ["Karras", "LogSNR", "Noise", "Spacing", "Uniform", "distinct"]


class Spacing(ABC):
    """A choice of times."""

    @abstractmethod
    def times(self, schedule: Schedule, steps: int, start: float = 1.0) -> Tensor:
        """About `start` = t_0 > t_1 > .. > t_steps = 0, all on the grid: (steps + 1,) float64.

        Raises ValueError unless 0 < start <= 1, and the grid has as many steps up to it.
        """


class Uniform(Spacing):
    """Evenly in t."""

    def times(self, schedule: Schedule, steps: int, start: float = 1.0) -> Tensor:
        return schedule.times(steps, start)


class Noise(Spacing):
    """By the noise level s = sigma / alpha, from that at `start` to that of the grid's first step; then 0.

    sigma_max: where s is larger at the start (it is infinite at alpha = 0), the first step leads down to here
    and the others are laid out from here. Above it nothing of an image is seen in the noise, so there is
    nothing to resolve, yet the end of the cosine schedule (s up to 20,000) would take most of the steps.
    Source of the default: Karras et al. 2022, Table 1.
    """

    def __init__(self, *, sigma_max: float = 80.0) -> None:
        if not 0 < sigma_max < math.inf:
            raise ValueError(
                f"sampler.spacing.sigma_max is {sigma_max}; it must be above 0 and finite, e.g. 80.0"
            )
        self.sigma_max = sigma_max

    @torch.no_grad()
    def times(self, schedule: Schedule, steps: int, start: float = 1.0) -> Tensor:
        top = schedule.times(steps, start)[:1]
        noisy = torch.minimum(top, schedule.nearest(torch.full_like(top, -2 * math.log(self.sigma_max))))
        ends = torch.cat([noisy, torch.ones_like(top) / schedule.T])
        beyond = bool(noisy < top)
        lam = self.between(*(schedule.log_snr(ends) / 2).tolist(), steps - 1 if beyond else steps)
        falling = [
            top if beyond else top[:0],
            schedule.nearest(2 * lam.to(top.device)),
            torch.zeros_like(top),
        ]
        k = torch.round(torch.cat(falling) * schedule.T).long()
        return distinct(k.flip(0)).flip(0).double() / schedule.T

    @abstractmethod
    def between(self, noisy: float, clean: float, n: int) -> Tensor:
        """n half log-SNRs lambda = -log s from one to the other: (n,) float64."""


class LogSNR(Noise):
    """Evenly in lambda = log(alpha / sigma) = -log s.

    Source: Lu et al. 2022 (DPM-Solver), its step size schedule.
    """

    def between(self, noisy: float, clean: float, n: int) -> Tensor:
        return torch.linspace(noisy, clean, n, dtype=torch.float64)


class Karras(Noise):
    """Evenly in s^(1 / rho): the larger rho, the more steps at low noise.

    Source: Karras et al. 2022, Eq. 5.
    """

    def __init__(self, rho: float = 7.0, *, sigma_max: float = 80.0) -> None:
        super().__init__(sigma_max=sigma_max)
        if not rho > 0:
            raise ValueError(f"sampler.spacing.rho is {rho}; it must be above 0, e.g. 7.0")
        self.rho = rho

    def between(self, noisy: float, clean: float, n: int) -> Tensor:
        ends = (math.exp(-lam / self.rho) for lam in (noisy, clean))
        return -self.rho * torch.linspace(*ends, n, dtype=torch.float64).log()


def distinct(k: Tensor) -> Tensor:
    """Rising grid steps 0 = k_0 <= .. <= k_n, n <= k_n, moved apart until all differ: (n + 1,) int64.

    The ends stay. A step that is not above the one before moves up, as far as leaves room for those behind.
    """
    rank = torch.arange(len(k), device=k.device)
    room = k[-1] - rank[-1]
    return (k - rank).cummax(dim=0).values.clamp(max=room) + rank
