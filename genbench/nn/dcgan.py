"""Convolutional generators and discriminators of GANs, cheap since no hidden map is as large as the image."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.gans.network import DiscriminatorNetwork, GeneratorNetwork
from genbench.nn.blocks import label_embedding
from genbench.nn.gan_blocks import (
    SLOPE,
    MinibatchStd,
    ProjectionHead,
    block_widths,
    group_norm_of_8,
    halvings,
    spectral,
)

__all__ = ["DCGANDiscriminator", "DCGANGenerator"]


class DCGANGenerator(GeneratorNetwork):
    """Latents to images by transposed convolutions, each doubling the map, from 4x4 at most.

    shape: (C, H, W) of the images, any H and W (a map too large by one loses its last row or column).
    width: channels of each hidden map over its multiplier; multipliers: from the largest hidden map to the
    smallest, None: 1, 2, 4, ..
    num_classes: where above 0, an embedding of the label is appended to the latent.
    Raises ValueError on a width or multipliers that no network can have.
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
        widths = block_widths("generator", width, multipliers or powers_of_two(hidden), hidden)[::-1]
        self.label = label_embedding(num_classes, latent_size)
        inputs = latent_size * (2 if num_classes else 1)
        height, breadth = self.sizes[0]
        self.enter = nn.Linear(inputs, widths[0] * height * breadth)
        self.norms = nn.ModuleList(group_norm_of_8(c) for c in widths)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, stride=2, padding=1)
            for a, b in zip(widths, [*widths[1:], channels], strict=True)
        )

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        if self.label is not None:
            z = torch.cat([z, self.label(y)], dim=1)  # (B, 2 L)
        h = self.enter(z).unflatten(1, (-1, *self.sizes[0]))  # (B, widths[0], h, w)
        for norm, up, (height, breadth) in zip(self.norms, self.up, self.sizes[1:], strict=True):
            h = up(F.relu(norm(h)))[:, :, :height, :breadth]
        return h.tanh()  # (B, C, H, W)


class DCGANDiscriminator(DiscriminatorNetwork):
    """Images to logits by convolutions, each halving the map (odd ones rounded up), down to at most 4x4.

    width: channels of each hidden map over its multiplier; multipliers: from the largest hidden map to the
    smallest, None: 1, 2, 4, ..
    num_classes: where above 0, labels enter by projection.
    spectral_norm: divide each weight by its largest singular value.
    minibatch_std: one more feature map for the head, the standard deviation over the batch.
    Raises ValueError on a width or multipliers that no network can have.
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
        hidden_widths = block_widths("discriminator", width, multipliers or powers_of_two(hidden), hidden)
        widths = [channels, *hidden_widths]
        self.down = nn.ModuleList(
            spectral(nn.Conv2d(a, b, 4, stride=2, padding=1), on=spectral_norm) for a, b in pairwise(widths)
        )
        self.statistic = MinibatchStd() if minibatch_std else nn.Identity()
        height, breadth = sizes[-1]
        features = (widths[-1] + minibatch_std) * height * breadth
        self.head = ProjectionHead(features, num_classes, spectral_norm=spectral_norm)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x), y)

    def features(self, x: Tensor) -> Tensor:
        """The smallest map flattened, which the head reads: x (B, C, H, W) -> (B, F).

        With minibatch_std the map has one more channel, the standard deviation over the batch.
        """
        for down in self.down:
            x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))  # so that an odd side is rounded up
            x = F.leaky_relu(down(x), SLOPE)
        return self.statistic(x).flatten(1)


def powers_of_two(levels: int) -> list[int]:
    """1, 2, 4, ..: multipliers that give each smaller map twice the channels."""
    return [2**level for level in range(levels)]
