"""Parts that the networks of all GANs share: sizes, the discriminator's head, normalisation."""

from collections.abc import Sequence
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from genbench.nn.fast import GroupNorm
from genbench.nn.sizes import SMALLEST_MAP, halved
from genbench.probability.counts import MOST_CHANNELS, check_count

__all__ = [
    "SLOPE",
    "MinibatchStd",
    "ProjectionHead",
    "block_widths",
    "group_norm_of_8",
    "halvings",
    "spectral",
]

Layer = TypeVar("Layer", bound=nn.Module)
SLOPE = 0.2  # of the leaky ReLU below 0
FEWEST_MAPS = 3  # with fewer, the corners of 8x8 images would enter a discriminator's head apart


class ProjectionHead(nn.Module):
    """Features to logits, which a label shifts by the product of its embedding with the features.

    logit = w . h + e(y) . h; features h (B, F), y (B,) int64 or None -> (B,). There is no constant, which
    criteria that compare logits would never train.
    Source: Miyato & Koyama 2018, Eq. 4.
    """

    def __init__(self, features: int, num_classes: int, *, spectral_norm: bool) -> None:
        super().__init__()
        self.linear = spectral(nn.Linear(features, 1, bias=False), on=spectral_norm)
        self.label = None
        if num_classes:
            self.label = nn.Embedding(num_classes, features)
            # Products of this many features with weights of order 1 would drown what is common to all labels.
            nn.init.normal_(self.label.weight, std=features**-0.5)
            self.label = spectral(self.label, on=spectral_norm)

    def forward(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        logits = self.linear(h).squeeze(1)  # (B,)
        if self.label is not None:
            logits = logits + (self.label(y) * h).sum(1)
        return logits


class MinibatchStd(nn.Module):
    """One more channel: the standard deviation over the batch, averaged over all places of the map.

    It shows a generator that repeats itself: (B, C, H, W) -> (B, C + 1, H, W).
    Source: Karras et al. 2018 (progressive GANs), Section 3.
    """

    def forward(self, x: Tensor) -> Tensor:
        deviation = (x.float().var(0, correction=0) + 1e-8).sqrt().mean().to(x.dtype)  # ()
        return torch.cat([x, deviation.expand(len(x), 1, *x.shape[2:])], dim=1)


def spectral(layer: Layer, *, on: bool) -> Layer:
    """The layer itself, its weight W divided by its largest singular value where `on`: W / sigma(W).

    The power iteration makes one step a training pass. Source: Miyato et al. 2018, Algorithm 1.
    """
    return cast("Layer", parametrizations.spectral_norm(layer)) if on else layer


def group_norm_of_8(channels: int, *, affine: bool = True) -> GroupNorm:
    """A group norm of groups of 8 channels, or of one group where 8 does not divide them.

    affine: with a learned weight and bias of each channel.
    """
    return GroupNorm(channels // 8 if channels % 8 == 0 else 1, channels, affine=affine)


def halvings(
    height: int, width: int, *, largest: int = SMALLEST_MAP, fewest: int = FEWEST_MAPS
) -> list[tuple[int, int]]:
    """Sizes (h, w) of maps from the image down, each half of the one before, rounded up.

    largest: side of the last map at most. fewest: maps at least.
    A generator's maps are these from the last to the first.
    """
    sizes = [(height, width)]
    while max(sizes[-1]) > largest or len(sizes) < fewest:
        sizes.append(halved(*sizes[-1]))
    return sizes


def block_widths(of: str, width: int, multipliers: Sequence[int] | None, levels: int) -> list[int]:
    """Channels of each map from the largest to the smallest: width times multipliers (None: all 1).

    of: "generator" or "discriminator", for the message.
    Raises ValueError on a width or a multiplier below 1, or on multipliers that are not one a level.
    """
    check_count(f"network.{of}.width", width, MOST_CHANNELS, usual=64)
    multipliers = [1] * levels if multipliers is None else list(multipliers)
    most = MOST_CHANNELS // width
    if len(multipliers) != levels or min(multipliers) < 1 or max(multipliers) > most:
        raise ValueError(
            f"network.{of}.multipliers is {multipliers}; it must be null or {levels} whole numbers from "
            f"1 to {most:,}, one for each size of the map"
        )
    return [width * multiplier for multiplier in multipliers]
