"""Distances between predictions and targets."""

from abc import ABC, abstractmethod

import torch.nn.functional as F
from torch import Tensor

__all__ = ["L1", "L2", "Distance", "Huber"]


class Distance(ABC):
    """A distance between predictions and targets, averaged over the D dimensions of each image."""

    def __call__(self, output: Tensor, target: Tensor, *, weight: Tensor | float = 1.0) -> Tensor:
        """Distances of a batch: (B, C, H, W) twice -> (B,) float32."""
        return (weight * self.pointwise(output.float(), target.float())).flatten(1).mean(dim=1)

    @abstractmethod
    def pointwise(self, output: Tensor, target: Tensor) -> Tensor:
        """The distance of each element, in the shape of its arguments."""


class L1(Distance):
    """Absolute error |output - target| of each element."""

    def pointwise(self, output: Tensor, target: Tensor) -> Tensor:
        return (output - target).abs()


class L2(Distance):
    """(output - target)^2, L_simple of Ho et al. 2020, Eq. 14."""

    def pointwise(self, output: Tensor, target: Tensor) -> Tensor:
        return (output - target).square()


class Huber(Distance):
    """r^2 / 2 where |r| <= delta, delta (|r| - delta / 2) beyond, for r = output - target.

    Source: Huber 1964, Eq. 1.3 ff.
    """

    def __init__(self, delta: float = 1.0) -> None:
        if not delta > 0:
            raise ValueError(f"loss.delta is {delta}; it must be above 0, e.g. 1.0")
        self.delta = delta

    def pointwise(self, output: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(output, target, reduction="none", delta=self.delta)
