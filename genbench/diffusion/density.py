"""log p(x) of a diffusion model: the variational bound, or the flow of the probability-flow ODE."""

import math
from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor

from genbench.diffusion.bound import prior_nats, step_nats
from genbench.diffusion.divergence import Divergence, dequantized, normal_nats
from genbench.diffusion.sampler import Denoised, Denoiser
from genbench.diffusion.schedule import Schedule
from genbench.diffusion.spacing import LogSNR
from genbench.diffusion.times import Drawn

__all__ = ["Bound", "Density", "ProbabilityFlow", "sampled_terms"]


class Density(ABC):
    """A way to the log-probability of an 8-bit image in [-1, 1]."""

    bound: Literal["lower", "estimate"]
    method: str
    discretized: bool = False
    """Whether it integrates in steps, so that it has an error that falls with their number."""

    def refined(self) -> "Density":
        """The same in twice the steps; itself where steps are no approximation."""
        return self

    @abstractmethod
    def check(self, schedule: Schedule) -> None:
        """Raise ValueError unless the schedule has what it takes."""

    @abstractmethod
    def log_prob(self, denoise: Denoiser, schedule: Schedule, x0: Tensor) -> Tensor:
        """x0 (B, C, H, W) -> (B,) nats; randomness is torch's default generator."""


class Bound(Density):
    """log p(x) >= -(L_T + sum_k L_{k-1}).

    steps: terms evaluated for each image (see sampled_terms), an estimate without bias; None: all T, each
    with its own noise.
    clip_x0: bounds estimates of x0 to [-1, 1]; a variance is fitted to estimates so bounded.
    Source: Ho et al. 2020, Eq. 5.
    """

    bound = "lower"

    def __init__(self, steps: int | None = 10, *, clip_x0: bool = True) -> None:
        if steps is not None and steps < 2:
            raise ValueError(f"density.steps is {steps}; it must be at least 2, e.g. 10, or null for all")
        self.steps, self.clip_x0 = steps, clip_x0
        self.method = "vlb" if steps is None else f"vlb, {steps} terms"

    def check(self, schedule: Schedule) -> None:
        if schedule.T < 2:
            raise ValueError(f"schedule.T is {schedule.T}; a bound takes at least 2 steps, e.g. 1000")

    def log_prob(self, denoise: Denoiser, schedule: Schedule, x0: Tensor) -> Tensor:
        total = prior_nats(x0, schedule)
        for t, weight in zip(*sampled_terms(len(x0), schedule, x0.device, terms=self.steps), strict=True):
            total = total + weight * self.step_nats(denoise, schedule, x0, t)
        return -total

    def step_nats(self, denoise: Denoiser, schedule: Schedule, x0: Tensor, t: Tensor) -> Tensor:
        """One term of each image, at times t (B,): (B,)."""
        at = schedule.level(t)
        xt = at.alpha * x0 + at.sigma * torch.randn_like(x0)
        x0_hat, variance = self.bounded(denoise(xt, t))
        return step_nats(x0, xt, x0_hat, variance, t, schedule)

    def bounded(self, estimate: Denoised) -> Denoised:
        """An estimate as this bound uses it."""
        return estimate.clipped() if self.clip_x0 else estimate


def sampled_terms(n: int, schedule: Schedule, device: torch.device, *, terms: int | None) -> Drawn:
    """Times at which terms of a bound are taken for each of n images, and what each counts: (rows, n).

    The sum of weight * term over the rows has the sum of all T terms as its mean. terms: the first one (which
    holds most of the nats, so it is left to no chance), and terms - 1 others with probability ~ 1 / k as the
    terms fall about so; their draws are spread evenly over each image and over the batch. None, or T and
    more: each once.
    """
    T = schedule.T
    if terms is None or terms >= T:
        k = torch.arange(1, T + 1, dtype=torch.float64, device=device)[:, None].expand(-1, n)
        return Drawn(k / T, torch.ones_like(k).float())
    rows = torch.arange(terms - 1, dtype=torch.float64, device=device)[:, None]
    shift = torch.rand(1, dtype=torch.float64, device=device)
    places = (torch.randperm(n, device=device).double() + shift) / n  # within a stratum, one an image
    span = math.log((T + 1) / 2)  # of ln k over k = 2 .. T
    k = torch.floor(2 * torch.exp((rows + places) / (terms - 1) * span)).clamp(max=T)
    weight = span / (terms - 1) / torch.log1p(1 / k)
    first = torch.ones(1, n, dtype=torch.float64, device=device)
    return Drawn(torch.cat([first, k]) / T, torch.cat([first, weight]).float())


