"""The U-Net of diffusion models: images and times in, an answer of the same shape out."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.nn.attention import attention
from genbench.nn.norm import GroupNorm
from genbench.runtime import global_batch

__all__ = ["UNet"]

SMALLEST_MAP = 4
TIME_SCALE = 1000.0  # t in [0, 1] is embedded as if it counted the thousand steps of Ho et al. 2020


class UNet(nn.Module):
    """Residual U-Net with attention on small maps, time and class embedding.

    shape: (C, H, W) of the images, any H and W that `patch` divides (odd maps are handled inside).
    width, multipliers: level i has width * multipliers[i] channels, and each level after the first halves the
    map; None is 1, 2, 2, .. with as many levels as bring the map down to 4x4.
    blocks: residual blocks a level on the way down (one more on the way up).
    attention_side: attention on every map whose longer side is at most this; 0 is none.
    patch: side of the squares of pixels that are folded into channels at the border, a cheap way to a larger
    field of view (pixel-unshuffle, Shi et al. 2016); 1 folds nothing.
    answers: channels of the answer for each channel of the images.
    num_classes: 0 is unconditional; otherwise label `num_classes` is the null class, which y=None means.
    Source: Ho et al. 2020, Appendix B; scale-shift conditioning of Nichol & Dhariwal 2021, Section 3.2.
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        *,
        width: int = 64,
        multipliers: Sequence[int] | None = None,
        blocks: int = 2,
        attention_side: int = 8,
        patch: int = 2,
        dropout: float = 0.0,
        answers: int = 1,
    ) -> None:
        super().__init__()
        channels, height, breadth = shape
        if multipliers is None:
            multipliers = levels_down_to(SMALLEST_MAP, max(height, breadth) // max(patch, 1))
        check_sizes(height, breadth, width, multipliers, blocks, patch)
        self.patch, self.num_classes = patch, num_classes
        widths = [width * m for m in multipliers]
        embedding = 4 * width
        self.time = nn.Sequential(
            Sinusoid(width), nn.Linear(width, embedding), nn.SiLU(), nn.Linear(embedding, embedding)
        )
        self.label = nn.Embedding(num_classes + 1, embedding) if num_classes else None
        side = max(height, breadth) // patch
        attends = []
        for _ in widths:
            attends.append(side <= attention_side)
            side = (side + 1) // 2

        self.enter = nn.Conv2d(channels * patch**2, width, 3, padding=1)
        self.down, skips, now = nn.ModuleList(), [width], width
        for level, out in enumerate(widths):
            for _ in range(blocks):
                self.down.append(Stage(now, out, embedding, attends=attends[level], dropout=dropout))
                now = out
                skips.append(now)
            if level + 1 < len(widths):
                self.down.append(Downsample(now))
                skips.append(now)
        self.middle = nn.ModuleList(
            [
                Stage(now, now, embedding, attends=attends[-1], dropout=dropout),
                Stage(now, now, embedding, attends=False, dropout=dropout),
            ]
        )
        self.up = nn.ModuleList()
        for level, out in reversed(list(enumerate(widths))):
            for _ in range(blocks + 1):
                self.up.append(
                    Stage(now + skips.pop(), out, embedding, attends=attends[level], dropout=dropout)
                )
                now = out
            if level:
                self.up.append(Upsample(now))
        self.leave = nn.Sequential(
            GroupNorm(groups(now), now),
            nn.SiLU(),
            zero(nn.Conv2d(now, answers * channels * patch**2, 3, padding=1)),
        )

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """x (B, C, H, W), t (B,) in [0, 1], y (B,) int64 or None -> (B, answers * C, H, W)."""
        condition = F.silu(self.embed(t, y))  # (B, E)
        h = self.enter(F.pixel_unshuffle(x, self.patch))  # (B, width, H / patch, W / patch)
        skips = [h]
        for layer in self.down:
            h = layer(h, condition)
            skips.append(h)
        for layer in self.middle:
            h = layer(h, condition)
        for layer in self.up:
            if isinstance(layer, Upsample):
                h = layer(h, skips[-1].shape[-2:])
            else:
                h = layer(torch.cat([h, skips.pop()], dim=1), condition)
        return F.pixel_shuffle(self.leave(h), self.patch)

    def embed(self, t: Tensor, y: Tensor | None) -> Tensor:
        """The embedding of times and labels, (B, E)."""
        embedding = self.time(t)
        if self.label is None:
            return embedding
        null = torch.full(t.shape, self.num_classes, device=t.device)
        return embedding + self.label(null if y is None else y)


class Stage(nn.Module):
    """A residual block, followed by attention where the level has it."""

    def __init__(self, inputs: int, outputs: int, embedding: int, *, attends: bool, dropout: float) -> None:
        super().__init__()
        self.residual = ResidualBlock(inputs, outputs, embedding, dropout)
        self.attention = Attention(outputs) if attends else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return self.attention(self.residual(x, condition))


class ResidualBlock(nn.Module):
    """x + conv(act(scale * norm(conv(act(norm(x)))) + shift)), scale and shift from the embedding."""

    def __init__(self, inputs: int, outputs: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = GroupNorm(groups(inputs), inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.condition = nn.Linear(embedding, 2 * outputs)
        self.norm2 = GroupNorm(groups(outputs), outputs)
        self.dropout = global_batch.Dropout(dropout)
        self.conv2 = zero(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.condition(condition)[:, :, None, None].chunk(2, dim=1)  # (B, C, 1, 1)
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.norm2(h, scale, shift)
        return self.skip(x) + self.conv2(self.dropout(F.silu(h)))


class Attention(nn.Module):
    """x + multi-head self-attention over the positions of the map."""

    def __init__(self, channels: int, head_channels: int = 32) -> None:
        super().__init__()
        wanted = max(channels // head_channels, 1)
        self.heads = max(heads for heads in range(1, wanted + 1) if channels % heads == 0)
        self.norm = GroupNorm(groups(channels), channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = zero(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        b, c, height, width = x.shape
        qkv = self.qkv(self.norm(x)).flatten(2).transpose(1, 2)  # (B, N, 3 C)
        q, k, v = qkv.reshape(b, -1, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        h = attention(q, k, v)  # (B, heads, N, C / heads)
        return x + self.out(h.permute(0, 1, 3, 2).reshape(b, c, height, width))


class Downsample(nn.Module):
    """Halves the map, rounding up."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return self.conv(x)


class Upsample(nn.Module):
    """Enlarges the map to the size of its skip connection, which an odd map's double would miss by one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, size: torch.Size) -> Tensor:
        height, breadth = x.shape[2:]
        if size != (2 * height, 2 * breadth) or max(size) <= 2 * SMALLEST_MAP:
            return self.conv(F.interpolate(x, size=size, mode="nearest"))
        # The same by 4 products a pixel instead of 9: a step of Fashion-MNIST's VAE takes 0.88 of the time.
        return F.conv_transpose2d(x, doubling(self.conv.weight), self.conv.bias, stride=2, padding=1)


def doubling(weight: Tensor) -> Tensor:
    """The kernel of a transposed convolution that doubles a map x as nearest neighbours and a 3x3 one would.

    On each axis y_o = sum_k w_k x_[(o + k - 1) / 2] = sum_i x_i w'_(o + 1 - 2 i), w'_m = w_(2-m) + w_(3-m),
    at stride 2 and padding 1: (O, I, 3, 3) -> (I, O, 4, 4).
    """
    axis = weight.new_tensor([[0, 0, 1, 1], [0, 1, 1, 0], [1, 1, 0, 0]])  # (k, m)
    return (weight.transpose(0, 1).flatten(2) @ torch.kron(axis, axis)).unflatten(2, (4, 4))


class Sinusoid(nn.Module):
    """sin and cos of the time at geometrically spaced frequencies: (B,) -> (B, channels).

    Source: Vaswani et al. 2017, Section 3.5.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        frequencies = torch.exp(-math.log(10_000) * torch.arange(half) / half)
        self.register_buffer("frequencies", frequencies * TIME_SCALE, persistent=False)

    def forward(self, t: Tensor) -> Tensor:
        angles = t[:, None] * self.frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=1)


def levels_down_to(smallest: int, side: int) -> list[int]:
    """1, 2, 2, ..: as many levels as bring a map of `side` down to `smallest` or less."""
    halvings = max(math.ceil(math.log2(max(side, 1) / smallest)), 0)
    return [1] + [2] * halvings


def groups(channels: int) -> int:
    """The number of groups of a GroupNorm: at most 32, each of at least 4 channels where possible."""
    return math.gcd(channels, 32) if channels >= 128 else math.gcd(channels, max(channels // 4, 1))


def zero(layer: nn.Conv2d) -> nn.Conv2d:
    """The same layer with weights and bias 0, so that its branch starts as the identity."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def check_sizes(
    height: int, side: int, width: int, multipliers: Sequence[int], blocks: int, patch: int
) -> None:
    """Raise ValueError on sizes that no network can have."""
    if patch < 1 or height % patch or side % patch:
        raise ValueError(
            f"network.patch is {patch}; it must divide the image of {height}x{side}: take network.patch=1"
        )
    if width < 2 or width % 2 or blocks < 1:
        raise ValueError(f"network.width={width} must be even, network.blocks={blocks} at least 1")
    if not multipliers or min(multipliers) < 1:
        raise ValueError(f"network.multipliers is {list(multipliers)}; it needs whole numbers of at least 1")
    if min(height, side) // patch < 2 ** (len(multipliers) - 1):
        raise ValueError(
            f"network.multipliers has {len(multipliers)} levels, too many for {height}x{side} images "
            f"folded by network.patch={patch}: each level halves the map, take fewer"
        )
