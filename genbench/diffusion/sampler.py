"""Samplers: from noise to data, given only a denoiser E[x0 | xt] and a schedule."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor

from genbench.diffusion.parameterization import X0
from genbench.diffusion.posterior import posterior
from genbench.diffusion.schedule import Level, Schedule

__all__ = ["DDIM", "Ancestral", "Denoiser", "Sampler"]

Denoiser = Callable[[Tensor, Tensor], Tensor]
"""(xt (B, C, H, W), t (B,)) -> estimate of x0 (B, C, H, W)."""


class Sampler(ABC):
    """A walk over `steps` + 1 times from t = 1 to t = 0.

    clip_x0: bounds each estimate of x0 to [-1, 1] before it is used (Ho et al. 2020 do; right for images,
    wrong for other data).
    """

    def __init__(self, steps: int, *, clip_x0: bool) -> None:
        if steps < 1:
            raise ValueError(f"sampler.steps is {steps}; it must be at least 1, e.g. 50")
        self.steps, self.clip_x0 = steps, clip_x0

    def path(
        self, denoise: Denoiser, schedule: Schedule, x: Tensor, rng: Generator | None
    ) -> Iterator[Tensor]:
        """The states after each step, from pure noise x (B, C, H, W); the last one is the sample."""
        times = schedule.times(self.steps)
        alpha_bar = schedule.alpha_bar(times)
        for k in range(self.steps):
            x0 = denoise(x, times[k].expand(len(x)))
            x0 = x0.clamp(-1, 1) if self.clip_x0 else x0
            x = self.step(x, x0, alpha_bar[k], alpha_bar[k + 1], rng)
            yield x

    @abstractmethod
    def step(
        self, xt: Tensor, x0: Tensor, alpha_bar_t: Tensor, alpha_bar_s: Tensor, rng: Generator | None
    ) -> Tensor:
        """One step from time t to s < t: xt and x0 (B, C, H, W), alpha_bars () float64 -> xs."""


class Ancestral(Sampler):
    """Draws x_s from q(x_s | x_t, x0): mean mu~, log-variance v log beta + (1 - v) log beta~.

    variance: v in [0, 1]; 0 is the posterior's own variance beta~, 1 is beta.
    Source: Ho et al. 2020, Algorithm 2, Section 3.2; any subset of steps: Nichol & Dhariwal 2021, Section 4.
    """

    def __init__(self, steps: int = 1000, *, variance: float = 0.0, clip_x0: bool = True) -> None:
        super().__init__(steps, clip_x0=clip_x0)
        if not 0 <= variance <= 1:
            raise ValueError(f"sampler.variance is {variance}; it must be from 0 (beta~) to 1 (beta)")
        self.variance = variance

    def step(
        self, xt: Tensor, x0: Tensor, alpha_bar_t: Tensor, alpha_bar_s: Tensor, rng: Generator | None
    ) -> Tensor:
        q = posterior(alpha_bar_t, alpha_bar_s)
        # At s = 0 beta~ is 0 and x0 is the answer; a choice of beta would only add noise to the sample.
        std = (q.beta**self.variance * q.beta_tilde ** (1 - self.variance)).sqrt() * (alpha_bar_s < 1)
        mean = q.of_x0.to(x0.dtype) * x0 + q.of_xt.to(xt.dtype) * xt
        return mean + std.to(xt.dtype) * noise_like(xt, rng)


class DDIM(Sampler):
    """x_s = sqrt(ab_s) x0 + sqrt(1 - ab_s - std^2) eps + std z, std = eta sqrt(beta~).

    eta = 0 is deterministic; eta = 1 on the full grid is ancestral sampling with beta~.
    Source: Song et al. 2021 (DDIM), Eq. 12 and 16.
    """

    def __init__(self, steps: int = 50, *, eta: float = 0.0, clip_x0: bool = True) -> None:
        super().__init__(steps, clip_x0=clip_x0)
        if not 0 <= eta <= 1:
            raise ValueError(f"sampler.eta is {eta}; it must be from 0 (deterministic) to 1 (ancestral)")
        self.eta = eta

    def step(
        self, xt: Tensor, x0: Tensor, alpha_bar_t: Tensor, alpha_bar_s: Tensor, rng: Generator | None
    ) -> Tensor:
        variance = self.eta**2 * posterior(alpha_bar_t, alpha_bar_s).beta_tilde
        at = Level(alpha_bar_t.sqrt().to(xt.dtype), (1 - alpha_bar_t).sqrt().to(xt.dtype))
        eps = X0().to_eps(x0, xt, at)
        # beta~ equals 1 - ab_s in the limit of ab_t = 0; rounding must not push the root below 0.
        of_eps = (1 - alpha_bar_s - variance).clamp(min=0).sqrt()
        xs = alpha_bar_s.sqrt().to(xt.dtype) * x0 + of_eps.to(xt.dtype) * eps
        if self.eta == 0:
            return xs
        return xs + variance.sqrt().to(xt.dtype) * noise_like(xt, rng)


def noise_like(x: Tensor, rng: Generator | None) -> Tensor:
    """Standard normal noise in the shape, dtype and device of x."""
    return torch.randn(x.shape, generator=rng, dtype=x.dtype, device=x.device)
