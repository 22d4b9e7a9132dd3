"""Coupling layers: one part of an image is unchanged and determines how the other part is transformed."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from genbench.flows.network import CouplingNets
from genbench.flows.transform import Shape, Transform, per_image

__all__ = [
    "Additive",
    "Affine",
    "Channels",
    "Checkerboard",
    "CouplingFunction",
    "CouplingLayer",
    "Partition",
    "asinh",
]


class CouplingFunction(ABC):
    """An invertible map of single numbers, whose parameters a network gives: raw (B, parameters C, H, W).

    raw = 0, which networks start with, is the identity. The dtype is that of x. (It is the "coupling law" of
    Dinh et al. 2015, Section 3.2.)
    """

    parameters: int
    """The count of parameters for each number that is transformed."""

    @abstractmethod
    def forward(self, x: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        """z (B, C, H, W), and log_det (B,) = sum log dz/dx, of x (B, C, H, W)."""

    @abstractmethod
    def inverse(self, z: Tensor, raw: Tensor) -> Tensor:
        """The x (B, C, H, W) whose forward map under the same raw is z, up to rounding.

        Its volume is not computed: sampling needs none.
        """


class Affine(CouplingFunction):
    """z = (x + t) e^s, s = bound tanh(raw / bound), so that the scale is between e^-bound and e^bound.

    Raises ValueError unless bound > 0.
    Source: Kingma & Dhariwal 2018, Table 1. They take s = log sigmoid(raw + 2); Dinh et al. 2017, Eq. 7 bound
    it by a hyperbolic tangent with a learned factor. A bound keeps inverses exact and unseen images finite.
    """

    parameters = 2

    def __init__(self, bound: float = 2.0) -> None:
        if not bound > 0:
            raise ValueError(f"coupling.bound is {bound}; it must be above 0, e.g. 2.0")
        self.bound = bound

    def forward(self, x: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = self.scale_and_shift(raw.to(x.dtype))
        return (x + shift) * log_scale.exp(), per_image(log_scale)

    def inverse(self, z: Tensor, raw: Tensor) -> Tensor:
        log_scale, shift = self.scale_and_shift(raw.to(z.dtype))
        return z * (-log_scale).exp() - shift

    def scale_and_shift(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """s and t, (B, C, H, W) each, from raw (B, 2 C, H, W)."""
        unbounded, shift = raw.chunk(2, dim=1)
        return self.bound * torch.tanh(unbounded / self.bound), shift


class Additive(CouplingFunction):
    """z = x + raw, log_det = 0. Source: Dinh et al. 2015 (NICE), Section 3.2."""

    parameters = 1

    def forward(self, x: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        return x + raw.to(x.dtype), x.new_zeros(len(x))

    def inverse(self, z: Tensor, raw: Tensor) -> Tensor:
        return z - raw.to(z.dtype)


class Partition(nn.Module, ABC):
    """A partition of an image x into the fixed part x_a, which a network reads, and the moved part x_b.

    Both are maps of the size of x; over several coupling layers partitions alternate, so that each number
    moves.
    """

    channels: tuple[int, int]
    """Channels of the fixed part, and of the moved part."""

    @abstractmethod
    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x_a and x_b of x (B, C, H, W): (B, channels[0], H, W) and (B, channels[1], H, W).

        The parts may be views of x; numbers that belong to the other part are left out or 0.
        """

    @abstractmethod
    def merge(self, fixed: Tensor, moved: Tensor) -> Tensor:
        """The image (B, C, H, W) of its two parts, the inverse of `split`: merge(*split(x)) = x."""

    def restrict(self, raw: Tensor) -> Tensor:
        """Parameters raw with those at positions of the fixed part set to 0, which is the identity.

        raw (B, parameters * channels[1], H, W) -> the same shape; unchanged where parts are whole channels.
        """
        return raw


