"""Features of data whose distribution is known: the pixels, and the exact posterior over classes."""

import torch
from torch import Tensor

from genbench.data import ImageData, ImageSource, KnownDistribution, to_float
from genbench.metrics.features.extractor import FeatureExtractor, Features, FeatureSource
from genbench.metrics.scores.frechet import Moments
from genbench.runtime.progress import Progress

__all__ = ["LawFeatures", "exact_moments"]

PLENTY = 10**12  # images, as which the law itself counts


class LawFeatures(FeatureSource):
    """Pixels in [-1, 1] for the distances, log p(u, y) for the Inception score; nothing is trained.

    The protocol carries 8 digits of the law's key.
    """

    def check(self, source: ImageSource) -> None:
        """Raise ValueError on a set whose law is not known."""
        known(source.distribution, source.name)

    def build(self, data: ImageData, *, device: torch.device, progress: Progress) -> FeatureExtractor:
        return LawExtractor(known(data.distribution, data.name))


class LawExtractor(FeatureExtractor):
    """The pixels as features and the exact log-posterior over classes as logits, in one pass."""

    def __init__(self, law: KnownDistribution) -> None:
        super().__init__(f"pixels-{law.key[:8]}", law.key, law.dimensions)
        self.law = law
        self.eval()

    def extract(self, images: Tensor) -> Features:
        logits = self.law.log_classes(images)
        # A class that no image could have would make 0 log 0 of its share; e^-500 is none to a float64 sum.
        logits = logits.clamp(min=logits.amax(dim=1, keepdim=True) - 500)
        return Features(to_float(images).flatten(1), logits.float().to(images.device))


def exact_moments(law: KnownDistribution) -> Moments:
    """Mean and covariance of the known distribution's pixels in [-1, 1], computed without any image, in
    float64; what a sample of infinitely many images would have.
    """
    moments = Moments(law.dimensions)
    moments.n = PLENTY
    moments.mean, moments.scatter = law.mean / 127.5 - 1, law.cov * ((PLENTY - 1) / 127.5**2)
    return moments


def known(law: KnownDistribution | None, name: str) -> KnownDistribution:
    """The known distribution of a data set. Raises ValueError where there is none."""
    if law is None:
        raise ValueError(f"the law of {name} is not known; take metrics=auto, or data=gaussians")
    return law
