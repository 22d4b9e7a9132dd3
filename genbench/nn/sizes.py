"""Sizes of the residual networks: channels and maps of every level, checked in one place."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from genbench.probability.counts import MOST_CHANNELS, MOST_LAYERS, check_count

__all__ = ["SMALLEST_MAP", "Sizes", "halved", "multipliers_down_to"]

SMALLEST_MAP = 4
"""The side of the smallest map where the number of levels is not given."""


@dataclass(frozen=True)
class Sizes:
    """A residual network whose level i has width * multipliers[i] channels, each level halving the map.

    shape: (C, H, W) of the images, any H and W that `patch` divides; odd maps are halved rounding up.
    num_classes: 0 is unconditional.
    multipliers: None is 1, 2, 2, .. with as many levels as bring the map down to 4x4.
    blocks: residual blocks a level. dropout: rate inside the blocks.
    patch: side of the squares of pixels that are folded into channels at the border, a cheap way to a larger
    field of view (pixel-unshuffle, Shi et al. 2016); 1 folds nothing.
    Raises ValueError on sizes that no network can have.
    """

    shape: Sequence[int]
    num_classes: int
    width: int
    multipliers: Sequence[int] | None
    blocks: int
    patch: int
    dropout: float

    def __post_init__(self) -> None:
        _, height, width = self.shape
        if self.patch < 1 or height % self.patch or width % self.patch:
            raise ValueError(
                f"network.patch is {self.patch}; it must divide the image of {height}x{width}: use "
                "network.patch=1"
            )
        check_count("network.width", self.width, MOST_CHANNELS, least=2, usual=32)
        check_count("network.blocks", self.blocks, MOST_LAYERS, usual=1)
        if self.width % 2:
            raise ValueError(f"network.width is {self.width}; it must be even, e.g. 32")
        most = MOST_CHANNELS // self.width
        if self.multipliers is not None and (
            not self.multipliers or min(self.multipliers) < 1 or max(self.multipliers) > most
        ):
            raise ValueError(
                f"network.multipliers is {list(self.multipliers)}; it must be null or whole numbers from 1 "
                f"to {most:,}, one for each level, e.g. [1, 2, 2]"
            )
        if min(height, width) // self.patch < 2 ** (len(self.widths) - 1):
            raise ValueError(
                f"network.multipliers has {len(self.widths)} levels, too many for {height}x{width} images "
                f"folded by network.patch={self.patch}: each level halves the map, take fewer"
            )

    @property
    def widths(self) -> list[int]:
        """Channels of each level, width * multipliers[i], from the largest map to the smallest."""
        longer = max(self.shape[1:]) // self.patch
        multipliers = self.multipliers or multipliers_down_to(SMALLEST_MAP, longer)
        return [self.width * multiplier for multiplier in multipliers]

    @property
    def maps(self) -> list[tuple[int, int]]:
        """(h, w) of each level's map, from the largest, (H, W) / patch, to the smallest.

        Each is half of the one before, rounded up, as a convolution of stride 2 leaves it.
        """
        sizes = [(self.shape[1] // self.patch, self.shape[2] // self.patch)]
        for _ in self.widths[1:]:
            sizes.append(halved(*sizes[-1]))
        return sizes

    @property
    def smallest(self) -> tuple[int, int, int]:
        """(C, h, w) of the last level's map, which latent vectors are read from and written to."""
        return (self.widths[-1], *self.maps[-1])

    @property
    def embedding(self) -> int:
        """E = 4 width, the numbers of the vector that conditions every block."""
        return 4 * self.width

    def channels(self, name: str, given: int | None) -> int:
        """Return the channels of a map at the network's border, None being those of the image.
        Raises ValueError on a number under the setting `name` that no map can have.
        """
        if given is None:
            return self.shape[0]
        check_count(f"network.{name}", given, MOST_CHANNELS, usual=self.shape[0])
        return given

    def folded(self, channels: int) -> int:
        """channels * patch^2, the channels of a map of so many channels once patches are folded in."""
        return channels * self.patch**2


def halved(height: int, width: int) -> tuple[int, int]:
    """The size (h, w) of a map of height x width after a convolution of stride 2 and padding 1.

    Each side is halved and rounded up, so that an odd map loses no row or column.
    """
    return (height + 1) // 2, (width + 1) // 2


def multipliers_down_to(smallest: int, side: int) -> list[int]:
    """1, 2, 2, ..: multipliers of as many levels as bring a map of `side` down to `smallest` or less.

    The first level keeps the map; each later one halves it and has twice the channels of the first.
    """
    halvings = max(math.ceil(math.log2(max(side, 1) / smallest)), 0)
    return [1] + [2] * halvings
