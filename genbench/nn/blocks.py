"""Layers that the residual networks share: blocks, changes of map size, embeddings, norms."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.nn.fast import GroupNorm, conv_of_doubled
from genbench.nn.sizes import SMALLEST_MAP
from genbench.runtime import global_batch
from genbench.text.condition import Encoded

__all__ = [
    "Condition",
    "Downsample",
    "NormConv",
    "ResidualBlock",
    "Sinusoid",
    "Upsample",
    "group_norm",
    "label_embedding",
    "with_label",
    "zero",
]

TIME_SCALE = 1000.0  # t in [0, 1] is embedded as if it counted the thousand steps of Ho et al. 2020


class ResidualBlock(nn.Module):
    """skip(x) + conv(silu((1 + scale) * norm(conv(silu(norm(x)))) + shift)).

    Scale and shift are linear in the condition.
    The last convolution starts at 0, so that the block starts as the identity (or as its 1x1 skip).
    Source: Ho et al. 2020, Appendix B; scale and shift: Nichol & Dhariwal 2021, Section 3.2.
    """

    def __init__(self, inputs: int, outputs: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = group_norm(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.condition = nn.Linear(embedding, 2 * outputs)
        self.norm2 = group_norm(outputs)
        self.dropout = global_batch.Dropout(dropout)
        self.conv2 = zero(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x (B, inputs, h, w), condition (B, E) -> (B, outputs, h, w)."""
        scale, shift = self.condition(condition)[:, :, None, None].chunk(2, dim=1)  # (B, outputs, 1, 1)
        h = self.conv1(F.silu(self.norm1(x)))  # (B, outputs, h, w)
        h = self.norm2(h, scale, shift)
        return self.skip(x) + self.conv2(self.dropout(F.silu(h)))


class Downsample(nn.Module):
    """A 3x3 convolution of stride 2 and padding 1, which halves each side of a map, rounding up.

    (B, C, h, w) -> (B, C, (h + 1) // 2, (w + 1) // 2), in the place of pooling.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor, condition: Tensor, text: Encoded | None = None) -> Tensor:
        """The halved map. Condition and text are unused: all layers on the way down are called alike."""
        return self.conv(x)


class Upsample(nn.Module):
    """Nearest neighbours, then a 3x3 convolution: (B, C, h, w) -> (B, C, *size).

    The size is given, since an odd map was halved rounding up, and doubling would miss its size by one.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
        height, width = x.shape[2:]
        if tuple(size) == (2 * height, 2 * width) and max(size) > 2 * SMALLEST_MAP:
            return conv_of_doubled(x, self.conv)
        return self.conv(F.interpolate(x, size=size, mode="nearest"))


class Sinusoid(nn.Module):
    """sin and cos of the time at geometrically spaced frequencies: t (B,) in [0, 1] -> (B, channels).

    Several times of each image stand beside one another: (B, n) -> (B, n channels).
    scale: the highest frequency.
    Source: Vaswani et al. 2017, Section 3.5.
    """

    frequencies: Tensor

    def __init__(self, channels: int, scale: float = TIME_SCALE) -> None:
        super().__init__()
        half = channels // 2
        frequencies = torch.exp(-math.log(10_000) * torch.arange(half) / half)
        self.register_buffer("frequencies", frequencies * scale, persistent=False)

    def forward(self, t: Tensor) -> Tensor:
        angles = t[..., None] * self.frequencies  # (B, channels / 2), of several times (B, n, channels / 2)
        return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(1)


class Condition(nn.Module):
    """silu(MLP(vector) + embedding of the label), the vector that conditions all blocks of a network.

    vector (B, inputs), y (B,) int64, or anything where num_classes is 0 -> (B, outputs).
    """

    def __init__(self, inputs: int, num_classes: int, outputs: int) -> None:
        super().__init__()
        self.vector = nn.Sequential(nn.Linear(inputs, outputs), nn.SiLU(), nn.Linear(outputs, outputs))
        self.label = label_embedding(num_classes, outputs)

    def forward(self, vector: Tensor, y: Tensor | None) -> Tensor:
        h = self.vector(vector)  # (B, outputs)
        return F.silu(h if self.label is None else h + self.label(y))


class NormConv(nn.Module):
    """conv(silu(norm(h))), the last layer of a residual network: (B, inputs, h, w) -> (B, outputs, h, w).

    The convolution is 3x3 and keeps the size of the map.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm = group_norm(inputs)
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        return self.conv(F.silu(self.norm(h)))


def group_norm(channels: int) -> GroupNorm:
    """A group norm over maps of so many channels: at most 32 groups, each of at least 4 where possible.

    The number of groups divides the number of channels. 32 is the number of Wu & He 2018.
    """
    wanted = 32 if channels >= 128 else max(channels // 4, 1)
    return GroupNorm(math.gcd(channels, wanted), channels)


def label_embedding(num_classes: int, numbers: int) -> nn.Embedding | None:
    """A learned vector of each of `num_classes` labels, y (B,) int64 -> (B, numbers).

    None where num_classes is 0, so that an unconditional network has no parameters for labels.
    """
    return nn.Embedding(num_classes, numbers) if num_classes else None


def with_label(h: Tensor, label: nn.Embedding | None, y: Tensor | None) -> Tensor:
    """h (B, C, h, w) plus the embedding (B, C) of its label at every position.

    h itself where the network has no labels; y (B,) int64 is read only where there is an embedding.
    """
    return h if label is None else h + label(y)[:, :, None, None]


def zero(layer: nn.Conv2d) -> nn.Conv2d:
    """The same convolution with weights and bias set to 0 in place.

    The last layer of a residual branch or of a whole network starts so: the branch adds nothing at first, the
    network answers 0.
    """
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
