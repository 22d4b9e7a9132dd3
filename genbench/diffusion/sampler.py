"""Samplers: from noise to data, given only a denoiser E[x0 | xt] and a schedule."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from genbench.diffusion.parameterization import X0
from genbench.diffusion.posterior import ReverseVariance, posterior
from genbench.diffusion.schedule import Level, Schedule
from genbench.diffusion.spacing import Spacing, UniformSpacing
from genbench.runtime import global_batch

__all__ = [
    "DDIM",
    "Ancestral",
    "Denoised",
    "Denoiser",
    "OneStep",
    "Sampler",
    "StepDenoiser",
    "ddim_step",
    "noise_like",
]


class Denoised(NamedTuple):
    """A model's estimate at noised images xt (B, C, H, W), all that a sampler or a density sees of it."""

    x0: Tensor
    """x0_hat, an estimate of E[x0 | xt]: (B, C, H, W)."""
    variance: ReverseVariance
    """Of a step from xt to any less noisy state; deterministic samplers ignore it."""

    def clipped(self) -> "Denoised":
        """Return the same estimate with x0 clipped to [-1, 1], the range of images, and the same variance."""
        return self._replace(x0=self.x0.clamp(-1, 1))


Denoiser = Callable[[Tensor, Tensor], Denoised]
"""(xt (B, C, H, W), t (B,)) -> Denoised."""

StepDenoiser = Callable[[Tensor, int], Denoised]
"""(xt (B, C, H, W), k) -> Denoised at the k-th time of a walk."""


class Sampler(ABC):
    """A walk from t = 1, or less, to t = 0 in at most `steps` intervals; abstract.

    clip_x0: clips each estimate of x0 to [-1, 1] before it is used, as Ho et al. 2020 do: right for images,
    wrong for other data, such as latents.
    spacing: the choice of the times between. Raises ValueError unless steps >= 1.
    """

    def __init__(self, steps: int, *, clip_x0: bool, spacing: Spacing) -> None:
        if steps < 1:
            raise ValueError(f"sampler.steps is {steps}; it must be at least 1, e.g. 50")
        self.steps, self.clip_x0, self.spacing = steps, clip_x0, spacing

    def path(
        self,
        denoise: Denoiser,
        schedule: Schedule,
        x: Tensor,
        rng: Generator | None,
        *,
        start: float = 1.0,
    ) -> Iterator[Tensor]:
        """Yield the state after each step, from x (B, C, H, W) at times(schedule, start)[0] to the sample.

        denoise: its t is on the host, so that a guidance can read it and no step waits for a device.
        start: 1 where x is pure noise; less where x is a noised image, with steps fewer in proportion.
        """
        times = self.times(schedule, start)
        on_host = times.cpu()

        def bounded(xt: Tensor, k: int) -> Denoised:
            estimate = denoise(xt, on_host[k].expand(len(xt)))
            return estimate.clipped() if self.clip_x0 else estimate

        return self.walk(bounded, schedule, times, x, rng)

    def times(self, schedule: Schedule, start: float = 1.0) -> Tensor:
        """Return the times that are visited, about `start` = t_0 > .. > t_K = 0: (K + 1,) float64.

        K = steps * start, rounded, at least 1. Raises ValueError where the schedule has fewer steps.
        """
        return self.spacing.times(schedule, max(round(self.steps * start), 1), start)

    @abstractmethod
    def walk(
        self, denoise: StepDenoiser, schedule: Schedule, times: Tensor, x: Tensor, rng: Generator | None
    ) -> Iterator[Tensor]:
        """Yield the state after each step between neighbouring times, from x (B, C, H, W) at times[0].

        denoise: takes the index of a time. rng: for samplers that draw noise; None is torch's own.
        """


class OneStep(Sampler):
    """A sampler whose every step needs one estimate of x0 and none of those before; abstract.

    One pass of the network a step. A subclass states the step from t to s < t.
    """

    def walk(
        self, denoise: StepDenoiser, schedule: Schedule, times: Tensor, x: Tensor, rng: Generator | None
    ) -> Iterator[Tensor]:
        alpha_bar = schedule.alpha_bar(times)
        for k in range(len(times) - 1):
            x = self.step(x, denoise(x, k), alpha_bar[k], alpha_bar[k + 1], rng)
            yield x

    @abstractmethod
    def step(
        self,
        xt: Tensor,
        estimate: Denoised,
        alpha_bar_t: Tensor,
        alpha_bar_s: Tensor,
        rng: Generator | None,
    ) -> Tensor:
        """Take one step from time t to s < t: xt (B, C, H, W), alpha_bars () float64 -> x_s (B, C, H, W)."""


