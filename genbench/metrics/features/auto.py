"""The features that fit the data, where nothing else is asked for."""

import torch

from genbench.data import ImageData, ImageSource
from genbench.metrics.features.classifier import ClassifierFeatures
from genbench.metrics.features.extractor import FeatureExtractor, FeatureSource, Pilot
from genbench.metrics.features.inception import InceptionFeatures
from genbench.metrics.features.known_distribution import LawFeatures
from genbench.metrics.features.scene_reader import READERS
from genbench.metrics.features.shipped import DigitsFeatures, FashionMnistFeatures, ShippedFeatures
from genbench.runtime.progress import Progress

__all__ = ["AutoFeatures"]

SHIPPED: dict[str, ShippedFeatures] = {
    shipped.option: shipped for shipped in (DigitsFeatures(), FashionMnistFeatures(), *READERS.values())
}
"""By the name of the one set that each was trained on; no folder of images and no binarized set bears it."""


class AutoFeatures(FeatureSource):
    """The shipped networks for digits, Fashion-MNIST and captioned scenes of both, pixels where the data's
    distribution is known, Inception (from `weights`) for all others.

    Digits in black and white get a classifier of their own: distances on the two never share a column.
    `check` raises ValueError where `weights` are given for a set that has a shipped network.
    """

    def __init__(self, weights: str | None = None) -> None:
        self.weights = weights

    def check(self, source: ImageSource | ImageData) -> None:
        choice = self.choice(source)
        if self.weights is not None and isinstance(choice, ShippedFeatures):
            raise ValueError(
                f"features.weights is {self.weights}, and features=auto takes {choice.protocol} for "
                f"{source.name}, whose weights come with the package: use features=inception to use the file"
            )
        choice.check(source)

    def build(self, data: ImageData, *, device: torch.device, progress: Progress) -> FeatureExtractor:
        return self.choice(data).build(data, device=device, progress=progress)

    def pilot(self, data: ImageData, *, device: torch.device) -> Pilot:
        return self.choice(data).pilot(data, device=device)

    def is_ready(self, data: ImageData) -> bool:
        return self.choice(data).is_ready(data)

    def choice(self, data: ImageSource | ImageData) -> FeatureSource:
        """Choose the recipe that fits a data set by its distribution and its name, see the class; the same
        for the images before they are prepared and after.
        """
        if data.distribution is not None:
            return LawFeatures()
        if data.name == "digits_binary":
            # As many images as the shipped network of the grey digits was trained on.
            return ClassifierFeatures(60_000)
        return SHIPPED.get(data.name) or InceptionFeatures(self.weights)
