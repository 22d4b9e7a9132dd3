"""Residual convolutional networks from images to vectors or maps, and back."""

from collections.abc import Sequence
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from genbench.nn.blocks import Condition, Downsample, NormConv, ResidualBlock, Upsample
from genbench.nn.sizes import Sizes
from genbench.probability.counts import MOST_CHANNELS, check_count
from genbench.vaes.network import OneLayerNetwork

__all__ = ["BottomUp", "Decoder", "Encoder", "MapDecoder", "MapEncoder", "OneLayer", "check_latent"]


class BottomUp(nn.Module):
    """Images to features of every size: the downward half of a residual U-Net.

    Each block's scale and shift follow from the mean over positions of the first features (as in
    squeeze-and-excitation, Hu et al. 2018) and from the label, where there are classes.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.patch = sizes.patch
        self.enter = nn.Conv2d(sizes.folded(sizes.shape[0]), sizes.width, 3, padding=1)
        self.condition = Condition(sizes.width, sizes.num_classes, sizes.embedding)
        self.layers, now = nn.ModuleList(), sizes.width
        for level, out in enumerate(sizes.widths):
            if level:
                self.layers.append(Downsample(now))
            for _ in range(sizes.blocks):
                self.layers.append(ResidualBlock(now, out, sizes.embedding, sizes.dropout))
                now = out

    def forward(self, x: Tensor, y: Tensor | None = None) -> list[Tensor]:
        """x (B, C, H, W), y (B,) int64 where there are classes -> each block's (B, width_i, h_i, w_i)."""
        h = self.enter(F.pixel_unshuffle(x, self.patch))  # (B, width, H / patch, W / patch)
        condition = self.condition(h.mean((2, 3)), y)  # (B, E)
        features = []
        for layer in self.layers:
            h = layer(h, condition)
            if isinstance(layer, ResidualBlock):
                features.append(h)
        return features


class ImageToMap(nn.Module):
    """The last features of a bottom-up network, brought to `channels` channels: one small map of an image."""

    def __init__(self, sizes: Sizes, channels: int) -> None:
        super().__init__()
        self.trunk = BottomUp(sizes)
        self.leave = NormConv(sizes.widths[-1], channels)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """x (B, C, H, W), y (B,) int64 where there are classes -> (B, channels, h, w)."""
        return self.leave(self.trunk(x, y)[-1])


class MapToImage(nn.Module):
    """A map of features to an image: the upward half of a residual U-Net, the mirror of BottomUp.

    inputs, outputs: channels of the map and of the answer.
    condition_size: length of the vector that scale and shift of each block follow from beside the label; None
    is the mean of the map over its positions.
    """

    def __init__(self, sizes: Sizes, inputs: int, outputs: int, *, condition_size: int | None = None) -> None:
        super().__init__()
        widths, self.patch, self.sizes = sizes.widths, sizes.patch, sizes.maps
        self.enter = nn.Conv2d(inputs, widths[-1], 3, padding=1)
        inputs = widths[-1] if condition_size is None else condition_size
        self.condition = Condition(inputs, sizes.num_classes, sizes.embedding)
        self.pooled = condition_size is None
        self.levels, now = nn.ModuleList(), widths[-1]
        for level, out in reversed(list(enumerate(widths))):
            stage = nn.ModuleList()
            for _ in range(sizes.blocks):
                stage.append(ResidualBlock(now, out, sizes.embedding, sizes.dropout))
                now = out
            if level:
                stage.append(Upsample(now))
            self.levels.append(stage)
        self.leave = NormConv(now, sizes.folded(outputs))

    def forward(self, z: Tensor, y: Tensor | None = None, vector: Tensor | None = None) -> Tensor:
        """z (B, inputs, h, w), y (B,) or None, vector (B, condition_size) or None -> (B, outputs, H, W)."""
        self.check_inputs(z, vector)
        h = self.enter(z)  # (B, width_L, h, w)
        condition = self.condition(h.mean((2, 3)) if self.pooled else vector, y)  # (B, E)
        # The map that each level ends with: the level above's, and its own where there is none above.
        ends = reversed([*self.sizes[:1], *self.sizes[:-1]])
        for stage, size in zip(self.levels, ends, strict=True):
            for layer in cast("nn.ModuleList", stage):
                h = layer(h, size if isinstance(layer, Upsample) else condition)
        return F.pixel_shuffle(self.leave(h), self.patch)  # (B, outputs, H, W)

    def check_inputs(self, z: Tensor, vector: Tensor | None) -> None:
        """Raise ValueError unless z has the channels that this network was built for, and the vector that
        conditions its blocks is given where it was built for one.
        """
        if z.shape[1] != self.enter.in_channels:
            raise ValueError(
                f"the decoder's in_channels is {self.enter.in_channels}, and its latents have {z.shape[1]} "
                "channels: both must be equal"
            )
        if vector is None and not self.pooled:
            raise ValueError(
                "the decoder's condition_size is set, and no vector conditions it here: set null"
            )


