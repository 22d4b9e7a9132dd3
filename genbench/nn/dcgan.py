"""Convolutional generators and discriminators, cheap since no hidden map has the size of the image."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.nn.norm import GroupNorm
from genbench.nn.projection import (
    SLOPE,
    MinibatchStd,
    ProjectionHead,
    block_widths,
    groups,
    halvings,
    spectral,
)

__all__ = ["DCGANDiscriminator", "DCGANGenerator"]


class DCGANGenerator(nn.Module):
    """Latents to images by transposed convolutions, each doubling the map, from 4x4 at most.

    shape: (C, H, W) of the images, any H and W (a map too large by one loses its last row or column).
    width: channels of each hidden map over its multiplier; multipliers: from the largest hidden map to the
    smallest, None: 1, 2, 4, ..
    num_classes: where above 0, an embedding of the label is appended to the latent.
    Apart from the source: group instead of batch normalisation, whose running statistics belong to the raw
    weights and would be wrong for their average.
    Source: Radford et al. 2016, Section 3; labels as in Mirza & Osindero 2014.
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        *,
        latent_size: int = 64,
        width: int = 64,
        multipliers: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        channels, *size = shape
        self.sizes = halvings(*size)[::-1]
        hidden = len(self.sizes) - 1
        widths = block_widths("generator", width, multipliers or doubling(hidden), hidden)[::-1]
        self.label = nn.Embedding(num_classes, latent_size) if num_classes else None
        inputs = latent_size * (2 if num_classes else 1)
        height, breadth = self.sizes[0]
        self.enter = nn.Linear(inputs, widths[0] * height * breadth)
        self.norms = nn.ModuleList(GroupNorm(groups(c), c) for c in widths)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, stride=2, padding=1)
            for a, b in zip(widths, [*widths[1:], channels], strict=True)
        )

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """z (B, L), y (B,) int64 or None -> images (B, C, H, W) in [-1, 1]."""
        if self.label is not None:
            z = torch.cat([z, self.label(y)], dim=1)
        h = self.enter(z).unflatten(1, (-1, *self.sizes[0]))
        for norm, up, (height, breadth) in zip(self.norms, self.up, self.sizes[1:], strict=True):
            h = up(F.relu(norm(h)))[:, :, :height, :breadth]
        return h.tanh()


class DCGANDiscriminator(nn.Module):
    """Images to logits by convolutions, each halving the map (odd ones rounded up), down to at most 4x4.

    width: channels of each hidden map over its multiplier; multipliers: from the largest hidden map to the
    smallest, None: 1, 2, 4, ..
    num_classes: where above 0, labels enter by projection.
    spectral_norm: divide each weight by its largest singular value.
    minibatch_std: show the head how much the batch varies.
    Apart from the source: no batch normalisation, under which the slope of a logit by its image means little.
    Source: Radford et al. 2016, Section 3.
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        *,
        width: int = 64,
        multipliers: Sequence[int] | None = None,
        spectral_norm: bool = False,
        minibatch_std: bool = False,
    ) -> None:
        super().__init__()
        channels, *size = shape
        sizes = halvings(*size)
        hidden = len(sizes) - 1
        multipliers = multipliers or doubling(hidden)
        widths = [channels, *block_widths("discriminator", width, multipliers, hidden)]
        self.down = nn.ModuleList(
            spectral(nn.Conv2d(a, b, 4, stride=2, padding=1), on=spectral_norm) for a, b in pairwise(widths)
        )
        self.statistic = MinibatchStd() if minibatch_std else nn.Identity()
        height, breadth = sizes[-1]
        features = (widths[-1] + minibatch_std) * height * breadth
        self.head = ProjectionHead(features, num_classes, spectral_norm=spectral_norm)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """x (B, C, H, W), y (B,) int64 or None -> logits (B,)."""
        return self.head(self.features(x), y)

    def features(self, x: Tensor) -> Tensor:
        """What the head sees, (B, F)."""
        for down in self.down:
            x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
            x = F.leaky_relu(down(x), SLOPE)
        return self.statistic(x).flatten(1)


def doubling(levels: int) -> list[int]:
    """1, 2, 4, ..: twice the channels on each smaller map."""
    return [2**level for level in range(levels)]
