"""Levels of coarser and coarser maps, half of the channels factored out after each."""

from collections.abc import Callable

import torch
from torch import Tensor

from genbench.flows.coupling import Affine, Channels, asinh
from genbench.flows.network import CouplingNets
from genbench.flows.squeeze import Squeeze
from genbench.flows.transform import Composed, Flatten, Shape, Transform

__all__ = ["FactorOut", "LevelBuilder", "levels_of", "squeeze"]


LevelBuilder = Callable[[Shape], list[Transform]]
"""Makes the transforms of one level for maps (C, H, W), squeezed where both sides are even."""


class FactorOut(Transform):
    """Half of the channels, x_b, become latents, normalised given the half x_a that passes through `rest`.

    z = [rest(x_a), (x_b + t) e^s], (t, s) = network(asinh(x_a)): under a standard normal z the half x_b has a
    Gaussian of learned mean and variance, and all latents of the flow have one distribution.
    (B, C, H, W) -> (B, C H W). bound: of s.
    Source: Dinh et al. 2017, Section 3.6; the learned Gaussian: Kingma & Dhariwal 2018, Section 5.
    """

    def __init__(self, shape: Shape, rest: Transform, networks: CouplingNets, *, bound: float) -> None:
        super().__init__()
        self.partition, self.function, self.rest = Channels(shape), Affine(bound), rest
        fixed, moved = self.partition.channels
        self.network = networks.build(fixed, self.function.parameters * moved)
        self.leaving = (moved, shape[1], shape[2])

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        fixed, moved = self.partition.split(x)
        moved, log_det = self.function.forward(moved, self.network(asinh(fixed), y))
        z, of_rest = self.rest(fixed, y)  # (B, latents of all later levels), and their log_det
        return torch.cat([z, moved.flatten(1)], dim=1), log_det + of_rest

    def inverse(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        channels, height, width = self.leaving
        leaving = channels * height * width
        fixed = self.rest.inverse(z[:, :-leaving], y)
        moved = z[:, -leaving:].reshape(-1, *self.leaving)
        return self.partition.merge(fixed, self.function.inverse(moved, self.network(asinh(fixed), y)))


def levels_of(
    shape: Shape, levels: int, build: LevelBuilder, networks: CouplingNets, *, bound: float
) -> Transform:
    """`levels` levels, half of the channels factored out between them: (B, C, H, W) -> latents (B, C H W).

    bound: of the log-scale of the latents that are factored out.
    Fewer levels where one ends in a map that cannot be squeezed again: nothing is padded, so nothing costs
    bits.
    """
    after = squeeze(shape).shape
    if levels == 1 or squeeze(after).side == 1:  # the next level could not be squeezed
        return Composed([*build(shape), Flatten(after)])
    fixed = (Channels(after).channels[0], after[1], after[2])
    rest = levels_of(fixed, levels - 1, build, networks, bound=bound)
    return Composed([*build(shape), FactorOut(after, rest, networks, bound=bound)])


def squeeze(shape: Shape) -> Squeeze:
    """The squeeze of 2x2 pixels into channels for maps (C, H, W), of 1x1 where a side is odd.

    The one of 1x1 is the identity. Its `shape` is that of the squeezed map.
    """
    return Squeeze(shape, 2 if shape[1] % 2 == 0 and shape[2] % 2 == 0 else 1)
