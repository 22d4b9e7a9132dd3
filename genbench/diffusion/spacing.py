"""The spacing of a sampler's steps on the schedule's grid."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from genbench.diffusion.schedule import Schedule

__all__ = ["Karras", "LogSNR", "NoiseSpacing", "Spacing", "UniformSpacing", "distinct"]


class Spacing(ABC):
    """A choice of the times that a sampler visits; abstract.

    It decides at which levels of noise a given number of passes is spent.
    """

    @abstractmethod
    def times(self, schedule: Schedule, steps: int, start: float = 1.0) -> Tensor:
        """Return about `start` = t_0 > t_1 > .. > t_steps = 0, all on the grid: (steps + 1,) float64.

        start: 1 for pure noise, less for a noised image.
        Raises ValueError unless 0 < start <= 1, and the grid has as many steps up to it.
        """


class UniformSpacing(Spacing):
    """Times in even steps of t, rounded to the grid: the spacing of ancestral sampling and of DDIM.

    Source: Song et al. 2021 (DDIM), Appendix D.2 ("linear").
    """

    def times(self, schedule: Schedule, steps: int, start: float = 1.0) -> Tensor:
        return schedule.times(steps, start)


class NoiseSpacing(Spacing):
    """Times by the noise level s = sigma / alpha, from that at `start` to that at 1 / T, then 0; abstract.

    sigma_max: where s is larger at the start (it is infinite at alpha = 0), the first step leads down to here
    and the others are laid out from here. Above it nothing of an image is seen in the noise, so there is
    nothing to resolve, yet the end of the cosine schedule (s up to 20,000) would take most of the steps.
    Raises ValueError unless sigma_max is above 0 and finite.
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
        # The time of s = sigma_max, where `start` is noisier than that.
        noisy = torch.minimum(top, schedule.nearest(torch.full_like(top, -2 * math.log(self.sigma_max))))
        ends = torch.cat([noisy, torch.ones_like(top) / schedule.T])
        beyond = bool(noisy < top)
        # One time is `top` itself where it lies above sigma_max.
        first, last = schedule.half_log_snr(ends).tolist()
        lam = self.between(first, last, steps - 1 if beyond else steps)
        falling = [
            top if beyond else top[:0],
            schedule.nearest(2 * lam.to(top.device)),
            torch.zeros_like(top),
        ]
        # Times that round to one grid step are moved apart.
        k = torch.round(torch.cat(falling) * schedule.T).long()
        return distinct(k.flip(0)).flip(0).double() / schedule.T

    @abstractmethod
    def between(self, noisy: float, clean: float, n: int) -> Tensor:
        """Return n values of lambda = -log s from the noisy end to the clean end: (n,) float64."""


class LogSNR(NoiseSpacing):
    """Times in even steps of lambda = log(alpha / sigma) = -log s.

    Source: Lu et al. 2022 (DPM-Solver), its step size schedule.
    """

    def between(self, noisy: float, clean: float, n: int) -> Tensor:
        return torch.linspace(noisy, clean, n, dtype=torch.float64)


class Karras(NoiseSpacing):
    """Times in even steps of s^(1 / rho): the larger rho, the more steps at low noise.

    Raises ValueError unless rho > 0. Source: Karras et al. 2022, Eq. 5.
    """

    def __init__(self, rho: float = 7.0, *, sigma_max: float = 80.0) -> None:
        super().__init__(sigma_max=sigma_max)
        if not rho > 0:
            raise ValueError(f"sampler.spacing.rho is {rho}; it must be above 0, e.g. 7.0")
        self.rho = rho

    def between(self, noisy: float, clean: float, n: int) -> Tensor:
        # s^(1/rho) = e^(-lambda / rho) at both ends.
        first, last = (math.exp(-lam / self.rho) for lam in (noisy, clean))
        return -self.rho * torch.linspace(first, last, n, dtype=torch.float64).log()


def distinct(k: Tensor) -> Tensor:
    """Move rising grid steps 0 = k_0 <= .. <= k_n, n <= k_n, apart until all differ: (n + 1,) int64.

    The ends are unchanged. A step that is not above the one before moves up, as far as leaves room for those
    behind it. A sampler cannot take a step from a time to itself.
    """
    rank = torch.arange(len(k), device=k.device)
    room = k[-1] - rank[-1]
    return (k - rank).cummax(dim=0).values.clamp(max=room) + rank
