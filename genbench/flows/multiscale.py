"""Levels of coarser and coarser maps, half of the channels leaving after each."""

from collections.abc import Callable

import torch
from torch import Tensor

from genbench.flows.coupling import Affine, Channels, asinh
from genbench.flows.network import CouplingNets
from genbench.flows.squeeze import Squeeze
from genbench.flows.transform import Composed, Flatten, Shape, Transform

__all__ = ["LevelBuilder", "Split", "levels_of", "squeeze"]


LevelBuilder = Callable[[Shape], list[Transform]]
"""The transforms of one level for maps (C, H, W), squeezed where both sides are even."""


class Split(Transform):
    """Half of the channels leave, normalised given the half that goes on through `rest`.

    z = [rest(x_kept), (x_moved + t) e^s], (t, s) = network(asinh(x_kept)): under a standard normal z the
    half that leaves has a Gaussian of learned mean and variance, and all latents of the flow have one law.
    (B, C, H, W) -> (B, C H W).
    Source: Dinh et al. 2017, Section 3.6; the learned Gaussian: Kingma & Dhariwal 2018, Section 5.
    """

    def __init__(self, shape: Shape, rest: Transform, networks: CouplingNets, *, bound: float) -> None:
        super().__init__()
        self.partition, self.law, self.rest = Channels(shape), Affine(bound), rest
        kept, moved = self.partition.channels
        self.network = networks.build(kept, self.law.parameters * moved)
        self.leaving = (moved, shape[1], shape[2])

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        kept, moved = self.partition.split(x)
        moved, log_det = self.law.forward(moved, self.network(asinh(kept), y))
        z, of_rest = self.rest(kept, y)
        return torch.cat([z, moved.flatten(1)], dim=1), log_det + of_rest

    def inverse(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        channels, height, width = self.leaving
        leaving = channels * height * width
        kept = self.rest.inverse(z[:, :-leaving], y)
        moved = z[:, -leaving:].reshape(-1, *self.leaving)
        return self.partition.merge(kept, self.law.inverse(moved, self.network(asinh(kept), y)))


def levels_of(
    shape: Shape, levels: int, build: LevelBuilder, networks: CouplingNets, *, bound: float
) -> Transform:
    """`levels` levels with splits between them, the latents flat: (B, C, H, W) -> (B, C H W).

    Fewer where a level ends in a map that cannot be squeezed again: nothing is padded, so nothing costs bits.
    """
    after = squeeze(shape).shape
    if levels == 1 or squeeze(after).side == 1:
        return Composed([*build(shape), Flatten(after)])
    kept = (Channels(after).channels[0], after[1], after[2])
    rest = levels_of(kept, levels - 1, build, networks, bound=bound)
    return Composed([*build(shape), Split(after, rest, networks, bound=bound)])


def squeeze(shape: Shape) -> Squeeze:
    """Squares of 2x2 pixels as channels, or of 1x1 where the map cannot be halved."""
    return Squeeze(shape, 2 if shape[1] % 2 == 0 and shape[2] % 2 == 0 else 1)
