"""All scores that come from features, of one pass an image."""

import torch
from torch import Tensor

from genbench.metrics.features import FeatureExtractor
from genbench.metrics.frechet import Moments, frechet_distance
from genbench.metrics.inception_score import inception_score, split_count
from genbench.metrics.kid import kernel_distance
from genbench.metrics.protocol import metric_name
from genbench.metrics.reference import Reference

__all__ = ["FeatureScores"]


class FeatureScores:
    """FID, Inception score and KID of a stream of images against a reference.

    of: "ema", "raw" or "test", whose images these are.
    Raises ValueError where the reference was taken on other features.
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        reference: Reference,
        *,
        of: str,
        seed: int,
        splits: int = 10,
        kid_subsets: int = 100,
        kid_subset_size: int = 1000,
    ) -> None:
        if reference.protocol != extractor.protocol:
            raise ValueError(
                f"the reference has features {reference.protocol}, the extractor gives {extractor.protocol}; "
                "take both from one extractor"
            )
        self.extractor, self.reference = extractor, reference
        self.of, self.seed = of, seed
        self.splits, self.kid_subsets, self.kid_subset_size = splits, kid_subsets, kid_subset_size
        self.moments = Moments(extractor.num_features)
        self.features: list[Tensor] = []
        self.logits: list[Tensor] = []

    def update(self, images: Tensor) -> None:
        """Take in images (B, C, H, W) uint8. Raises FloatingPointError on features that are not finite."""
        features, logits = self.extractor(images)
        self.moments.update(features)
        self.features.append(features.cpu())
        self.logits.append(logits.cpu())

    def compute(self) -> dict[str, float]:
        """The scores under their full protocol names, each spread under the same name with `_std`."""
        n, ref = self.moments.n, self.reference
        size = min(self.kid_subset_size, n, len(ref.features))
        score = inception_score(torch.cat(self.logits), splits=self.splits, seed=self.seed)
        kernel = kernel_distance(
            ref.features, torch.cat(self.features), subsets=self.kid_subsets, subset_size=size, seed=self.seed
        )
        splits, subsets = (f"splits={split_count(n, self.splits)}",), (f"subsets={self.kid_subsets}x{size}",)
        return {
            self.name("fid", ref.split): frechet_distance(self.moments, ref.moments),
            self.name("is", None, splits): score[0],
            self.name("is_std", None, splits): score[1],
            self.name("kid", ref.split, subsets): kernel[0],
            self.name("kid_std", ref.split, subsets): kernel[1],
        }

    def name(self, metric: str, ref: str | None, extra: tuple[str, ...] = ()) -> str:
        """A metric's full name."""
        return metric_name(
            metric, self.extractor.protocol, n=self.moments.n, ref=ref, of=self.of, extra=extra
        )
