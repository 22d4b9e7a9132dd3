"""Noise schedules: the share of the data that is left at time t.

Notation of the whole folder:
xt = alpha * x0 + sigma * eps   noised images (B, C, H, W): data x0 in [-1, 1], noise eps ~ N(0, I)
alpha_bar, or ab                alpha^2 = alpha_bar, sigma^2 = 1 - alpha_bar
t, k, T                         time in [0, 1], 0 is data, 1 is noise; step k = 1..T of the grid is t = k / T
beta_k                          1 - alpha_bar_k / alpha_bar_{k-1}, the variance that step k adds
log-SNR, lambda, s              log(alpha^2 / sigma^2), half of it, and the noise level s = sigma / alpha
y                               class labels (B,) int64, or None; in `density` and `fast_samplers` xt / alpha
x0_hat, x_s                     an estimate of E[x0 | xt]; as an index s is an earlier time, s < t
B C H W, D, K                   batch, channels, height, width; D = C H W; classes
Schedules are float64, images float32; likelihoods are in nats.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.diffusion.start import check_start
from genbench.probability.counts import check_count

__all__ = [
    "MOST_STEPS",
    "CosineSchedule",
    "EDMSchedule",
    "FixedSchedule",
    "GeometricSchedule",
    "Level",
    "LinearSchedule",
    "Schedule",
    "SigmoidSchedule",
    "ZeroTerminalSchedule",
    "betas_of_alpha_bar",
    "log_snr_of",
]

MOST_STEPS = 1_000_000  # float64 tables of more take time and memory, and steps differ by rounding alone
BETA_MAX = 0.999  # leaves alpha_bar_T above 0 (Nichol & Dhariwal 2021, Section 3.2)


class Level(NamedTuple):
    """Factors of signal and noise at some times: xt = alpha x0 + sigma eps.

    Each is (B, 1, 1, 1) float32, so that it multiplies images (B, C, H, W) without a view.
    """

    alpha: Tensor
    sigma: Tensor


class Schedule(nn.Module, ABC):
    """A discrete noise schedule of T steps, the only holder of alpha_bar; alpha_bar_0 = 1; abstract.

    A subclass states alpha_bar at a step (`at`), or its betas (FixedSchedule). One with parameters is
    learned, and alpha_bar carries gradient. Raises ValueError unless T is from 1 to 1,000,000.
    """

    grid: Tensor
    """The steps 0..T, (T + 1,) int64."""

    def __init__(self, T: int) -> None:
        super().__init__()
        check_count("schedule.T", T, MOST_STEPS, usual=1000)
        self.T = T
        self.register_buffer("grid", torch.arange(T + 1), persistent=False)

    @abstractmethod
    def at(self, k: Tensor) -> Tensor:
        """Return alpha_bar at steps k: (B,) int64 in 0..T -> (B,) float64, 1 at k = 0, falling in k."""

    @property
    def table(self) -> Tensor:
        """alpha_bar at t = 0, 1/T, .., 1: (T + 1,) float64 on the schedule's device."""
        return self.at(self.grid)

    def levels(self) -> tuple[Tensor, Tensor]:
        """Return times and alpha_bar for a figure: every (T // 100)-th step, (n,) float64 each.

        A grid of fewer than 200 steps is returned whole.
        """
        each = max(self.T // 100, 1)
        return self.grid[::each].double() / self.T, self.table[::each]

    def alpha_bar(self, t: Tensor) -> Tensor:
        """Return alpha_bar at times t: (B,) in [0, 1] -> (B,) float64. Rounds times to the grid k / T."""
        return self.at(torch.round(t.double() * self.T).long())

    def log_snr(self, t: Tensor) -> Tensor:
        """log(alpha_bar / (1 - alpha_bar)) at times t: (B,) -> (B,) float64, infinite at t = 0."""
        return log_snr_of(self.alpha_bar(t))

    def half_log_snr(self, t: Tensor) -> Tensor:
        """lambda = log(alpha / sigma) = log-SNR / 2 at times t, in which solvers lay out their steps.

        (B,) -> (B,) float64, infinite at t = 0.
        """
        return self.log_snr(t) / 2

    @torch.no_grad()
    def nearest(self, log_snr: Tensor) -> Tensor:
        """Return the times on the grid, 1/T to 1, whose log-SNR is nearest: (B,) -> (B,) float64.

        The inverse of `log_snr` up to rounding to the grid; t = 0, of infinite log-SNR, is never returned.
        """
        # searchsorted needs rising values; between two neighbours their middle decides.
        rising = log_snr_of(self.table[1:]).flip(0)
        middles = (rising[1:] + rising[:-1]) / 2
        return (self.T - torch.searchsorted(middles, log_snr.double())).double() / self.T

    def around(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return alpha_bar at times t (B,) and at t - 1/T, the two ends of a reverse step on the full grid.

        Both (B, 1, 1, 1) float64; t must be at least 1/T.
        """
        before = t - 1 / self.T
        return self.alpha_bar(t)[:, None, None, None], self.alpha_bar(before)[:, None, None, None]

    def level(self, t: Tensor) -> Level:
        """alpha = sqrt(alpha_bar), sigma = sqrt(1 - alpha_bar) at times t (B,): (B, 1, 1, 1) float32."""
        # The roots in float64: near data 1 - alpha_bar would lose its digits in float32.
        alpha_bar = self.alpha_bar(t)[:, None, None, None]
        return Level(alpha_bar.sqrt().float(), (1 - alpha_bar).sqrt().float())

    def times(self, steps: int, start: float = 1.0) -> Tensor:
        """Return start = t_0 > t_1 > .. > t_steps = 0, as even as the grid allows: (steps + 1,) float64.

        start: the time at which sampling begins; 1 is pure noise, less is a noised image.
        Raises ValueError unless 0 < start <= 1, and the grid has as many steps up to it.
        """
        check_start(start)
        top = max(round(start * self.T), 1)
        if not 1 <= steps <= top:
            raise ValueError(
                f"sampler.steps is {steps}; it must be from 1 to schedule.T={self.T}: "
                "use fewer steps or a larger T"
            )
        grid = torch.linspace(top, 0, steps + 1, dtype=torch.float64, device=self.grid.device)
        return torch.round(grid) / self.T

    def check_steps(self, T: int, key: str) -> None:
        """Raise ValueError unless T, the value of a configuration key, is this schedule's number of steps."""
        if T != self.T:
            raise ValueError(f"{key} is {T}, and schedule.T is {self.T}: they must be equal")

    def frame_times(self, frames: int) -> Tensor:
        """Return 0 = t_1 <= .. <= t_frames = 1, even on the grid, for pictures of the forward process.

        (frames,) float64; times repeat where there are more frames than steps.
        """
        steps = torch.linspace(0, self.T, frames, dtype=torch.float64, device=self.grid.device)
        return steps.round() / self.T


class FixedSchedule(Schedule):
    """A schedule that is given by its betas: alpha_bar_k = prod_{i <= k} (1 - beta_i); abstract.

    A subclass sets its own numbers first and then calls this constructor, which asks for `betas` once and
    stores alpha_bar. Raises ValueError where a beta is not in (0, 1).
    """

    alpha_bars: Tensor
    """alpha_bar on the grid, (T + 1,) float64."""

    def __init__(self, T: int) -> None:
        super().__init__(T)
        betas = self.betas()
        if not bool(((betas > 0) & (betas < 1)).all()):
            ends = f"{float(betas.min()):.4g} to {float(betas.max()):.4g}"
            raise ValueError(
                f"{type(self).__name__}(T={T}) has betas from {ends}; each must be above 0 and below 1: use "
                "a larger T or smaller betas"
            )
        # Not persistent: it follows from the arguments, and checkpoints stay readable when T changes.
        one = torch.ones(1, dtype=torch.float64)
        alpha_bars = torch.cat([one, torch.cumprod(1 - betas, dim=0)])
        self.register_buffer("alpha_bars", alpha_bars, persistent=False)

    @abstractmethod
    def betas(self) -> Tensor:
        """Return beta_1 .. beta_T, (T,) float64, each in (0, 1)."""

    def at(self, k: Tensor) -> Tensor:
        return self.alpha_bars[k]


class LinearSchedule(FixedSchedule):
    """beta_k = beta_1 + (k - 1) / (T - 1) (beta_T - beta_1), the ends given for T = 1000.

    For another T both ends are scaled by 1000 / T, which leaves alpha_bar at a time t about the same; T <= 20
    would bring beta_T to 1, and is refused by a ValueError.
    Source: Ho et al. 2020, Section 4.
    """

    def __init__(self, T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02) -> None:
        # T is checked by Schedule, below; until then no division by it.
        self.ends = (beta_1 * 1000 / T, beta_T * 1000 / T) if T > 0 else (beta_1, beta_T)
        super().__init__(T)

    def betas(self) -> Tensor:
        return torch.linspace(*self.ends, self.T, dtype=torch.float64)


class GeometricSchedule(FixedSchedule):
    """beta_k = beta_1 (beta_T / beta_1)^((k - 1) / (T - 1)), the ends given for T = 1000.

    For another T both ends are scaled by 1000 / T. The end is three times the linear schedule's, from which a
    geometric progression would leave 15 % of the signal at t = 1, where sampling starts from noise without
    any. On coarse grids, where betas would reach 1, these are 0.999, as the cosine schedule's are:
    alpha_bar_T < 1e-4 from T = 4 on.
    Raises ValueError unless both ends are above 0.
    """

    def __init__(self, T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.06) -> None:
        if min(beta_1, beta_T) <= 0:
            raise ValueError(
                f"schedule.beta_1={beta_1} and schedule.beta_T={beta_T} must both be above 0, e.g. 1e-4, 0.06"
            )
        self.ends = (beta_1 * 1000 / T, beta_T * 1000 / T) if T > 0 else (beta_1, beta_T)
        super().__init__(T)

    def betas(self) -> Tensor:
        first, last = map(math.log, self.ends)
        betas = torch.linspace(first, last, self.T, dtype=torch.float64).exp()
        return betas.where(betas < 1, BETA_MAX)


class CosineSchedule(FixedSchedule):
    """f(u) = cos^2(((u + s) / (1 + s)) pi / 2), beta_k = min(1 - f(k/T) / f((k-1)/T), 0.999).

    Source: Nichol & Dhariwal 2021, Eq. 17.
    """

    def __init__(self, T: int = 1000, s: float = 0.008, beta_max: float = BETA_MAX) -> None:
        if not 0 <= s <= 1:
            raise ValueError(f"schedule.s is {s}; it must be from 0 to 1, e.g. 0.008")
        self.s, self.beta_max = s, beta_max
        super().__init__(T)

    def betas(self) -> Tensor:
        u = torch.arange(self.T + 1, dtype=torch.float64) / self.T
        f = torch.cos((u + self.s) / (1 + self.s) * math.pi / 2).square()
        return betas_of_alpha_bar(f, self.beta_max)


class SigmoidSchedule(FixedSchedule):
    """alpha_bar(u) = (S(end) - S(start + u (end - start))) / (S(end) - S(start)), S(v) = sigmoid(v / tau).

    u = k / T. Betas are clipped at beta_max, as for the cosine. Raises ValueError unless start < end and
    tau > 0. Source: Jabri et al. 2022, Algorithm 1 of the appendix.
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
            raise ValueError(
                f"schedule.start={start}, schedule.end={end}, schedule.tau={tau}: start must be below end, "
                "and tau above 0, e.g. -3, 3 and 1"
            )
        self.start, self.end, self.tau, self.beta_max = start, end, tau, beta_max
        super().__init__(T)

    def betas(self) -> Tensor:
        u = torch.linspace(self.start, self.end, self.T + 1, dtype=torch.float64)
        s = torch.sigmoid(u / self.tau)
        return betas_of_alpha_bar((s[-1] - s) / (s[-1] - s[0]), self.beta_max)


class EDMSchedule(FixedSchedule):
    """alpha_bar = 1 / (1 + sigma^2), sigma^(1/rho) rising evenly from sigma_min (k = 1) to sigma_max (k = T).

    xt = (x0 + sigma eps) / sqrt(1 + sigma^2): the paper's noised images, with their variance preserved.
    sigma_max = 80 leaves alpha_bar_T = 1.6e-4, where other schedules are below 1e-4: it is the paper's on
    purpose. Its L_T is at most 0.0001 bits a dimension, log2(e) alpha_bar_T / 2 E[x0^2].
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


class ZeroTerminalSchedule(Schedule):
    """sqrt(alpha_bar) of another schedule, shifted to 0 at step T and scaled to be unchanged at step 1.

    base: makes the other schedule, one given by betas, for T steps. At step T xt is eps, from which no x0
    follows: the network must predict x0 or v. Raises ValueError unless T >= 2 and base is a FixedSchedule.
    Source: Lin et al. 2023, Algorithm 1.
    """

    def __init__(self, T: int = 1000, base: Callable[[int], FixedSchedule] = LinearSchedule) -> None:
        super().__init__(T)
        if T < 2:
            raise ValueError(
                f"schedule.T is {T}; it must be at least 2, for the first step and the last differ"
            )
        self.base = base(T)
        if not isinstance(self.base, FixedSchedule):
            raise ValueError(
                f"schedule.base makes a {type(self.base).__name__}; it must be a schedule given by betas, "
                "e.g. LinearSchedule"
            )

    def at(self, k: Tensor) -> Tensor:
        root = self.base.table.sqrt()
        # Linear in sqrt(alpha_bar): a shift to 0 at T, a scale that restores the first step.
        first, last = root[1], root[-1]
        return torch.where(k > 0, ((root[k] - last) * (first / (first - last))).square(), 1.0)


def betas_of_alpha_bar(alpha_bar: Tensor, beta_max: float) -> Tensor:
    """beta_k = min(1 - alpha_bar_k / alpha_bar_{k-1}, beta_max): alpha_bar_0..T (T + 1,) -> (T,).

    beta_max below 1 leaves alpha_bar_T above 0 where the formula would end at 0; raises ValueError on others.
    """
    if not 0 < beta_max <= 1:
        raise ValueError(f"schedule.beta_max is {beta_max}; it must be above 0 and below 1, e.g. 0.999")
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=beta_max)


def log_snr_of(alpha_bar: Tensor, *, eps: float | None = None) -> Tensor:
    """log(alpha_bar / (1 - alpha_bar)), the log of the signal-to-noise ratio, in the shape of alpha_bar.

    Infinite at 0 and 1, unless eps bounds alpha_bar to [eps, 1 - eps].
    """
    return torch.logit(alpha_bar, eps=eps)
