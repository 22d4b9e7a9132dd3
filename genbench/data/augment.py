"""Augmentations, computed on batches, so that the store holds each image once."""

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from genbench.runtime import global_batch

__all__ = ["mirrored", "shifted"]


def mirrored(x: Tensor, *, rng: Generator | None = None) -> Tensor:
    """Mirror each image of x (B, C, H, W) left to right with probability 1/2.

    rng: None takes torch's default generator; the draws are made for the whole batch of all processes.
    """
    is_mirrored = global_batch.uniform(len(x), (1, 1, 1), rng=rng, device=x.device) < 0.5
    return torch.where(is_mirrored, x.flip(3), x)


def shifted(x: Tensor, most: int, *, rng: Generator) -> Tensor:
    """Move each image of x (B, C, H, W) in [-1, 1] by -most to most pixels down and across, both uniform.

    Pixels that come in at the border are black (-1). rng: a CPU generator.
    """
    h, w = x.shape[2:]
    corners = torch.randint(2 * most + 1, (len(x), 2), generator=rng).tolist()
    wide = F.pad(x, [most] * 4, value=-1.0)
    return torch.stack([image[:, i : i + h, j : j + w] for image, (i, j) in zip(wide, corners, strict=True)])
