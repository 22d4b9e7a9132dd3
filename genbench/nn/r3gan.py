"""Residual generators and discriminators of R3GAN: grouped convolutions, no normalisation, no modulation."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.gans.network import DiscriminatorNetwork, GeneratorNetwork
from genbench.nn.blocks import label_embedding, zero
from genbench.nn.gan_blocks import SLOPE, block_widths, halvings
from genbench.probability.counts import MOST_CHANNELS, MOST_LAYERS, check_count

__all__ = ["R3GANDiscriminator", "R3GANGenerator"]

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)
LARGEST_BASIS = 7  # side; it is 4x4 for sides that are powers of two from 4, and 7x7 for 28x28 images
EXPANSION = 2  # channels inside a residual branch over those outside
GAIN = (2 / (1 + SLOPE**2)) ** 0.5  # of weights before a leaky ReLU, by which variances stay (He et al. 2015)


class R3GANGenerator(GeneratorNetwork):
    """Latents to images: a learned map, its channels scaled by the latent, then residual blocks, doublings.

    h = basis * linear(z, e(y)); at each size `blocks` residual blocks; a 1x1 convolution makes the image, of
    any range (no tanh).
    shape: (C, H, W) of the images, any H and W. num_classes: above 0, labels are embedded as a latent is.
    width: channels of each map over its multiplier; multipliers: from the largest map down, None: all 1.
    group_size: channels of a group of the 3x3 convolutions, which have 2 width.
    Raises ValueError on a width, multipliers, blocks or group_size that no network can have.
    Source: Huang et al. 2024 (R3GAN), Section 4, Config E; initialisation and resampling as in their code.
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        *,
        latent_size: int = 64,
        width: int = 64,
        multipliers: Sequence[int] | None = None,
        blocks: int = 2,
        group_size: int = 16,
    ) -> None:
        super().__init__()
        channels, *size = shape
        self.sizes = map_sizes(*size)[::-1]
        widths = block_widths("generator", width, multipliers, len(self.sizes))[::-1]
        self.label = label_embedding(num_classes, latent_size)
        if self.label is not None:
            nn.init.normal_(self.label.weight, std=num_classes**-0.5)
        self.basis = nn.Parameter(torch.randn(widths[0], *self.sizes[0]))
        self.enter = scaled(nn.Linear(latent_size * (2 if num_classes else 1), widths[0], bias=False))
        self.stages = residual_stages("generator", widths, blocks, group_size)
        self.doublings = nn.ModuleList(Doubling(a, b) for a, b in pairwise(widths))
        self.leave = scaled(nn.Conv2d(widths[-1], channels, 1, bias=False))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        if self.label is not None:
            z = torch.cat([z, self.label(y)], dim=1)  # (B, 2 L)
        h = self.stages[0](self.basis * self.enter(z)[:, :, None, None])  # (B, widths[0], h, w)
        for doubling, stage, size in zip(self.doublings, self.stages[1:], self.sizes[1:], strict=True):
            h = stage(doubling(h, size))
        return self.leave(h)  # (B, C, H, W)


