"""Noise schedules: how much of the data is left at time t.

Notation of the whole package: xt = alpha * x0 + sigma * eps, alpha^2 = alpha_bar, sigma^2 = 1 - alpha_bar.
Time t is in [0, 1]: 0 is data, 1 is noise; step k = 1..T stands at t = k / T. Tables are float64.
"""

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["Cosine", "Geometric", "Level", "Linear", "Schedule", "Sigmoid", "betas_of_alpha_bar"]

BETA_MAX = 0.999  # keeps alpha_bar_T above 0 (Nichol & Dhariwal 2021, Section 3.2)


class Level(NamedTuple):
    """Signal and noise at some times, shaped to multiply images: each (B, 1, 1, 1) float32."""

    alpha: Tensor
    sigma: Tensor


class Schedule(nn.Module, ABC):
    """A discrete noise schedule of T steps, the only holder of alpha_bar.

    alpha_bar_k = prod_{i <= k} (1 - beta_i), alpha_bar_0 = 1.
    Raises ValueError where a beta leaves (0, 1).
    """

    table: Tensor
    """alpha_bar on the grid, (T + 1,) float64."""

    def __init__(self, T: int) -> None:
        super().__init__()
        if T < 1:
            raise ValueError(f"schedule.T is {T}; it must be a whole number of at least 1, e.g. 1000")
        self.T = T
        betas = self.betas()
        if not bool(((betas > 0) & (betas < 1)).all()):
            raise ValueError(
                f"{type(self).__name__}(T={T}) has betas from {float(betas.min()):.4g} to "
                f"{float(betas.max()):.4g}; each must lie in (0, 1): take a larger T or smaller ends"
            )
        one = torch.ones(1, dtype=torch.float64)
        table = torch.cat([one, torch.cumprod(1 - betas, dim=0)])
        self.register_buffer("table", table, persistent=False)

    @abstractmethod
    def betas(self) -> Tensor:
        """beta_1 .. beta_T, (T,) float64."""

    def alpha_bar(self, t: Tensor) -> Tensor:
        """alpha_bar at times t (B,) in [0, 1], each on the grid k / T: (B,) float64."""
        return self.table[torch.round(t.double() * self.T).long()]

    def level(self, t: Tensor) -> Level:
        """alpha and sigma at times t (B,): (B, 1, 1, 1) float32 each."""
        alpha_bar = self.alpha_bar(t)[:, None, None, None]
        return Level(alpha_bar.sqrt().float(), (1 - alpha_bar).sqrt().float())

    def times(self, steps: int) -> Tensor:
        """1 = t_0 > t_1 > .. > t_steps = 0, as evenly spaced as the grid allows: (steps + 1,) float64.

        Raises ValueError unless 1 <= steps <= T.
        """
        if not 1 <= steps <= self.T:
            raise ValueError(
                f"sampler.steps is {steps}; it must be from 1 to schedule.T={self.T}: "
                "take fewer steps or a larger T"
            )
        grid = torch.linspace(self.T, 0, steps + 1, dtype=torch.float64, device=self.table.device)
        return torch.round(grid) / self.T


class Linear(Schedule):
    """beta rises linearly from beta_1 to beta_T, given for T = 1000 and scaled by 1000 / T otherwise.

    Source: Ho et al. 2020, Section 4.
    """

    def __init__(self, T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02) -> None:
        self.ends = (beta_1 * 1000 / T, beta_T * 1000 / T) if T > 0 else (beta_1, beta_T)
        super().__init__(T)

    def betas(self) -> Tensor:
        return torch.linspace(*self.ends, self.T, dtype=torch.float64)


class Geometric(Schedule):
    """beta in geometric progression between the ends of the linear schedule, scaled alike."""

    def __init__(self, T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02) -> None:
        if min(beta_1, beta_T) <= 0:
            raise ValueError(f"beta_1={beta_1} and beta_T={beta_T} must both be above 0")
        self.ends = (beta_1 * 1000 / T, beta_T * 1000 / T) if T > 0 else (beta_1, beta_T)
        super().__init__(T)

    def betas(self) -> Tensor:
        first, last = map(math.log, self.ends)
        return torch.linspace(first, last, self.T, dtype=torch.float64).exp()


class Cosine(Schedule):
    """f(u) = cos^2(((u + s) / (1 + s)) pi / 2), beta_k = min(1 - f(k/T) / f((k-1)/T), 0.999).

    Source: Nichol & Dhariwal 2021, Eq. 17.
    """

    def __init__(self, T: int = 1000, s: float = 0.008, beta_max: float = BETA_MAX) -> None:
        self.s, self.beta_max = s, beta_max
        super().__init__(T)

    def betas(self) -> Tensor:
        u = torch.arange(self.T + 1, dtype=torch.float64) / self.T
        f = torch.cos((u + self.s) / (1 + self.s) * math.pi / 2).square()
        return betas_of_alpha_bar(f, self.beta_max)


class Sigmoid(Schedule):
    """alpha_bar(u) = (S(end) - S(start + u (end - start))) / (S(end) - S(start)), S(v) = sigmoid(v / tau).

    Source: Jabri et al. 2022, Algorithm 1 of the appendix; betas clipped at beta_max as for the cosine.
    """

    def __init__(
        self,
        T: int = 1000,
        start: float = -3.0,
        end: float = 3.0,
        tau: float = 1.0,
        beta_max: float = BETA_MAX,
    ) -> None:
        if not (start < end and tau > 0):
            raise ValueError(f"start={start}, end={end}, tau={tau}: start must be below end, tau above 0")
        self.start, self.end, self.tau, self.beta_max = start, end, tau, beta_max
        super().__init__(T)

    def betas(self) -> Tensor:
        u = torch.linspace(self.start, self.end, self.T + 1, dtype=torch.float64)
        s = torch.sigmoid(u / self.tau)
        return betas_of_alpha_bar((s[-1] - s) / (s[-1] - s[0]), self.beta_max)


def betas_of_alpha_bar(alpha_bar: Tensor, beta_max: float) -> Tensor:
    """beta_k = min(1 - alpha_bar_k / alpha_bar_{k-1}, beta_max): (T + 1,) -> (T,)."""
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=beta_max)
