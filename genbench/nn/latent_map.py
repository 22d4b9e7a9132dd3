"""The network of a VAE whose latent is a small map, for models of latents such as latent diffusion."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from genbench.nn.resnet import MapDecoder, MapEncoder
from genbench.vaes.network import OneLayerNetwork

__all__ = ["MapLayer"]


class MapLayer(OneLayerNetwork):
    """One latent layer that is a map of L numbers a position, flattened to a vector of L h w numbers.

    encoder(x, y) -> (B, 2 L, h, w), mean and log-variance; decoder(z (B, L, h, w), y) -> (B, C, H, W).
    shape: (C, H, W) of the images, which the size of the encoder's map is found with.
    Source: the autoencoder of Rombach et al. 2022, Section 3.1, without its adversarial loss.
    """

    def __init__(self, shape: Sequence[int], *, encoder: MapEncoder, decoder: MapDecoder) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        with torch.no_grad():
            channels, height, breadth = encoder(torch.zeros(1, *shape)).shape[1:]
        if channels % 2:
            raise ValueError(
                f"the encoder's out_channels is {channels}; it must be even, the mean and the log-variance "
                "of each channel of the latent map, e.g. 8"
            )
        self.map = (channels // 2, height, breadth)
        self.latent = math.prod(self.map)

    def map_shape(self) -> tuple[int, int, int]:
        return self.map

    def moments(self, x: Tensor, y: Tensor | None) -> Tensor:
        return self.encoder(x, y).flatten(1)  # (B, 2 L h w)

    def output(self, z: Tensor, y: Tensor | None) -> Tensor:
        return self.decoder(z.reshape(-1, *self.map), y)  # (B, C, H, W)