class Ancestral(OneStep):
    """x_s = mu~(xt, x0_hat) + std z: a draw from the model's reverse step, with the model's own variance.

    Source: Ho et al. 2020, Algorithm 2, Section 3.2; any subset of steps: Nichol & Dhariwal 2021, Section 4.
    """

    def __init__(self, steps: int = 1000, *, clip_x0: bool = True, spacing: Spacing | None = None) -> None:
        super().__init__(steps, clip_x0=clip_x0, spacing=spacing or UniformSpacing())

    def step(
        self,
        xt: Tensor,
        estimate: Denoised,
        alpha_bar_t: Tensor,
        alpha_bar_s: Tensor,
        rng: Generator | None,
    ) -> Tensor:
        # Coefficients in float64, cast once: 1 - alpha_bar loses digits near data.
        q = posterior(alpha_bar_t, alpha_bar_s)
        mean = q.of_x0.to(xt.dtype) * estimate.x0 + q.of_xt.to(xt.dtype) * xt
        # At s = 0 beta~ is 0 and x0 is the answer; a larger variance would only add noise to the sample.
        std = torch.where(alpha_bar_s < 1, (estimate.variance.log(q) / 2).exp(), 0.0)
        return mean + std.to(xt.dtype) * noise_like(xt, rng)


class DDIM(OneStep):
    """Steps from the noise in xt to less of the same noise, a share eta of it drawn anew; see ddim_step.

    eta: 0 is deterministic, 1 ancestral sampling with beta~. Raises ValueError outside of [0, 1].
    Source: Song et al. 2021 (DDIM), Eq. 12.
    """

    def __init__(
        self, steps: int = 50, *, eta: float = 0.0, clip_x0: bool = True, spacing: Spacing | None = None
    ) -> None:
        super().__init__(steps, clip_x0=clip_x0, spacing=spacing or UniformSpacing())
        if not 0 <= eta <= 1:
            raise ValueError(f"sampler.eta is {eta}; it must be from 0 (deterministic) to 1 (ancestral)")
        self.eta = eta

    def step(
        self,
        xt: Tensor,
        estimate: Denoised,
        alpha_bar_t: Tensor,
        alpha_bar_s: Tensor,
        rng: Generator | None,
    ) -> Tensor:
        return ddim_step(xt, estimate.x0, alpha_bar_t, alpha_bar_s, eta=self.eta, rng=rng)


def ddim_step(
    xt: Tensor,
    x0: Tensor,
    alpha_bar_t: Tensor,
    alpha_bar_s: Tensor,
    *,
    eta: float = 0.0,
    rng: Generator | None = None,
) -> Tensor:
    """x_s = sqrt(ab_s) x0 + sqrt(1 - ab_s - std^2) eps + std z, std = eta sqrt(beta~), s < t.

    eps = (xt - sqrt(ab_t) x0) / sqrt(1 - ab_t). xt and x0 (B, C, H, W), alpha_bars () float64. eta = 0 is
    deterministic; eta = 1 on the full grid is ancestral sampling with beta~.
    Source: Song et al. 2021 (DDIM), Eq. 12 and 16.
    """
    # Without noise there is no variance to compute, a part of the time of steps on small images.
    variance = torch.zeros_like(alpha_bar_s)
    if eta:
        variance = eta**2 * posterior(alpha_bar_t, alpha_bar_s).beta_tilde
    # At alpha_bar_t = 0 eps is xt itself; nothing here divides by alpha.
    at = Level(alpha_bar_t.sqrt().to(xt.dtype), (1 - alpha_bar_t).sqrt().to(xt.dtype))
    eps = X0().to_eps(x0, xt, at)
    # beta~ equals 1 - ab_s in the limit of ab_t = 0; rounding must not push the root below 0.
    of_eps = (1 - alpha_bar_s - variance).clamp(min=0).sqrt()
    xs = alpha_bar_s.sqrt().to(xt.dtype) * x0 + of_eps.to(xt.dtype) * eps
    if eta == 0:
        return xs  # no noise is drawn, so that the generator moves as little as the formula says
    return xs + variance.sqrt().to(xt.dtype) * noise_like(xt, rng)


def noise_like(x: Tensor, rng: Generator | None) -> Tensor:
    """Draw N(0, 1) in the shape, dtype and device of x (B, C, H, W); rng None is torch's default generator.

    Where x is a part of a batch, the answer has the rows of that part in the noise of the whole batch.
    """
    return global_batch.normal(len(x), x.shape[1:], rng=rng, dtype=x.dtype, device=x.device)
