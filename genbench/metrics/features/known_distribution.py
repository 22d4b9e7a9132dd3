"""Features of data whose distribution is known: the pixels, and the exact posterior over classes."""

import torch
from torch import Tensor

from genbench.data import ImageData, ImageSource, KnownDistribution, to_float
from genbench.metrics.features.extractor import FeatureExtractor, Features, FeatureSource
from genbench.metrics.scores.frechet import Moments
from genbench.records.feature_network import FeatureNetwork
from genbench.runtime.progress import Progress

__all__ = ["LawFeatures", "exact_moments"]

PLENTY = 10**12  # images, as many as the exact moments count for


class LawFeatures(FeatureSource):
    """Pixels in [-1, 1] for the distances, log p(u, y) for the Inception score; nothing is trained.

    The protocol carries 8 digits of the distribution's key, so that values on two of them share no column.
    """

    def check(self, source: ImageSource | ImageData) -> None:
        """Raise ValueError on a set of images whose distribution is not known, with the sets and the metrics
        that can be taken instead.
        """
        if source.distribution is None:
            raise ValueError(
                f"the distribution of {source.name} is not known, and features=law needs it: use "
                "metrics=auto, or data=gaussians"
            )

    def build(self, data: ImageData, *, device: torch.device, progress: Progress) -> FeatureExtractor:
        self.check(data)
        assert data.distribution is not None
        return LawExtractor(data.distribution)


class LawExtractor(FeatureExtractor):
    """The pixels in [-1, 1] as features, (B, D), and the exact log p(u, y) of each class as logits, (B, K);
    it has no weights, and the distribution's key stands for their sha256.
    """

    def __init__(self, distribution: KnownDistribution) -> None:
        origin = FeatureNetwork("exact posterior", classes=distribution.num_classes)
        protocol = f"pixels-{distribution.key[:8]}"
        super().__init__(protocol, distribution.key, distribution.dimensions, origin)
        self.distribution = distribution
        self.eval()

    def extract(self, images: Tensor) -> Features:
        logits = self.distribution.log_classes(images)
        # A class that no image could have would make 0 log 0 of its share; e^-500 is none to a float64 sum.
        logits = logits.clamp(min=logits.amax(dim=1, keepdim=True) - 500)
        return Features(to_float(images).flatten(1), logits.float().to(images.device))


def exact_moments(distribution: KnownDistribution) -> Moments:
    """Mean and covariance of the known distribution's pixels in [-1, 1], computed without any image, in
    float64; what a sample of infinitely many images would have.
    """
    # Of bytes u, moved to x = u / 127.5 - 1; scatter is the covariance times n - 1.
    return Moments.given(PLENTY, distribution.mean / 127.5 - 1, distribution.cov * ((PLENTY - 1) / 127.5**2))
