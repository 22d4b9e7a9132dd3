"""The features that fit the data, where nothing else is asked for."""

import torch

from genbench.data import ImageData, ImageSource
from genbench.metrics.classifier import ClassifierFeatures
from genbench.metrics.digits import DigitsFeatures
from genbench.metrics.features import FeatureExtractor, FeatureSource
from genbench.metrics.inception import InceptionFeatures
from genbench.metrics.law import LawFeatures
from genbench.progress import Progress

__all__ = ["AutoFeatures"]


class AutoFeatures(FeatureSource):
    """The shipped digits network for the set "digits", the pixels of sets whose law is known, Inception (from
    `weights`) for all others.

    Digits in black and white get a classifier of their own: distances on the two never share a column.
    """

    def __init__(self, weights: str | None = None) -> None:
        self.weights = weights

    def check(self, source: ImageSource) -> None:
        self.choice(source).check(source)

    def build(self, data: ImageData, *, device: torch.device, progress: Progress) -> FeatureExtractor:
        return self.choice(data).build(data, device=device, progress=progress)

    def choice(self, data: ImageSource | ImageData) -> FeatureSource:
        """The source for a set."""
        if data.law is not None:
            return LawFeatures()
        if data.name == "digits_binary":
            return ClassifierFeatures(60_000)
        return DigitsFeatures() if data.name == "digits" else InceptionFeatures(self.weights)