class MapEncoder(ImageToMap):
    """Images to one small map of `out_channels` channels; all other settings: see genbench.nn.sizes.Sizes.

    forward: x (B, C, H, W), y (B,) int64 where there are classes -> (B, out_channels, h, w).
    Raises ValueError on sizes that no network can have.
    """

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
        sizes = Sizes(shape, num_classes, width, multipliers, blocks, patch, dropout)
        super().__init__(sizes, sizes.channels("out_channels", out_channels))


class MapDecoder(MapToImage):
    """Small maps of `in_channels` channels to images, the mirror of MapEncoder.

    condition_size: length of the vector that conditions the blocks; None: the mean of the map does.
    out_channels: channels of the answer, None is those of the image. Other settings: see Sizes.
    forward: z (B, in_channels, h, w), y (B,) or None, vector or None -> (B, out_channels, H, W).
    Raises ValueError on sizes that no network can have.
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
        sizes = Sizes(shape, num_classes, width, multipliers, blocks, patch, dropout)
        if condition_size is not None:
            check_count("network.condition_size", condition_size, MOST_CHANNELS, usual=16)
        inputs, outputs = (
            sizes.channels("in_channels", in_channels),
            sizes.channels("out_channels", out_channels),
        )
        super().__init__(sizes, inputs, outputs, condition_size=condition_size)


class Encoder(nn.Module):
    """Images to `moments` vectors of `latent` numbers: the smallest map, then a linear layer.

    moments: 2 is mean and log-variance of a Gaussian, 1 is a plain code. Other settings: see Sizes.
    Raises ValueError on sizes that no network can have.
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
        sizes = Sizes(shape, num_classes, width, multipliers, blocks, patch, dropout)
        channels, height, breadth = sizes.smallest
        self.latent = latent
        self.trunk = ImageToMap(sizes, channels)
        self.head = nn.Linear(channels * height * breadth, moments * latent)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """x (B, C, H, W), y (B,) int64 where there are classes -> (B, moments * latent)."""
        return self.head(F.silu(self.trunk(x, y)).flatten(1))


class Decoder(nn.Module):
    """Vectors of `latent` numbers to images: a linear layer to the smallest map, then the way up.

    The vector also sets scale and shift of every block. out_channels: None is those of the image. Other
    settings: see Sizes. Raises ValueError on sizes that no network can have.
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
        sizes = Sizes(shape, num_classes, width, multipliers, blocks, patch, dropout)
        self.latent, self.map_shape = latent, sizes.smallest
        channels, height, breadth = self.map_shape
        self.head = nn.Linear(latent, channels * height * breadth)
        outputs = sizes.channels("out_channels", out_channels)
        self.trunk = MapToImage(sizes, channels, outputs, condition_size=latent)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """z (B, latent), y (B,) int64 where there are classes -> (B, out_channels, H, W)."""
        return self.trunk(self.head(z).reshape(-1, *self.map_shape), y, z)


class OneLayer(OneLayerNetwork):
    """One latent vector: an encoder of its posterior's mean and log-variance, and a decoder.

    encoder(x, y) -> (B, 2 latent); decoder(z (B, latent), y) -> (B, outputs * C, H, W).
    Raises ValueError unless `latent` is that of encoder and decoder.
    Source: Kingma & Welling 2014, Appendix C.
    """

    def __init__(self, *, encoder: Encoder, decoder: Decoder, latent: int) -> None:
        super().__init__()
        if not latent == encoder.latent == decoder.latent:
            raise ValueError(
                f"network.latent is {latent}, network.encoder.latent {encoder.latent} and "
                f"network.decoder.latent {decoder.latent}: they must be the same, set network.latent alone"
            )
        self.encoder, self.decoder, self.latent = encoder, decoder, latent

    def moments(self, x: Tensor, y: Tensor | None) -> Tensor:
        return self.encoder(x, y)  # (B, 2 L)

    def output(self, z: Tensor, y: Tensor | None) -> Tensor:
        return self.decoder(z, y)  # (B, outputs * C, H, W)


def check_latent(latent: int, moments: int = 1) -> None:
    """Raise ValueError unless the latent has at least one number and the encoder at least one moment of it.

    latent: numbers of a latent vector, of a ladder the least of its layers' settings. moments: vectors that
    an encoder answers.
    """
    check_count("network.latent", latent, MOST_CHANNELS, usual=16)
    check_count("network.moments", moments, 2, usual=2)
