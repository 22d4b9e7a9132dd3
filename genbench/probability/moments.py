"""Running mean and mean square of a batch's numbers, over all processes, and the deviation that follows."""

import torch
from torch import Tensor

from genbench.runtime import global_batch

__all__ = ["deviation", "update_moments"]


@torch.no_grad()
def update_moments(z: Tensor, mean: Tensor, square: Tensor, batches: Tensor, *, least: float = 0.0) -> None:
    """Average the moments of z over batches in place, each new batch with weight max(1 / n, least), n
    batches.

    z (B, L, ..): moments are over B and all axes behind L. mean, square: (L, ..), with 1 for each of those
    axes. batches: their number before this one, (). least: 0 where z comes from a network that does not
    change; else old batches must fade.
    """
    weight = (1 / (batches + 1)).clamp(min=least)
    axes = (0, *range(2, z.dim()))
    # global_batch.mean: over all processes, so that each of them scales alike.
    mean.lerp_(global_batch.mean(z.mean(dim=axes, keepdim=True)[0]), weight)
    square.lerp_(global_batch.mean(z.square().mean(dim=axes, keepdim=True)[0]), weight)
    batches += 1


def deviation(mean: Tensor, square: Tensor) -> Tensor:
    """Return the standard deviation of numbers with a mean and a mean square, of their shape, at least
    1e-4.
    """
    # Bounded away from 0: a number may be constant, and the difference of moments rounds below 0.
    return (square - mean.square()).clamp(min=1e-8).sqrt()