class ProbabilityFlow(Density):
    """log p(x) by the ODE that carries data to noise, dy/ds = eps_hat(y), s = sigma / alpha, y = xt / alpha.

    log p(y_0) = log p(y_1) + integral of s div eps_hat d(log s), the divergence by Hutchinson's estimator, in
    even steps of log s from that of the grid's first step, s_1, to 80 at most: y by Heun's method in s (a
    constant x0_hat moves it exactly), the integral by the trapezoidal rule in log s (over which its integrand
    rises once from 0 to D). Bytes are dequantized by uniform noise, one draw.
    Data count as noisy as s_1 makes them, so that what is flatter gets less than its likelihood: 0.9 bits a
    dimension for a flat pixel at the cosine schedule's s_1 of 0.0064, 0.1 at schedule=edm's 0.002.
    steps: of the solver, two passes forward and two backward each at most. probes: random directions for the
    divergence. With exact denoisers of N(m, s^2) the error of 64 steps is at most 0.008 bits a dimension.
    Source: Song et al. 2021 (score SDE), Eq. 39 and Section 4.3; the variable s: Karras et al. 2022, Eq. 1.
    """

    bound = "estimate"
    discretized = True

    def __init__(self, steps: int = 64, *, probes: int = 1) -> None:
        if steps < 2 or probes < 1:
            raise ValueError(
                f"density.steps={steps} must be at least 2, and density.probes={probes} at least 1"
            )
        self.steps, self.probes = steps, probes
        self.method = f"ode, {steps} log-snr steps"

    def refined(self) -> Density:
        return ProbabilityFlow(2 * self.steps, probes=self.probes)

    def log_prob(self, denoise: Denoiser, schedule: Schedule, x0: Tensor) -> Tensor:
        dimensions, (times, s) = x0[0].numel(), self.grid(schedule)
        log_s = s.log()
        y, width = dequantized(x0)

        def noise(y: Tensor, t: Tensor) -> Tensor:
            at = schedule.level(t[None])
            return (y - denoise(at.alpha * y, t.expand(len(y))).x0) * at.alpha / at.sigma

        field = Divergence(noise, x0, probes=self.probes)
        total = torch.zeros(len(x0), dtype=torch.float64, device=x0.device)
        for k in range(len(times) - 1):
            h = (s[k + 1] - s[k]).to(y.dtype)
            here, trace = field(y, times[k])
            there, trace_there = field(y + h * here, times[k + 1])
            y = y + h / 2 * (here + there)
            total += (log_s[k + 1] - log_s[k]) / 2 * (s[k] * trace + s[k + 1] * trace_there)
        last = schedule.alpha_bar(times[-1:]).sqrt()  # of the noised image, xt = last y
        volume = total + dimensions * (last.log() + math.log(width))
        return (volume - normal_nats(last * y)).float()

    def check(self, schedule: Schedule) -> None:
        if self.steps > schedule.T:
            raise ValueError(f"density.steps is {self.steps}; it must be at most schedule.T={schedule.T}")

    def grid(self, schedule: Schedule) -> tuple[Tensor, Tensor]:
        """Rising times and their s; beyond s = 80 or so xt is noise to all purposes, and steps too wide.

        At most as many as the grid has, beyond which there is no refinement.
        """
        spacing = LogSNR()
        times = spacing.times(schedule, min(self.steps, schedule.T))[:-1].flip(0)
        alpha_bar = schedule.alpha_bar(times)
        s = ((1 - alpha_bar) / alpha_bar).sqrt()
        kept = s < 1.1 * spacing.sigma_max  # rounding to the grid may lead a little beyond
        return times[kept], s[kept]
