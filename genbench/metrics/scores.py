"""All scores that come from features, of one pass an image."""

from collections.abc import Sequence

import torch
from torch import Tensor

from genbench.metrics.features import FeatureExtractor
from genbench.metrics.frechet import Moments, frechet_distance
from genbench.metrics.inception_score import inception_score, split_count
from genbench.metrics.kid import kernel_distance
from genbench.metrics.manifold import manifold_scores
from genbench.metrics.protocol import metric_name
from genbench.metrics.reference import Reference

__all__ = ["FeatureScores"]


class FeatureScores:
    """Inception score of a stream of images; FID, KID, precision, recall, density and coverage against
    references.

    of: "ema", "raw" or "test", whose images these are.
    neighbours: k of precision, recall, density and coverage, or as many as the images allow.
    Raises ValueError where a reference was taken on other features.
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        references: Sequence[Reference],
        *,
        of: str,
        seed: int,
        splits: int = 10,
        kid_subsets: int = 100,
        kid_subset_size: int = 1000,
        neighbours: int = 5,
    ) -> None:
        for reference in references:
            if reference.protocol != extractor.protocol:
                raise ValueError(
                    f"the reference has features {reference.protocol}, the extractor gives "
                    f"{extractor.protocol}; take both from one extractor"
                )
        self.extractor, self.references = extractor, references
        self.of, self.seed = of, seed
        self.splits, self.kid_subsets, self.kid_subset_size = splits, kid_subsets, kid_subset_size
        self.neighbours = neighbours
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
        splits = (f"splits={split_count(self.moments.n, self.splits)}",)
        score = inception_score(torch.cat(self.logits), splits=self.splits, seed=self.seed)
        scores = {self.name("is", None, splits): score[0], self.name("is_std", None, splits): score[1]}
        for reference in self.references:
            scores |= self.distances(reference) | self.manifold(reference)
        return scores

    def distances(self, reference: Reference) -> dict[str, float]:
        """The distances to one reference."""
        size = min(self.kid_subset_size, self.moments.n, len(reference.features))
        mean, std = kernel_distance(
            reference.features,
            torch.cat(self.features),
            subsets=self.kid_subsets,
            subset_size=size,
            seed=self.seed,
        )
        subsets = (f"subsets={self.kid_subsets}x{size}",)
        return {
            self.name("fid", reference.split): frechet_distance(self.moments, reference.moments),
            self.name("kid", reference.split, subsets): mean,
            self.name("kid_std", reference.split, subsets): std,
        }

    def manifold(self, reference: Reference) -> dict[str, float]:
        """Precision, recall, density and coverage, of equally many samples and real images.

        At most the 10,000 images that a reference keeps; of the larger set a fixed random subset, since
        another one moves precision by several hundredths at n = 359. Equal numbers, as in Kynkaanniemi et al.
        2019, since the scores change with both.
        """
        n = min(self.moments.n, len(reference.features))
        k = min(self.neighbours, n - 1)
        real, fake = (subset(x, n) for x in (reference.features, torch.cat(self.features)))
        scores = manifold_scores(real, fake, k=k)._asdict()
        return {self.name(kind, reference.split, (f"k={k}",), n=n): score for kind, score in scores.items()}

    def name(self, metric: str, ref: str | None, extra: tuple[str, ...] = (), *, n: int | None = None) -> str:
        """A metric's full name, of all images or of n."""
        return metric_name(
            metric, self.extractor.protocol, n=n or self.moments.n, ref=ref, of=self.of, extra=extra
        )


def subset(features: Tensor, n: int) -> Tensor:
    """n of the features (N, d): the same random ones in each run, whatever its seed."""
    return features[torch.randperm(len(features), generator=torch.Generator().manual_seed(0))[:n]]
