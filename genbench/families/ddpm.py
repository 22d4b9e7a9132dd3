"""Denoising diffusion: network + schedule + parameterization + objective + sampler."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from genbench.diffusion.objective import Objective
from genbench.diffusion.parameterization import Parameterization
from genbench.diffusion.sampler import Sampler, noise_like
from genbench.diffusion.schedule import Schedule
from genbench.diffusion.times import Times
from genbench.generator import ForwardProcess, Generator, Loss, Rng, Trajectory

__all__ = ["Diffusion"]


class Diffusion(Generator, Trajectory, ForwardProcess):
    """A Gaussian diffusion model (DDPM).

    The network answers `network(xt (B, C, H, W), t (B,), y (B,) or None)` in the shape of xt; the
    parameterization says what the answer means. loss = E_{t, eps} objective(answer, target).
    Raises ValueError where the sampler wants more steps than the schedule has.
    Source: Ho et al. 2020.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_classes: int,
        *,
        network: nn.Module,
        schedule: Schedule,
        parameterization: Parameterization,
        objective: Objective,
        sampler: Sampler,
        times: Times,
    ) -> None:
        super().__init__(shape, num_classes)
        schedule.times(sampler.steps)  # refuses more steps than the grid has before any work starts
        self.network, self.schedule = network, schedule
        self.parameterization, self.objective = parameterization, objective
        self.sampler, self.times = sampler, times

    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> Loss:
        self.check_phase(phase)
        self.check_batch(x, y)
        t = self.times(len(x), self.schedule.T, x.device)
        at, eps = self.schedule.level(t), torch.randn_like(x)
        output = self.network(at.alpha * x + at.sigma * eps, t.float(), y)
        total = self.objective(output, self.parameterization.target(x, eps, at)).mean()
        return Loss(total, {"simple": total.detach()})

    @torch.no_grad()
    def sample(self, n: int, y: Tensor | None = None, *, rng: Rng | None = None) -> Tensor:
        *_, x = self.path(n, y, rng)
        return x

    @torch.no_grad()
    def trajectory(self, n: int, y: Tensor | None = None, *, rng: Rng | None = None, frames: int) -> Tensor:
        shown = frame_indices(self.sampler.steps + 1, frames)
        states = {k: x for k, x in enumerate(self.path(n, y, rng)) if k in shown}
        return torch.stack([states[k] for k in shown])

    @torch.no_grad()
    def forward_process(self, x: Tensor, *, rng: Rng | None = None, frames: int) -> Tensor:
        self.check_images(x)
        eps = noise_like(x, rng)
        shown = torch.tensor(frame_indices(self.schedule.T + 1, frames), device=x.device)
        levels = [self.schedule.level(t[None]) for t in shown / self.schedule.T]
        return torch.stack([at.alpha * x + at.sigma * eps for at in levels])

    def path(self, n: int, y: Tensor | None, rng: Rng | None) -> Iterator[Tensor]:
        """Pure noise, then the state after each step of the sampler: (n, C, H, W) each."""
        self.check_labels(y, n)
        x = torch.randn(n, *self.shape, generator=rng, device=self.schedule.table.device)
        yield x
        yield from self.sampler.path(lambda xt, t: self.denoise(xt, t, y), self.schedule, x, rng)

    def denoise(self, xt: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        """The model's estimate of x0 at xt (B, C, H, W) and t (B,), float32."""
        output = self.network(xt, t.float(), y).float()
        return self.parameterization.to_x0(output, xt, self.schedule.level(t))


def frame_indices(states: int, frames: int) -> list[int]:
    """Indices of `frames` states, evenly spaced from the first to the last (repeated where they are few).

    Raises ValueError unless there are at least two frames.
    """
    if frames < 2:
        raise ValueError(f"frames is {frames}; it must be at least 2, the first state and the last")
    return [round(i * (states - 1) / (frames - 1)) for i in range(frames)]
