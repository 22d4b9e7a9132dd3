"""Straight paths from data to noise."""

import torch
from torch import Generator, Tensor

from genbench.diffusion.process import Process
from genbench.diffusion.sampler import noise_like
from genbench.diffusion.schedule import Level
from genbench.runtime import global_batch

__all__ = ["Straight", "level"]


class Straight(Process):
    """xt = (1 - t) x0 + t eps: t = 0 is data, as everywhere here; the papers' time is often 1 - t.

    Source: Liu et al. 2023 (rectified flow), Eq. 1; Lipman et al. 2023, Eq. 22 with sigma_min = 0.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("here", torch.zeros(()), persistent=False)  # on the device of the samples

    def noise(self, n: int, shape: tuple[int, int, int], rng: Generator | None) -> Tensor:
        return global_batch.normal(n, shape, rng=rng, device=self.here.device)

    def noised(self, x0: Tensor, start: float, rng: Generator | None) -> Tensor:
        if not 0 < start <= 1:
            raise ValueError(f"start is {start}; it must be above 0 (an image) and at most 1 (pure noise)")
        return (1 - start) * x0 + start * noise_like(x0, rng)

    def noise_levels(self) -> tuple[Tensor, Tensor]:
        t = torch.linspace(0, 1, 101, dtype=torch.float64)
        return t, (1 - t).square() / ((1 - t).square() + t.square())

    def forward_states(self, x0: Tensor, rng: Generator | None, *, frames: int) -> Tensor:
        eps = noise_like(x0, rng)
        return torch.stack([(1 - t) * x0 + t * eps for t in torch.linspace(0, 1, frames).tolist()])


def level(t: Tensor) -> Level:
    """Signal 1 - t and noise t, (B,) -> (B, 1, 1, 1) float32 each."""
    t = t[:, None, None, None]
    return Level((1 - t).float(), t.float())
