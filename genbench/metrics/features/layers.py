"""Layers of frozen networks, by which a perceptual loss compares images."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genbench.data import ImageSource
from genbench.metrics.features.auto import SHIPPED
from genbench.metrics.features.cnn import CNNExtractor
from genbench.metrics.features.shipped import ShippedFeatures
from genbench.runtime.frozen_weights import FrozenWeights

__all__ = ["FrozenLayers", "ShippedLayers", "auto_layers"]

OPTIONS = ("digits", "fashion_mnist")
"""The shipped networks that take whole images; those of captioned scenes take parts of them."""


class FrozenLayers(FrozenWeights):
    """A frozen network whose features at several depths are compared; abstract.

    forward: images (B, C, H, W) in about [-1, 1] -> pairs of maps (B, F, h, w) and the weights (F,) of their
    channels, layer by layer. A checkpoint has a fingerprint of the weights alone.
    """

    protocol: str
    """Name of the network as the features of scores bear it, so that a score by the same network says so."""


class ShippedLayers(FrozenLayers):
    """The four layers of a shipped classifier: three maps, behind each ReLU, and the penultimate vector as a
    map of one pixel; all channels count alike, as in a mean.

    features: which network. shape: (C, H, W) of the images.
    Raises ValueError on images of another shape, and where the shipped file is missing or damaged.
    Source: Zhang et al. 2018, the uncalibrated variant of Section 3, on another network.
    """

    origin = "weights of the shipped classifier"

    def __init__(self, features: ShippedFeatures, shape: Sequence[int]) -> None:
        super().__init__()
        if tuple(shape) != features.shape:
            raise ValueError(
                f"images are {tuple(shape)}; the classifier of {features.option} is for images of "
                f"{features.shape}: use perceptual=lpips or perceptual=none"
            )
        features.check_file()
        extractor = features.network()
        assert isinstance(extractor, CNNExtractor)
        self.protocol, self.body = extractor.protocol, extractor.network.body
        self.freeze()

    def forward(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        found = []
        for module in self.body:
            x = module(x)
            if isinstance(module, nn.ReLU):
                maps = x if x.dim() == 4 else x[:, :, None, None]
                found.append((maps, torch.ones(maps.shape[1], device=x.device)))
        return found


def auto_layers(data: ImageSource) -> ShippedLayers:
    """Return the layers of the shipped classifier that was trained on a data set. Raises ValueError where
    there is none, with what compares such images.
    """
    if data.name not in OPTIONS:
        raise ValueError(
            f"no classifier that is shipped compares images of {data.name}: use perceptual=lpips, with "
            "VGG's weights, or perceptual=none"
        )
    return ShippedLayers(SHIPPED[data.name], data.shape)
