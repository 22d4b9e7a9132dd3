"""Invertible maps with their change of volume.

Notation of this folder: x goes in, z comes out, log_det = log |det dz/dx| of each image, y are labels.
Everything here computes in the dtype of x (networks alone may use less, see `genbench.runtime.precision`).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "Away",
    "ChannelMap",
    "Composed",
    "Flatten",
    "Guidable",
    "Shape",
    "Transform",
    "TwoWay",
    "per_image",
]

Shape = tuple[int, int, int]


class Transform(nn.Module, ABC):
    """A bijection z = f(x; y) of images or vectors, one for each label.

    inverse(forward(x)) = x, and log_det is the logarithm of the Jacobian's absolute determinant.
    """

    takes_any = True
    """False where only some real numbers can go in, such as those of [0, 256) into a logit."""

    @abstractmethod
    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z and log_det (B,), of x (B, ...) and labels y (B,) int64 where there are classes.

        log_det = log |det dz/dx| in nats, in the dtype of x; gradients pass through both.
        """

    @abstractmethod
    def inverse(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The x (B, ...) whose forward map under the same labels is z.

        inverse(forward(x)) = x up to rounding.
        """


class Away(NamedTuple):
    """Labels that an inverse is guided away from, (B,) int64, and the scale s of the guidance: the networks
    answer raw_w + s (raw - raw_w), raw_w for these labels, so that s = 1 is no guidance.
    """

    y: Tensor
    scale: float


class Guidable(Transform, ABC):
    """A bijection whose inverse can be guided: its networks answer for two labels, and away from one."""

    @abstractmethod
    def guided(self, z: Tensor, y: Tensor | None, away: Away) -> Tensor:
        """The x (B, ...) that z becomes under guidance from the labels `away` to y; not the inverse then."""


class ChannelMap(Transform):
    """z = W x + b at every position of x (B, C, H, W), log_det = H W log |det W|.

    Composed applies several in a row as one and does not call `forward`, so that a `forward` of a subclass
    must apply `matrix` alone (beside it, it may take statistics, until `is_ready`).
    """

    @abstractmethod
    def matrix(self) -> tuple[Tensor, Tensor, Tensor]:
        """W (C, C), b (C,) and log |det W| (), computed outside of autocast."""

    def is_ready(self) -> bool:
        """True where `forward` has no statistics to take of x first, so that `matrix` is what it applies."""
        return True

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return apply_maps([self], x)


class Composed(Transform):
    """z = f_n(... f_1(x)), log_det the sum of theirs."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        super().__init__()
        self.transforms = nn.ModuleList(transforms)

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total = x.new_zeros(len(x))
        for is_joint, transforms in groupby(cast("Iterable[Transform]", self.transforms), key=is_ready_map):
            if is_joint:  # successive maps of channels are one product
                x, log_det = apply_maps(cast("Iterable[ChannelMap]", transforms), x)
                total = total + log_det
                continue
            for transform in transforms:
                x, log_det = transform(x, y)
                total = total + log_det
        return x, total

    def inverse(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        for transform in reversed(cast("Sequence[Transform]", self.transforms)):
            z = transform.inverse(z, y)
        return z


def is_ready_map(transform: Transform) -> bool:
    """True for a map of channels that Composed can join with its neighbours."""
    return isinstance(transform, ChannelMap) and transform.is_ready()


def apply_maps(maps: Iterable[ChannelMap], x: Tensor) -> tuple[Tensor, Tensor]:
    """z and log_det (B,) of successive maps of the channels of x (B, C, H, W), by one product."""
    with torch.autocast(x.device.type, enabled=False):
        first, *others = maps
        weight, bias, log_det = first.matrix()
        for each in others:
            factor, shift, of_each = each.matrix()
            weight, bias, log_det = factor @ weight, torch.addmv(shift, factor, bias), log_det + of_each
        z = F.linear(x.movedim(1, -1), weight, bias).movedim(-1, 1)
        return z, (log_det * (x[0].numel() // len(bias))).expand(len(x))


class Flatten(Transform):
    """Images of a shape (C, H, W) as vectors: (B, C, H, W) -> (B, C H W), log_det = 0."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x.flatten(1), x.new_zeros(len(x))

    def inverse(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return z.reshape(-1, *self.shape)


class TwoWay(nn.Module):
    """A transform whose two directions are both calls of the module, so that forward hooks count both.

    forward(x, y) is (z, log_det); forward(z, y, reverse=True) is (x, None), guided where `away` is given, of
    a transform that is Guidable.
    """

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self.transform = transform

    def forward(
        self, x: Tensor, y: Tensor | None = None, *, reverse: bool = False, away: Away | None = None
    ) -> tuple[Tensor, Tensor | None]:
        if away is not None:
            assert isinstance(self.transform, Guidable)
            return self.transform.guided(x, y, away), None
        return (self.transform.inverse(x, y), None) if reverse else self.transform(x, y)


def per_image(values: Tensor) -> Tensor:
    """The sum of each image's values over all but the first dimension: (B, ...) -> (B,).

    Log-determinants and log-likelihoods of single numbers become those of images by it.
    """
    return values.flatten(1).sum(dim=1)
