"""Floating-point operations of training and of sampling, counted and not declared."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from genbench import rng
from genbench.generator import Generator
from genbench.train import only

__all__ = ["count", "sampling_flops", "training_flops"]


def count(work: Callable[[], object]) -> int:
    """Operations of the matrix products, convolutions and attentions of some work.

    A multiplication and the addition that belongs to it are two; everything else is left out.
    """
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def training_flops(model: Generator, x: Tensor, y: Tensor | None) -> float:
    """Operations of one training step, forward and backward, for each image that it sees; x (B, C, H, W)."""
    twin = copy.deepcopy(model).train().requires_grad_(True)

    def step() -> None:
        for phase in twin.phases:
            with only(twin, phase):
                twin.loss(x, y, phase=phase).total.backward()

    with rng.fork(x.device):
        return count(step) / (len(x) * len(twin.phases))


@torch.no_grad()
def sampling_flops(model: Generator, y: Tensor | None, *, n: int, device: torch.device) -> float:
    """Operations that one of n samples costs; y (n,) or None."""
    stream = torch.Generator(device=device).manual_seed(0)
    return count(lambda: model.sample(n, y, rng=stream)) / n
