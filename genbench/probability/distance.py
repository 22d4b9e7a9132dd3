"""Distances between predictions and targets: l1, l2, Huber."""

from abc import ABC, abstractmethod

import torch.nn.functional as F
from torch import Tensor

__all__ = ["HuberDistance", "L1Distance", "L2Distance", "PixelDistance"]


class PixelDistance(ABC):
    """A distance between images, averaged over their D = C H W dimensions; abstract.

    A subclass states the distance of one element. Losses of diffusion and pointwise likelihoods of
    autoencoders are made of it.
    """

    def __call__(self, output: Tensor, target: Tensor, *, weight: Tensor | float = 1.0) -> Tensor:
        """Return the distance of each image of a batch: (B, C, H, W) twice -> (B,) float32.

        weight: a factor of each element's distance, any shape that broadcasts to (B, C, H, W).
        """
        return (weight * self.pointwise(output.float(), target.float())).flatten(1).mean(dim=1)

    @abstractmethod
    def pointwise(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the distance of each element, in the shape and dtype of the arguments, at least 0."""


class L1Distance(PixelDistance):
    """Absolute error |output - target| of each element."""

    def pointwise(self, output: Tensor, target: Tensor) -> Tensor:
        return (output - target).abs()


class L2Distance(PixelDistance):
    """Squared error (output - target)^2 of each element."""

    def pointwise(self, output: Tensor, target: Tensor) -> Tensor:
        return (output - target).square()


class HuberDistance(PixelDistance):
    """r^2 / 2 where |r| <= delta, delta (|r| - delta / 2) beyond, for r = output - target.

    Raises ValueError unless delta > 0. Source: Huber 1964, Eq. 1.3 ff.
    """

    def __init__(self, delta: float = 1.0) -> None:
        if not delta > 0:
            raise ValueError(f"loss.delta is {delta}; it must be above 0, e.g. 1.0")
        self.delta = delta

    def pointwise(self, output: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(output, target, reduction="none", delta=self.delta)
