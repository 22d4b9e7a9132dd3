"""Residual convolutional networks from images to vectors or maps, and back."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from genbench.nn.norm import GroupNorm
from genbench.nn.unet import (
    SMALLEST_MAP,
    Downsample,
    ResidualBlock,
    Upsample,
    check_sizes,
    groups,
    levels_down_to,
)
from genbench.vaes.network import OneLayerNetwork

__all__ = ["BottomUp", "Decoder", "Encoder", "MapDecoder", "MapEncoder", "OneLayer", "map_sizes"]


class BottomUp(nn.Module):
    """Images to features of every size: the downward half of a residual U-Net.

    shape: (C, H, W) of the images, any H and W that `patch` divides (odd maps are handled inside).
    width, multipliers: level i has width * multipliers[i] channels, and each level after the first halves the
    map, rounding up; None is 1, 2, 2, .. with as many levels as bring the map down to 4x4.
    blocks: residual blocks a level. patch: side of the squares of pixels folded into channels at the border
    (pixel-unshuffle, Shi et al. 2016).
    Each block's scale and shift follow from the mean over positions of the first features (as in
    squeeze-and-excitation, Hu et al. 2018) and from the label, where num_classes > 0.
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        *,
        width: int = 32,
        multipliers: Sequence[int] | None = None,
        blocks: int = 1,
        patch: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        widths = widths_of(shape, width, multipliers, blocks, patch)
        self.patch = patch
        self.enter = nn.Conv2d(shape[0] * patch**2, width, 3, padding=1)
        self.condition = Condition(width, num_classes, 4 * width)
        self.layers, now = nn.ModuleList(), width
        for level, out in enumerate(widths):
            if level:
                self.layers.append(Downsample(now))
            for _ in range(blocks):
                self.layers.append(ResidualBlock(now, out, 4 * width, dropout))
                now = out

    def forward(self, x: Tensor, y: Tensor | None = None) -> list[Tensor]:
        """x (B, C, H, W), y (B,) int64 where there are classes -> each block's (B, width_i, h_i, w_i)."""
        h = self.enter(F.pixel_unshuffle(x, self.patch))
        condition = self.condition(h.mean((2, 3)), y)  # (B, E)
        features = []
        for layer in self.layers:
            h = layer(h, condition)
            if isinstance(layer, ResidualBlock):
                features.append(h)
        return features


class MapEncoder(nn.Module):
    """Images to one small map: the last features of BottomUp, brought to out_channels. Settings as there."""

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        *,
        out_channels: int,
        width: int = 32,
        multipliers: Sequence[int] | None = None,
        blocks: int = 1,
        patch: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.trunk = BottomUp(
            shape,
            num_classes,
            width=width,
            multipliers=multipliers,
            blocks=blocks,
            patch=patch,
            dropout=dropout,
        )
        self.leave = Exit(widths_of(shape, width, multipliers, blocks, patch)[-1], out_channels)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """x (B, C, H, W), y (B,) int64 where there are classes -> (B, out_channels, h, w)."""
        return self.leave(self.trunk(x, y)[-1])


class Encoder(nn.Module):
    """Images to `moments` vectors of `latent` numbers: a MapEncoder, then a linear layer.

    moments: 2 is mean and log-variance of a Gaussian, 1 is a plain code. Other settings as BottomUp's.
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        *,
        latent: int,
        moments: int = 2,
        width: int = 32,
        multipliers: Sequence[int] | None = None,
        blocks: int = 1,
        patch: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_latent(latent, moments)
        channels = widths_of(shape, width, multipliers, blocks, patch)[-1]
        height, breadth = map_sizes(shape, multipliers, patch)[-1]
        self.trunk = MapEncoder(
            shape,
            num_classes,
            out_channels=channels,
            width=width,
            multipliers=multipliers,
            blocks=blocks,
            patch=patch,
            dropout=dropout,
        )
        self.latent = latent
        self.head = nn.Linear(channels * height * breadth, moments * latent)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """x (B, C, H, W), y (B,) int64 where there are classes -> (B, moments * latent)."""
        return self.head(F.silu(self.trunk(x, y)).flatten(1))


class OneLayer(OneLayerNetwork):
    """One latent vector: an encoder that answers its posterior's mean and log-variance, and a decoder.

    encoder(x, y) -> (B, 2 latent); decoder(z (B, latent), y) -> (B, outputs * C, H, W).
    """

    def __init__(self, *, encoder: Encoder, decoder: "Decoder", latent: int) -> None:
        super().__init__()
        if not latent == encoder.latent == decoder.latent:
            raise ValueError(
                f"network.latent is {latent}, network.encoder.latent {encoder.latent} and "
                f"network.decoder.latent {decoder.latent}: they must be the same, set network.latent alone"
            )
        self.encoder, self.decoder, self.latent = encoder, decoder, latent

    def moments(self, x: Tensor, y: Tensor | None) -> Tensor:
        return self.encoder(x, y)

    def output(self, z: Tensor, y: Tensor | None) -> Tensor:
        return self.decoder(z, y)


class MapDecoder(nn.Module):
    """Maps of features to images: the upward half of a residual U-Net, the mirror of BottomUp.

    in_channels: channels of the map; condition_size: length of the vector that scale and shift of each block
    follow from beside the label (None: the mean of the map over positions).
    out_channels: channels of the answer, None is those of the image. Other settings as BottomUp's.
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        *,
        in_channels: int,
        condition_size: int | None = None,
        out_channels: int | None = None,
        width: int = 32,
        multipliers: Sequence[int] | None = None,
        blocks: int = 1,
        patch: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        widths = widths_of(shape, width, multipliers, blocks, patch)
        self.patch, self.sizes = patch, map_sizes(shape, multipliers, patch)
        self.enter = nn.Conv2d(in_channels, widths[-1], 3, padding=1)
        self.condition = Condition(condition_size or widths[-1], num_classes, 4 * width)
        self.pooled = condition_size is None
        self.levels, now = nn.ModuleList(), widths[-1]
        for level, out in reversed(list(enumerate(widths))):
            stage = nn.ModuleList()
            for _ in range(blocks):
                stage.append(ResidualBlock(now, out, 4 * width, dropout))
                now = out
            if level:
                stage.append(Upsample(now))
            self.levels.append(stage)
        self.leave = Exit(now, (out_channels or shape[0]) * patch**2)

    def forward(self, z: Tensor, y: Tensor | None = None, vector: Tensor | None = None) -> Tensor:
        """z (B, in_channels, h, w), y (B,) or None, vector (B, condition_size) -> (B, out_channels, H, W)."""
        h = self.enter(z)
        condition = self.condition(h.mean((2, 3)) if self.pooled else vector, y)  # (B, E)
        for stage, size in zip(self.levels, reversed([*self.sizes[:1], *self.sizes[:-1]]), strict=True):
            for layer in stage:
                h = layer(h, size if isinstance(layer, Upsample) else condition)
        return F.pixel_shuffle(self.leave(h), self.patch)


