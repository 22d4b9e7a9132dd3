"""Noise schedules: how much of the data is left at time t.

Notation of the whole package: xt = alpha * x0 + sigma * eps, alpha^2 = alpha_bar, sigma^2 = 1 - alpha_bar.
Time t is in [0, 1]: 0 is data, 1 is noise; step k = 1..T stands at t = k / T. Tables are float64.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "EDM",
    "Cosine",
    "Fixed",
    "Geometric",
    "Level",
    "Linear",
    "Schedule",
    "Sigmoid",
    "ZeroTerminal",
    "betas_of_alpha_bar",
]

BETA_MAX = 0.999  # keeps alpha_bar_T above 0 (Nichol & Dhariwal 2021, Section 3.2)


class Level(NamedTuple):
    """Signal and noise at some times, shaped to multiply images: each (B, 1, 1, 1) float32."""

    alpha: Tensor
    sigma: Tensor


class Schedule(nn.Module, ABC):
    """A discrete noise schedule of T steps, the only holder of alpha_bar; alpha_bar_0 = 1.

    Those with parameters learn: what they answer carries gradient.
    """

    grid: Tensor
    """The steps 0..T, (T + 1,) int64."""

    def __init__(self, T: int) -> None:
        super().__init__()
        if T < 1:
            raise ValueError(f"schedule.T is {T}; it must be a whole number of at least 1, e.g. 1000")
        self.T = T
        self.register_buffer("grid", torch.arange(T + 1), persistent=False)

    @abstractmethod
    def at(self, k: Tensor) -> Tensor:
        """alpha_bar at steps k (B,) int64 in 0..T: (B,) float64, strictly falling in k."""

    @property
    def table(self) -> Tensor:
        """alpha_bar on the grid, (T + 1,) float64."""
        return self.at(self.grid)

    def levels(self) -> tuple[Tensor, Tensor]:
        """Times and alpha_bar at some hundred steps of the grid, or all of fewer: (n,) float64 each."""
        each = max(self.T // 100, 1)
        return self.grid[::each].double() / self.T, self.table[::each]

    def alpha_bar(self, t: Tensor) -> Tensor:
        """alpha_bar at times t (B,) in [0, 1], each on the grid k / T: (B,) float64."""
        return self.at(torch.round(t.double() * self.T).long())

    def log_snr(self, t: Tensor) -> Tensor:
        """log alpha_bar - log(1 - alpha_bar) at times t (B,): (B,) float64, infinite at t = 0."""
        return torch.logit(self.alpha_bar(t))

    @torch.no_grad()
    def nearest(self, log_snr: Tensor) -> Tensor:
        """The times in 1/T..1 whose log-SNR is nearest to these (B,): (B,) float64."""
        rising = torch.logit(self.table[1:]).flip(0)
        middles = (rising[1:] + rising[:-1]) / 2
        return (self.T - torch.searchsorted(middles, log_snr.double())).double() / self.T

    def around(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """alpha_bar at times t (B,) and one step before them: (B, 1, 1, 1) float64 each."""
        before = t - 1 / self.T
        return self.alpha_bar(t)[:, None, None, None], self.alpha_bar(before)[:, None, None, None]

    def level(self, t: Tensor) -> Level:
        """alpha and sigma at times t (B,): (B, 1, 1, 1) float32 each."""
        alpha_bar = self.alpha_bar(t)[:, None, None, None]
        return Level(alpha_bar.sqrt().float(), (1 - alpha_bar).sqrt().float())

    def times(self, steps: int, start: float = 1.0) -> Tensor:
        """start = t_0 > t_1 > .. > t_steps = 0, as evenly spaced as the grid allows: (steps + 1,) float64.

        Raises ValueError unless 0 < start <= 1, and the grid has as many steps up to it.
        """
        if not 0 < start <= 1:
            raise ValueError(f"start is {start}; it must be above 0 (an image) and at most 1 (pure noise)")
        top = max(round(start * self.T), 1)
        if not 1 <= steps <= top:
            raise ValueError(
                f"sampler.steps is {steps}; it must be from 1 to schedule.T={self.T}: "
                "take fewer steps or a larger T"
            )
        grid = torch.linspace(top, 0, steps + 1, dtype=torch.float64, device=self.grid.device)
        return torch.round(grid) / self.T


class Fixed(Schedule):
    """A schedule that is given by its betas: alpha_bar_k = prod_{i <= k} (1 - beta_i).

    Raises ValueError where a beta leaves (0, 1).
    """

    alpha_bars: Tensor
    """alpha_bar on the grid, (T + 1,) float64."""

    def __init__(self, T: int) -> None:
        super().__init__(T)
        betas = self.betas()
        if not bool(((betas > 0) & (betas < 1)).all()):
            raise ValueError(
                f"{type(self).__name__}(T={T}) has betas from {float(betas.min()):.4g} to "
                f"{float(betas.max()):.4g}; each must lie in (0, 1): take a larger T or smaller ends"
            )
        one = torch.ones(1, dtype=torch.float64)
        alpha_bars = torch.cat([one, torch.cumprod(1 - betas, dim=0)])
        self.register_buffer("alpha_bars", alpha_bars, persistent=False)

    @abstractmethod
    def betas(self) -> Tensor:
        """beta_1 .. beta_T, (T,) float64."""

    def at(self, k: Tensor) -> Tensor:
        return self.alpha_bars[k]


class Linear(Fixed):
    """beta rises linearly from beta_1 to beta_T, given for T = 1000 and scaled by 1000 / T otherwise.

    Source: Ho et al. 2020, Section 4.
    """

    def __init__(self, T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02) -> None:
        self.ends = (beta_1 * 1000 / T, beta_T * 1000 / T) if T > 0 else (beta_1, beta_T)
        super().__init__(T)

    def betas(self) -> Tensor:
        return torch.linspace(*self.ends, self.T, dtype=torch.float64)


class Geometric(Fixed):
    """beta in geometric progression from beta_1 to beta_T, given for T = 1000, else scaled by 1000 / T.

    The end is three times the linear schedule's, from which a geometric progression would leave 15 % of the
    signal at t = 1, where sampling starts from noise without any. On coarse grids, where betas would reach 1,
    these are 0.999, as the cosine schedule's are: alpha_bar_T < 1e-4 from T = 4 on.
    """

    def __init__(self, T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.06) -> None:
        if min(beta_1, beta_T) <= 0:
            raise ValueError(f"beta_1={beta_1} and beta_T={beta_T} must both be above 0")
        self.ends = (beta_1 * 1000 / T, beta_T * 1000 / T) if T > 0 else (beta_1, beta_T)
        super().__init__(T)

    def betas(self) -> Tensor:
        first, last = map(math.log, self.ends)
        betas = torch.linspace(first, last, self.T, dtype=torch.float64).exp()
        return betas.where(betas < 1, BETA_MAX)


class Cosine(Fixed):
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


class Sigmoid(Fixed):
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


class EDM(Fixed):
    """alpha_bar = 1 / (1 + sigma^2), sigma^(1/rho) rising evenly from sigma_min (k = 1) to sigma_max (k = T).

    xt = (x0 + sigma eps) / sqrt(1 + sigma^2): the paper's noised images, with their variance preserved.
    sigma_max = 80 leaves alpha_bar_T = 1.6e-4, where other schedules stay below 1e-4: kept on purpose as the
    paper's. Its L_T is at most 0.0001 bits a dimension, log2(e) alpha_bar_T / 2 E[x0^2].
    Source: Karras et al. 2022, Eq. 5 (its i is T - k) and Table 1.
    """

    def __init__(
        self, T: int = 1000, sigma_min: float = 0.002, sigma_max: float = 80.0, rho: float = 7.0
    ) -> None:
        if not (0 < sigma_min < sigma_max and rho > 0):
            raise ValueError(
                f"schedule.sigma_min={sigma_min}, schedule.sigma_max={sigma_max}, schedule.rho={rho}: "
                "sigma_min must be above 0 and below sigma_max, rho above 0"
            )
        self.sigma_min, self.sigma_max, self.rho = sigma_min, sigma_max, rho
        super().__init__(T)

    def betas(self) -> Tensor:
        first, last = (sigma ** (1 / self.rho) for sigma in (self.sigma_max, self.sigma_min))
        sigma = torch.linspace(first, last, self.T, dtype=torch.float64).flip(0) ** self.rho
        return betas_of_alpha_bar(1 / (1 + F.pad(sigma, (1, 0)).square()), beta_max=1.0)


class ZeroTerminal(Schedule):
    """sqrt(alpha_bar) of another schedule, shifted and scaled so that step 1 keeps it and step T has 0.

    base: makes the other schedule, one given by betas, for T steps. At step T xt is eps, from which no x0
    follows: predict x0 or v.
    Source: Lin et al. 2023, Algorithm 1.
    """

    def __init__(self, T: int = 1000, base: Callable[[int], Fixed] = Linear) -> None:
        super().__init__(T)
        if T < 2:
            raise ValueError(f"schedule.T is {T}; a first and a last step that differ need at least 2")
        self.base = base(T)
        if not isinstance(self.base, Fixed):
            raise ValueError(f"schedule.base is a {type(self.base).__name__}; it must be given by betas")

    def at(self, k: Tensor) -> Tensor:
        root = self.base.table.sqrt()
        first, last = root[1], root[-1]
        return torch.where(k > 0, ((root[k] - last) * (first / (first - last))).square(), 1.0)


def betas_of_alpha_bar(alpha_bar: Tensor, beta_max: float) -> Tensor:
    """beta_k = min(1 - alpha_bar_k / alpha_bar_{k-1}, beta_max): (T + 1,) -> (T,)."""
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=beta_max)