class R3GANDiscriminator(DiscriminatorNetwork):
    """Images to logits, the generator's mirror: residual blocks and halvings, then products with a basis.

    f = linear(sum over positions of h * basis); logit = f, or f . e(y) of as many numbers as channels.
    num_classes: above 0, labels have an embedding e.
    width: channels of each map over its multiplier; multipliers: from the largest map down, None: all 1.
    group_size: channels of a group of the 3x3 convolutions, which have 2 width.
    Raises ValueError on a width, multipliers, blocks or group_size that no network can have.
    Source: Huang et al. 2024 (R3GAN), Section 4, Config E; initialisation and resampling as in their code.
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        *,
        width: int = 64,
        multipliers: Sequence[int] | None = None,
        blocks: int = 2,
        group_size: int = 16,
    ) -> None:
        super().__init__()
        channels, *size = shape
        sizes = map_sizes(*size)
        widths = block_widths("discriminator", width, multipliers, len(sizes))
        self.enter = scaled(nn.Conv2d(channels, widths[0], 1, bias=False))
        self.stages = residual_stages("discriminator", widths, blocks, group_size)
        self.halvings = nn.ModuleList(Halving(a, b) for a, b in pairwise(widths))
        last, (height, breadth) = widths[-1], sizes[-1]
        self.basis = nn.Parameter(torch.randn(last, height, breadth) * (height * breadth) ** -0.5)
        self.head = scaled(nn.Linear(last, last if num_classes else 1, bias=False))
        self.label = label_embedding(num_classes, last)
        if self.label is not None:
            nn.init.normal_(self.label.weight, std=(num_classes * last) ** -0.5)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.stages[0](self.enter(x))  # (B, widths[0], H, W)
        for halving, stage in zip(self.halvings, self.stages[1:], strict=True):
            h = stage(halving(h))
        features = self.head((h * self.basis).sum((2, 3)))  # (B, 1) or (B, F)
        return (features if self.label is None else features * self.label(y)).sum(1)


class Residual(nn.Module):
    """x + reduce(act(group(act(expand(x))))), act a leaky ReLU; reduce is 0 at the start: the identity.

    expand and reduce are 1x1 convolutions, group a 3x3 convolution in groups, of EXPANSION * channels.
    gain: of the standard deviation of the first two layers' weights. x (B, C, H, W) -> (B, C, H, W).
    Source: Xie et al. 2017 (ResNeXt), Figure 3; Zhang et al. 2019 (Fixup), Section 3.
    """

    def __init__(self, channels: int, group_size: int, *, gain: float) -> None:
        super().__init__()
        hidden = EXPANSION * channels
        self.expand = scaled(nn.Conv2d(channels, hidden, 1), gain)
        self.group = scaled(nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden // group_size), gain)
        self.reduce = zero(nn.Conv2d(hidden, channels, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        h = F.leaky_relu(self.group(F.leaky_relu(self.expand(x), SLOPE)), SLOPE)
        return x + self.reduce(h)


class Doubling(nn.Module):
    """A 1x1 convolution where the number of channels changes, then a map of twice the size by interpolation.

    The filter is [1, 3, 3, 1] / 4 on each axis, of zeros beyond the border: a new pixel is 3/4 of the nearest
    old one and 1/4 of the next.
    """

    kernel: Tensor
    """The same filter for each channel, (outputs, 1, 4, 4)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.change = channel_change(inputs, outputs)
        self.register_buffer("kernel", 4 * smoothing(outputs), persistent=False)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """x (B, inputs, h, w) -> (B, outputs, *size), each side 2 h or 2 h - 1."""
        h = F.conv_transpose2d(self.change(x), self.kernel, stride=2, padding=1, groups=len(self.kernel))
        return h[:, :, : size[0], : size[1]]


class Halving(nn.Module):
    """A map of half the size by the filter [1, 3, 3, 1] / 8, then a 1x1 convolution to another width.

    Zeros lie beyond the border. An odd side is halved rounding up: x (B, inputs, h, w) -> (B, outputs, ..).
    """

    kernel: Tensor
    """The same filter for each channel, (inputs, 1, 4, 4)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("kernel", smoothing(inputs), persistent=False)
        self.change = channel_change(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        return self.change(F.conv2d(x, self.kernel, stride=2, padding=1, groups=len(self.kernel)))


def smoothing(channels: int) -> Tensor:
    """The filter [1, 3, 3, 1] / 8 on both axes, which sums to 1, once for each channel: (channels, 1, 4, 4).

    It is the published [1, 2, 1] after each pixel is doubled, or before four are averaged.
    """
    axis = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    return axis.outer(axis).repeat(channels, 1, 1, 1)


def map_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Sizes (h, w) of maps from the image down to at most 7x7, each half of the one before, rounded up."""
    return halvings(height, width, largest=LARGEST_BASIS, fewest=1)


def residual_stages(of: str, widths: Sequence[int], blocks: int, group_size: int) -> nn.ModuleList:
    """`blocks` residual blocks for each of the widths, the weights of L blocks in all scaled by L^(-1/4).

    of: "generator" or "discriminator", for messages.
    Raises ValueError on blocks below 1 and on a group size that does not divide the channels inside a block.
    """
    check_count(f"network.{of}.blocks", blocks, MOST_LAYERS, usual=2)
    check_count(f"network.{of}.group_size", group_size, MOST_CHANNELS, usual=16)
    for width in widths:
        if EXPANSION * width % group_size:
            raise ValueError(
                f"network.{of}.group_size is {group_size}; it must divide the {EXPANSION * width} channels "
                f"inside a block of width {width}, e.g. {EXPANSION * width} for a single group"
            )
    # Of a branch of m = 3 layers, L^(-1 / (2 m - 2)): a step changes the output as much at any depth.
    gain = GAIN * (blocks * len(widths)) ** -0.25
    return nn.ModuleList(
        nn.Sequential(*(Residual(width, group_size, gain=gain) for _ in range(blocks))) for width in widths
    )


def channel_change(inputs: int, outputs: int) -> nn.Module:
    """A 1x1 convolution without bias, or the identity where the numbers of channels are equal."""
    return nn.Identity() if inputs == outputs else scaled(nn.Conv2d(inputs, outputs, 1, bias=False))


def scaled(layer: Layer, gain: float = 1.0) -> Layer:
    """The same layer, weights drawn from N(0, gain^2 / inputs of an output), the bias set to 0, in place.

    Source: He et al. 2015, Eq. 10.
    """
    nn.init.normal_(layer.weight, std=gain * layer.weight[0].numel() ** -0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
