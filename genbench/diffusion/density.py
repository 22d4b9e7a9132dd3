"""log p(x) of a diffusion model: the variational bound, or the probability-flow ODE."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from genbench.diffusion.bound import prior_nats, step_nats
from genbench.diffusion.runge_kutta import HEUN, weighted_sum
from genbench.diffusion.sampler import Denoised, Denoiser
from genbench.diffusion.schedule import Schedule
from genbench.diffusion.spacing import LogSNR
from genbench.diffusion.times import DrawnTimes
from genbench.diffusion.volume_change import Divergence
from genbench.probability.counts import MOST_PASSES, check_count
from genbench.probability.gaussian import standard_normal_nats

__all__ = ["Bound", "Density", "ProbabilityFlow", "sampled_terms"]


class Density(ABC):
    """A method that computes the log-probability of 8-bit images in [-1, 1]; abstract.

    It sees a denoiser and a schedule, and nothing else of a model; it changes neither training nor samples.
    """

    bound: Literal["lower", "estimate"]
    """The kind of number that log_prob returns."""
    discretized: bool = False
    """True for a method that integrates in steps, whose error falls with their number."""

    @abstractmethod
    def method(self, schedule: Schedule) -> str:
        """Return the name of the method in tables, such as "vlb, 10 terms"."""

    @abstractmethod
    def check(self, schedule: Schedule) -> None:
        """Raise ValueError unless the schedule has enough steps for the method; the message says how many."""

    @abstractmethod
    def log_prob(self, denoise: Denoiser, schedule: Schedule, x0: Tensor) -> Tensor:
        """log p(x0) of 8-bit images, or a bound on it: x0 (B, C, H, W) in [-1, 1] -> (B,) nats.

        Randomness is torch's default generator.
        """

    def refined_log_prob(self, denoise: Denoiser, schedule: Schedule, x0: Tensor) -> Tensor:
        """Compute log_prob less the known error of its steps, from equal draws: (B,) nats.

        Its difference from log_prob is stated beside the number. By default it is log_prob itself.
        """
        return self.log_prob(denoise, schedule, x0)


class Bound(Density):
    """log p(x) >= -(L_T + sum_k L_{k-1}).

    steps: terms evaluated for each image (see sampled_terms), an estimate without bias; None: all T, each
    with its own noise.
    clip_x0: bounds estimates of x0 to [-1, 1]; a variance is fitted to estimates that are bounded alike.
    Raises ValueError where steps is below 2.
    Source: Ho et al. 2020, Eq. 5.
    """

    bound = "lower"

    def __init__(self, steps: int | None = 10, *, clip_x0: bool = True) -> None:
        if steps is not None and steps < 2:
            raise ValueError(f"density.steps is {steps}; it must be at least 2, e.g. 10, or null for all")
        self.steps, self.clip_x0 = steps, clip_x0

    def method(self, schedule: Schedule) -> str:
        return "vlb" if self.steps is None else f"vlb, {self.steps} terms"

    def check(self, schedule: Schedule) -> None:
        if schedule.T < 2:
            raise ValueError(f"schedule.T is {schedule.T}; a bound needs at least 2 steps, e.g. 1000")
        if self.steps is not None and self.steps > schedule.T:
            raise ValueError(
                f"density.steps is {self.steps}; it must be from 2 to schedule.T={schedule.T}, or "
                "null for all the terms that there are"
            )

    def log_prob(self, denoise: Denoiser, schedule: Schedule, x0: Tensor) -> Tensor:
        total = prior_nats(x0, schedule)
        for t, weight in zip(*sampled_terms(len(x0), schedule, x0.device, terms=self.steps), strict=True):
            total = total + weight * self.term(denoise, schedule, x0, t)
        return -total

    def term(self, denoise: Denoiser, schedule: Schedule, x0: Tensor, t: Tensor) -> Tensor:
        """Compute L_{k-1} of each image x0 (B, C, H, W) at its own step k = t T, t (B,): (B,) nats.

        The noise of xt is drawn from torch's default generator. L_0, at k = 1, is the decoder's.
        """
        at = schedule.level(t)
        xt = at.alpha * x0 + at.sigma * torch.randn_like(x0)
        x0_hat, variance = self.bounded(denoise(xt, t))
        return step_nats(x0, xt, x0_hat, variance, t, schedule)

    def bounded(self, estimate: Denoised) -> Denoised:
        """Return the estimate that each term is computed of: x0_hat clipped to [-1, 1] if clip_x0 is set."""
        return estimate.clipped() if self.clip_x0 else estimate


def sampled_terms(n: int, schedule: Schedule, device: torch.device, *, terms: int | None) -> DrawnTimes:
    """Draw times at which terms of a bound are evaluated for each of n images, with their weights: (rows, n).

    The sum of weight * term over the rows has the sum of all T terms as its mean. terms: the first one (which
    has most of the nats, so it is always there), and terms - 1 others with probability ~ 1 / k, as the terms
    fall about so; their draws cover each image and the batch evenly. None, or T and more: each
    once.
    """
    T = schedule.T
    if terms is None or terms >= T:
        k = torch.arange(1, T + 1, dtype=torch.float64, device=device)[:, None].expand(-1, n)
        return DrawnTimes(k / T, torch.ones_like(k).float())
    # Stratified: the interval of ln k is cut into terms - 1 parts, in each of which images take
    # places of an even lattice in random order.
    rows = torch.arange(terms - 1, dtype=torch.float64, device=device)[:, None]
    shift = torch.rand(1, dtype=torch.float64, device=device)
    places = (torch.randperm(n, device=device).double() + shift) / n  # within a stratum, one an image
    span = math.log((T + 1) / 2)  # of ln k over k = 2 .. T
    k = torch.floor(2 * torch.exp((rows + places) / (terms - 1) * span)).clamp(max=T)
    # A stratum gives k the probability ln((k + 1) / k) (terms - 1) / span; the weight is its inverse.
    weight = span / (terms - 1) / torch.log1p(1 / k)
    # The first row is the decoder at k = 1, with weight 1.
    first = torch.ones(1, n, dtype=torch.float64, device=device)
    return DrawnTimes(torch.cat([first, k]) / T, torch.cat([first, weight]).float())


class ProbabilityFlow(Density):
    """log p(x) by the ODE from the noise of the grid's first step, t_1 = 1 / T, and by that step's decoder.

    log p(x0) >= E[log p(y_1) + log p(x0 | y_1) - log q(y_1 | x0)], y_1 = x0 + s_1 eps, one draw: below t_1 no
    denoiser is known, and the decoder is that of the bound, L_0, for which data may be as flat as they are.
    log p(y_1) by dy/ds = eps_hat(y), s = sigma / alpha, y = xt / alpha: log p(y_end) + integral of s div
    eps_hat d(log s), the divergence by Hutchinson's estimator, in even steps of log s to 80 at most, as far
    as the grid has them: y by Heun's method in s (a constant x0_hat moves it exactly), the integral by the
    trapezoidal rule in log s (over which its integrand rises once from 0 to D).
    The error is that of order 2, (fine - coarse) / 3 with the coarse nodes every second one of the grid's, so
    that it is measured on any grid. With exact denoisers of N(m, s^2), s from 1 to 0.0023, 64 steps are off
    by at most 0.008 bits a dimension at T = 1000 (0.006 is stated), by 0.032 at T = 100 (0.016 to 0.025).
    steps: of the solver, two passes forward and two backward each. probes: random directions for the
    divergence. Raises ValueError on numbers below 2 and 1.
    Source: Song et al. 2021 (score SDE), Eq. 39 and Section 4.3; the variable s: Karras et al. 2022, Eq. 1;
    the decoder: Ho et al. 2020, Eq. 13.
    """

    bound = "estimate"
    discretized = True

    def __init__(self, steps: int = 64, *, probes: int = 1) -> None:
        check_count("density.steps", steps, MOST_PASSES, least=2, usual=64)
        check_count("density.probes", probes, MOST_PASSES, usual=1)
        self.steps, self.probes = steps, probes

    @torch.no_grad()
    def method(self, schedule: Schedule) -> str:
        return f"ode, {len(self.grid(schedule)[0]) - 1} log-snr steps and decoder"

    def log_prob(self, denoise: Denoiser, schedule: Schedule, x0: Tensor) -> Tensor:
        (fine,) = self.estimates(denoise, schedule, x0, [self.grid(schedule)])
        return fine.float()

    def refined_log_prob(self, denoise: Denoiser, schedule: Schedule, x0: Tensor) -> Tensor:
        times, s = self.grid(schedule)
        # Half the steps, on the same draws: at second order they have four times the error.
        coarse_grid = (every_second(times), every_second(s))
        fine, coarse = self.estimates(denoise, schedule, x0, [(times, s), coarse_grid])
        return (fine + (fine - coarse) / 3).float()

    def estimates(
        self, denoise: Denoiser, schedule: Schedule, x0: Tensor, grids: Sequence[tuple[Tensor, Tensor]]
    ) -> list[Tensor]:
        """Compute log p(x0) by each grid of rising times and their s, from equal draws: (B,) float64 each."""

        def noise(y: Tensor, t: Tensor) -> Tensor:
            # eps_hat = (y - x0_hat) alpha / sigma, with the denoiser asked at xt = alpha y.
            at = schedule.level(t[None])
            return (y - denoise(at.alpha * y, t.expand(len(y))).x0) * at.alpha / at.sigma

        times, s = grids[0]
        # y_1 ~ q(y_1 | x0): the image noised to the first step of the grid.
        eps = torch.randn_like(x0)
        y, t = x0 + s[0] * eps, times[0].expand(len(x0))
        x1 = schedule.level(t).alpha * y
        x0_hat, variance = denoise(x1, t)
        own = standard_normal_nats(eps) + x0[0].numel() * s[0].log()  # -log q(y_1 | x0)
        own = own - step_nats(x0, x1, x0_hat, variance, t, schedule)
        field = Divergence(noise, x0, probes=self.probes)
        return [own + integrated(field, y, times, s) for times, s in grids]

    def check(self, schedule: Schedule) -> None:
        if not max(self.steps, 4) <= schedule.T:
            raise ValueError(
                f"density.steps is {self.steps}; it must be at most schedule.T={schedule.T}, and that "
                "at least 4 with density=ode: use fewer steps or a larger T"
            )

    def grid(self, schedule: Schedule) -> tuple[Tensor, Tensor]:
        """Return times rising from 1 / T, and their s, (n,) float64 each, for `steps` or all that there are.

        It ends at about s = 80: beyond it xt is noise to all purposes, and steps are too wide.
        """
        spacing = LogSNR()
        # The last time of a sampler is 0, where s = 0 has no logarithm.
        times = spacing.times(schedule, min(self.steps + 2, schedule.T))[:-1].flip(0)
        alpha_bar = schedule.alpha_bar(times)
        s = ((1 - alpha_bar) / alpha_bar).sqrt()
        within = s < 1.1 * spacing.sigma_max  # rounding to the grid may lead a little beyond
        return times[within], s[within]


def integrated(field: Divergence, y: Tensor, times: Tensor, s: Tensor) -> Tensor:
    """log p(y) of y (B, C, H, W) at times[0] by dy/ds = field(y, t), noise at the last: (B,) nats float64.

    times, s: where the steps meet, (n,) float64 each.
    """
    log_s = s.log()
    volume = torch.zeros(len(y), dtype=torch.float64, device=y.device)
    for k in range(len(times) - 1):
        # In the images' dtype, or the state would become float64.
        h = (s[k + 1] - s[k]).to(y.dtype)
        found, traces = field.slopes(HEUN, times[k : k + 2], y, h)
        y = y + h * weighted_sum(HEUN, found)
        # ds = s d(log s), in which the trapezoidal rule takes its steps
        volume += (log_s[k + 1] - log_s[k]) * weighted_sum(HEUN, traces, rates=s[k : k + 2])
    alpha = (1 + s[-1].square()).rsqrt()  # xt = alpha y
    return volume + y[0].numel() * alpha.log() - standard_normal_nats(alpha * y)


def every_second(nodes: Tensor) -> Tensor:
    """Return the first, third, .. of nodes (n,), and the last: the nodes of a grid half as fine."""
    return torch.cat([nodes[:-1:2], nodes[-1:]])
