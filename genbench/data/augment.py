"""Augmentations, made after the store so that it holds each image once."""

import torch
from torch import Generator, Tensor

from genbench import batchwise

__all__ = ["mirrored"]


def mirrored(x: Tensor, *, rng: Generator | None = None) -> Tensor:
    """Each image of x (B, C, H, W) turned left to right with probability 1/2; rng None is torch's own."""
    turned = batchwise.uniform(len(x), (1, 1, 1), rng=rng, device=x.device) < 0.5
    return torch.where(turned, x.flip(3), x)
