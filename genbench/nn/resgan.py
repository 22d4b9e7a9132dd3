"""Residual generators and discriminators of GANs."""

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

__all__ = ["ResidualDiscriminator", "ResidualGenerator"]


class ResidualGenerator(GeneratorNetwork):
    """Latents to images by residual blocks, each doubling the map, from 4x4 at most.

    Latent and label set scale and shift of every normalisation, so that they act at each size of the map.
    shape: (C, H, W) of the images, any H and W.
    width: channels of each map over its multiplier; multipliers: from the largest map down, None: all 1.
    Raises ValueError on a width or multipliers that no network can have.
    Apart from the sources: group instead of batch normalisation, whose running statistics belong to the raw
    weights and would be wrong for their average.
    Source: Miyato et al. 2018, Table 3; Chen et al. 2019 (self-modulation), Eq. 1.
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
        widths = block_widths("generator", width, multipliers, len(self.sizes))[::-1]
        self.label = label_embedding(num_classes, latent_size)
        height, breadth = self.sizes[0]
        self.enter = nn.Linear(latent_size, widths[0] * height * breadth)
        condition = latent_size * (2 if num_classes else 1)
        self.blocks = nn.ModuleList(UpBlock(a, b, condition) for a, b in pairwise(widths))
        self.norm = group_norm_of_8(widths[-1])
        self.leave = nn.Conv2d(widths[-1], channels, 3, padding=1)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        condition = z if self.label is None else torch.cat([z, self.label(y)], dim=1)  # (B, L) or (B, 2 L)
        h = self.enter(z).unflatten(1, (-1, *self.sizes[0]))  # (B, widths[0], h, w)
        for block, size in zip(self.blocks, self.sizes[1:], strict=True):
            h = block(h, condition, size)
        return self.leave(F.relu(self.norm(h))).tanh()  # (B, C, H, W)


class UpBlock(nn.Module):
    """skip(up(x)) + conv(relu(norm(conv(up(relu(norm(x))))))), the norms modulated by the condition."""

    def __init__(self, inputs: int, outputs: int, condition: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = Modulated(inputs, condition), Modulated(outputs, condition)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor, size: tuple[int, int]) -> Tensor:
        """x (B, inputs, h, w), condition (B, L) -> (B, outputs, *size)."""
        h = self.conv1(F.interpolate(F.relu(self.norm1(x, condition)), size=size))
        h = self.conv2(F.relu(self.norm2(h, condition)))
        return F.interpolate(self.skip(x), size=size) + h


class Modulated(nn.Module):
    """(1 + scale) norm(x) + shift, scale and shift linear in the condition (B, L); x (B, C, h, w)."""

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.norm = group_norm_of_8(channels, affine=False)
        self.linear = nn.Linear(condition, 2 * channels)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.linear(condition)[:, :, None, None].chunk(2, dim=1)  # (B, C, 1, 1)
        return self.norm(x, scale, shift)


class ResidualDiscriminator(DiscriminatorNetwork):
    """Images to logits by residual blocks, each halving the map down to at most 4x4, and one block there.

    width: channels of each map over its multiplier; multipliers: from the largest map down, None: all 1.
    num_classes: where above 0, labels enter by projection.
    spectral_norm: divide each weight by its largest singular value.
    minibatch_std: one more channel for the last block, the standard deviation over the batch.
    Raises ValueError on a width or multipliers that no network can have.
    Source: Miyato et al. 2018, Table 3 (without normalisation of activations, and leaky).
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
        widths = block_widths("discriminator", width, multipliers, len(halvings(*size)))
        self.enter = spectral(nn.Conv2d(channels, widths[0], 3, padding=1), on=spectral_norm)
        self.blocks = nn.ModuleList(DownBlock(a, b, spectral_norm=spectral_norm) for a, b in pairwise(widths))
        last = widths[-1]
        self.statistic = MinibatchStd() if minibatch_std else nn.Identity()
        self.leave = spectral(nn.Conv2d(last + minibatch_std, last, 3, padding=1), on=spectral_norm)
        self.head = ProjectionHead(last, num_classes, spectral_norm=spectral_norm)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x), y)

    def features(self, x: Tensor) -> Tensor:
        """Sums over the positions of the smallest map, which the head reads: x (B, C, H, W) -> (B, F).

        F is the number of channels of that map; the activation before the sum is the leaky ReLU.
        """
        h = self.enter(x)  # (B, widths[0], H, W)
        for block in self.blocks:
            h = block(h)
        h = self.leave(self.statistic(F.leaky_relu(h, SLOPE)))  # (B, F, h, w)
        return F.leaky_relu(h, SLOPE).sum((2, 3))


class DownBlock(nn.Module):
    """pool(skip(x) + conv(act(conv(act(x))))), act a leaky ReLU; the map is halved, rounding up."""

    def __init__(self, inputs: int, outputs: int, *, spectral_norm: bool) -> None:
        super().__init__()
        self.conv1 = spectral(nn.Conv2d(inputs, outputs, 3, padding=1), on=spectral_norm)
        self.conv2 = spectral(nn.Conv2d(outputs, outputs, 3, padding=1), on=spectral_norm)
        self.skip: nn.Module = nn.Identity()
        if inputs != outputs:
            self.skip = spectral(nn.Conv2d(inputs, outputs, 1), on=spectral_norm)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2(F.leaky_relu(self.conv1(F.leaky_relu(x, SLOPE)), SLOPE))
        return F.avg_pool2d(self.skip(x) + h, 2, ceil_mode=True)
