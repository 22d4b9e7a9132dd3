"""A network of a VAE whose latent is a small map, for models of latents."""

from collections.abc import Sequence

import torch
from torch import Tensor

from genbench.nn.resnet import MapDecoder, MapEncoder
from genbench.vaes.network import OneLayerNetwork

__all__ = ["MapLayer"]


class MapLayer(OneLayerNetwork):
    """One latent layer that is a map of `channels` numbers a position, kept flat: L = channels * h * w.

    multipliers: channels of each level over width; each level after the first halves the map.
    Source: the autoencoder of Rombach et al. 2022, Section 3.1, without its adversarial loss.
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        *,
        channels: int = 4,
        width: int = 32,
        multipliers: Sequence[int] = (1, 2),
        blocks: int = 1,
        patch: int = 1,
        dropout: float = 0.0,
        out_channels: int | None = None,
    ) -> None:
        super().__init__()
        if channels < 1:
            raise ValueError(f"autoencoder.network.channels is {channels}; it must be at least 1, e.g. 4")
        self.encoder = MapEncoder(
            shape,
            num_classes,
            out_channels=2 * channels,
            width=width,
            multipliers=multipliers,
            blocks=blocks,
            patch=patch,
            dropout=dropout,
        )
        self.decoder = MapDecoder(
            shape,
            num_classes,
            in_channels=channels,
            out_channels=out_channels,
            width=width,
            multipliers=multipliers,
            blocks=blocks,
            patch=patch,
            dropout=dropout,
        )
        with torch.no_grad():
            y = torch.zeros(1, dtype=torch.int64) if num_classes else None
            height, breadth = self.encoder(torch.zeros(1, *shape), y).shape[2:]
        self.map, self.latent = (channels, height, breadth), channels * height * breadth

    def map_shape(self) -> tuple[int, int, int]:
        return self.map

    def moments(self, x: Tensor, y: Tensor | None) -> Tensor:
        return self.encoder(x, y).flatten(1)

    def output(self, z: Tensor, y: Tensor | None) -> Tensor:
        return self.decoder(z.reshape(-1, *self.map), y)