class Decoder(nn.Module):
    """Vectors of `latent` numbers to images: a linear layer to the smallest map, then a MapDecoder.

    The vector also sets scale and shift of every block. Settings as MapDecoder's.
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        *,
        latent: int,
        out_channels: int | None = None,
        width: int = 32,
        multipliers: Sequence[int] | None = None,
        blocks: int = 1,
        patch: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_latent(latent)
        channels = widths_of(shape, width, multipliers, blocks, patch)[-1]
        self.map_shape = (channels, *map_sizes(shape, multipliers, patch)[-1])
        self.latent = latent
        self.head = nn.Linear(latent, channels * self.map_shape[1] * self.map_shape[2])
        self.trunk = MapDecoder(
            shape,
            num_classes,
            in_channels=channels,
            condition_size=latent,
            out_channels=out_channels,
            width=width,
            multipliers=multipliers,
            blocks=blocks,
            patch=patch,
            dropout=dropout,
        )

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """z (B, latent), y (B,) int64 where there are classes -> (B, out_channels, H, W)."""
        return self.trunk(self.head(z).reshape(-1, *self.map_shape), y, z)


class Condition(nn.Module):
    """What conditions the blocks: silu(MLP(vector) + embedding of the label), (B, inputs) -> (B, outputs)."""

    def __init__(self, inputs: int, num_classes: int, outputs: int) -> None:
        super().__init__()
        self.vector = nn.Sequential(nn.Linear(inputs, outputs), nn.SiLU(), nn.Linear(outputs, outputs))
        self.label = nn.Embedding(num_classes, outputs) if num_classes else None

    def forward(self, vector: Tensor, y: Tensor | None) -> Tensor:
        h = self.vector(vector)
        return F.silu(h if self.label is None else h + self.label(y))


class Exit(nn.Module):
    """conv(silu(norm(h))), (B, inputs, h, w) -> (B, outputs, h, w)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm = GroupNorm(groups(inputs), inputs)
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        return self.conv(F.silu(self.norm(h)))


def widths_of(
    shape: Sequence[int], width: int, multipliers: Sequence[int] | None, blocks: int, patch: int
) -> list[int]:
    """The channels of each level, from the largest map to the smallest. Raises ValueError on bad sizes."""
    multipliers = multipliers_of(shape, multipliers, patch)
    check_sizes(shape[1], shape[2], width, multipliers, blocks, patch)
    return [width * m for m in multipliers]


def map_sizes(shape: Sequence[int], multipliers: Sequence[int] | None, patch: int) -> list[tuple[int, int]]:
    """The sizes of the maps from the first level to the last, each half of the one before, rounded up."""
    sizes = [(shape[1] // patch, shape[2] // patch)]
    for _ in multipliers_of(shape, multipliers, patch)[1:]:
        height, breadth = sizes[-1]
        sizes.append(((height + 1) // 2, (breadth + 1) // 2))
    return sizes


def multipliers_of(shape: Sequence[int], multipliers: Sequence[int] | None, patch: int) -> Sequence[int]:
    """The multipliers, those of as many levels as bring the map down to 4x4 where they are None."""
    if multipliers is not None:
        return multipliers
    return levels_down_to(SMALLEST_MAP, max(shape[1:]) // max(patch, 1))


def check_latent(latent: int, moments: int = 1) -> None:
    """Raise ValueError on a latent without numbers."""
    if latent < 1 or moments < 1:
        raise ValueError(
            f"the latent has {latent} numbers (latent; of a ladder latent_top, latent_channels) and "
            f"the encoder {moments} moments; both must be at least 1"
        )
