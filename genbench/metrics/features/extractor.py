"""The interface of feature networks, and of the recipes that build one for a data set."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from genbench.data import ImageData, ImageSource
from genbench.errors import MissingWeights
from genbench.records.feature_network import FeatureNetwork
from genbench.runtime.precision import full_precision
from genbench.runtime.progress import Progress

__all__ = [
    "FeatureExtractor",
    "FeatureSource",
    "Features",
    "MissingWeights",
    "Pilot",
    "check_finite",
    "fitting",
    "without_weights",
]


class Features(NamedTuple):
    """Output of one pass of images through a feature network, which all scores share, so that each image
    passes it once: features (B, d), logits (B, K) with K = 0 of a network that knows no classes.
    """

    features: Tensor
    """(B, d) float32, for the distances."""
    logits: Tensor
    """(B, K) float32, for the Inception score."""


class FeatureExtractor(nn.Module, ABC):
    """A frozen network from images as bytes to features and logits; subclasses implement `extract`.

    protocol names the features with all that changes them, since values on other features do not compare;
    num_features: d. origin: what it was trained on, as results state it, before its accuracy is measured;
    None where that is not said.
    """

    others: Sequence["FeatureExtractor"] = ()
    """Further networks that the same images are sent through, so that a batch is drawn once for all."""

    def __init__(
        self, protocol: str, weights_sha256: str, num_features: int, origin: FeatureNetwork | None = None
    ) -> None:
        super().__init__()
        self.protocol = protocol
        """Name of the network and its version, first in a metric's brackets: "digits-cnn-v1"."""
        self.weights_sha256 = weights_sha256
        self.num_features = num_features
        self.origin = origin

    @torch.no_grad()
    def forward(self, images: Tensor) -> Features:
        """Features of images (B, C, H, W) uint8, in full float32 precision whatever surrounds the call.

        They are the same bit for bit however the images lie in memory.
        Raises TypeError on other dtypes, RuntimeError in training mode, where a batch changes its features.
        """
        if images.dtype != torch.uint8 or images.dim() != 4:
            raise TypeError(
                f"images are {tuple(images.shape)} {images.dtype}; features are taken of (B, C, H, W) uint8: "
                "convert floats by genbench.data.to_uint8"
            )
        if any(module.training for module in self.modules()):
            raise RuntimeError("the feature network is in training mode; call .eval() on it")
        with full_precision(images.device):
            # One layout in memory: kernels, and so the last digits, differ between layouts.
            return self.extract(images.clone(memory_format=torch.contiguous_format))

    @abstractmethod
    def extract(self, images: Tensor) -> Features:
        """Compute features (B, d) and logits (B, K) of images (B, C, H, W) uint8, which `forward` has checked
        and laid out in memory; on this network's device.
        """


class Pilot(NamedTuple):
    """A feature network for an estimate of what an evaluation takes: as it will be, but for its weights where
    these must be trained first.
    """

    extractor: FeatureExtractor
    images: int = 0
    """Images on which a classifier is trained before its first use; 0 where it is there."""
    seconds: float = 0.0
    """Of that training, as a few steps of it show."""


class FeatureSource(ABC):
    """A recipe for a feature network, which a configuration names; making it costs nothing.

    `check` is called before training, so that a run does not fail after hours for want of weights; `build`
    makes the network when it is first needed.
    """

    @abstractmethod
    def check(self, source: ImageSource | ImageData) -> None:
        """Raise ValueError or MissingWeights where `build` would fail later: images of `source` that do not
        fit the network, weights that are not there. Nothing is trained or built.
        """

    @abstractmethod
    def build(self, data: ImageData, *, device: torch.device, progress: Progress) -> FeatureExtractor:
        """Build the network for this data on `device`, in evaluation mode.

        Trained or downloaded where it must be, with a bar in `progress`. Raises ValueError or MissingWeights
        as `check` does.
        """

    def is_ready(self, data: ImageData) -> bool:
        """Return True where `build` only reads a classifier that was trained for this data before, so that
        its accuracy is known before a model is trained; False by default.
        """
        return False

    def pilot(self, data: ImageData, *, device: torch.device) -> Pilot:
        """Make the network for an estimate, on `device`, which trains nothing for longer than a few steps and
        leaves no file that `build` would read; by default what `build` makes, which is right for networks
        that are not trained here.
        """
        return Pilot(self.build(data, device=device, progress=Progress(None)))


def without_weights(source: ImageSource | ImageData) -> str:
    """Name the metrics that evaluate images of `source` without weights that must be downloaded, as they are
    typed: on features that fit these images, or on none; the end of a message.
    """
    if source.distribution is not None:
        return "features=law"
    if source.num_classes >= 2:
        return "metrics=classifier, which trains a small network on the labels once"
    return "metrics=likelihood or metrics=none, which need no features"


def fitting(source: ImageSource | ImageData) -> str:
    """Name what evaluates images of `source`, as it is typed, where the features that were asked for do not
    fit them: other features and, where these may have to be downloaded, metrics that need none.
    """
    if source.distribution is None and source.num_classes >= 2:
        return "features=classifier"
    needs_download = source.distribution is None
    return f"features=inception, or {without_weights(source)}" if needs_download else without_weights(source)


def check_finite(features: Tensor, name: str = "features") -> None:
    """Raise FloatingPointError where a value of a tensor is infinite or not a number, with its `name` and the
    two places to look at: the images, and the weights of the feature network.
    """
    if not bool(features.isfinite().all()):
        raise FloatingPointError(f"{name} are not finite: check the images and the feature weights")