class Channels(Partition):
    """Half of the channels are fixed, the other half moves (the larger half is fixed where C is odd).

    swap: the last channels are fixed instead of the first. Raises ValueError on images of a single channel.
    Source: Dinh et al. 2017, Section 3.4.
    """

    def __init__(self, shape: Shape, *, swap: bool = False) -> None:
        super().__init__()
        if shape[0] < 2:
            raise ValueError(
                f"maps of shape {shape} have a single channel, which cannot be halved: take images with even "
                "sides, which can be squeezed, or flow=realnvp"
            )
        moved = shape[0] // 2
        self.channels, self.swap = (shape[0] - moved, moved), swap

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.swap:
            moved, fixed = x.split((self.channels[1], self.channels[0]), dim=1)
            return fixed, moved
        fixed, moved = x.split(self.channels, dim=1)
        return fixed, moved

    def merge(self, fixed: Tensor, moved: Tensor) -> Tensor:
        return torch.cat((moved, fixed) if self.swap else (fixed, moved), dim=1)


class Checkerboard(Partition):
    """The black squares are fixed, the white ones move: each part is the image with the other part set to 0.

    swap: white and black change places. Source: Dinh et al. 2017, Section 3.4.
    """

    mask: Tensor

    def __init__(self, shape: Shape, *, swap: bool = False) -> None:
        super().__init__()
        channels, height, width = shape
        colour = (torch.arange(height)[:, None] + torch.arange(width) + swap) % 2
        self.channels = (channels, channels)
        self.register_buffer("mask", colour.float(), persistent=False)  # (H, W), 1 where it is fixed

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x * self.mask, self.restrict(x)

    def merge(self, fixed: Tensor, moved: Tensor) -> Tensor:
        return fixed + moved

    def restrict(self, raw: Tensor) -> Tensor:
        return raw * (1 - self.mask)


class CouplingLayer(Transform):
    """z_a = x_a, z_b = function(x_b; network(asinh(x_a), y)), with x = (x_a, x_b) by the partition.

    Apart from the source: asinh, since a number far from all training images would drive the network anywhere
    (on digits, a few such images raised the average by 250 bits a dimension).
    Source: Dinh et al. 2017, Section 3.2.
    """

    def __init__(self, partition: Partition, function: CouplingFunction, networks: CouplingNets) -> None:
        super().__init__()
        self.partition, self.function = partition, function
        fixed, moved = partition.channels
        self.network = networks.build(fixed, function.parameters * moved)

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        fixed, moved = self.partition.split(x)
        z, log_det = self.function.forward(moved, self.raw(fixed, y))
        return self.partition.merge(fixed, z), log_det

    def inverse(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        fixed, moved = self.partition.split(z)
        return self.partition.merge(fixed, self.function.inverse(moved, self.raw(fixed, y)))

    def raw(self, fixed: Tensor, y: Tensor | None) -> Tensor:
        """The coupling function's parameters (B, parameters C_b, H, W) by the fixed part and the label."""
        return self.partition.restrict(self.network(asinh(fixed), y))


class Asinh(torch.autograd.Function):
    """asinh x = sign(x) log(1 + a + a^2 / (1 + sqrt(1 + a^2))), a = |x|, of slope 1 / sqrt(1 + x^2)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(x)
        a = x.abs()
        # hypot, since a^2 overflows in float32 beyond 1e19; in place, since memory takes the time.
        share = a / torch.hypot(a, torch.ones_like(a[:1])).add_(1)
        return share.mul_(a).add_(a).log1p_().copysign_(x)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:  # noqa: ANN401
        (x,) = ctx.saved_tensors  # where x^2 overflows the slope becomes 0, off by less than 1e-19
        return slope * x.square().add_(1).rsqrt_()


def asinh(x: Tensor) -> Tensor:
    """asinh of each number of x (...), on a CPU by vector instructions: 2 to 4 times as fast as torch 2.15's.

    There it has a first derivative alone. `python -m benchmarks.fast` times both directions.
    """
    return Asinh.apply(x) if x.device.type == "cpu" else x.asinh()
