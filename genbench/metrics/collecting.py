"""A stream of images -> what scores are taken on: each image once through the feature network."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from genbench.metrics.features import FeatureExtractor
from genbench.metrics.frechet import Moments
from genbench.metrics.reference import KEPT, Reference, kept
from genbench.metrics.score import Drawn, Score

__all__ = ["collect", "score_images"]

LOGITS = 50_000  # as many as the Inception score is published on


def score_images(
    stream: Iterable[tuple[Tensor, Tensor | None]],
    n: int,
    *,
    scores: Sequence[Score],
    extractor: FeatureExtractor,
    references: Sequence[Reference],
    of: str,
    seed: int,
) -> dict[str, float]:
    """All scores of n images, under their full names; the one way from images to numbers.

    stream, extractor, of, seed: as `collect` takes them.
    Raises ValueError where a reference was taken on other features, and what `collect` raises.
    """
    check_protocols(extractor, references)
    drawn = collect(stream, n, extractor=extractor, of=of, seed=seed)
    return compute(drawn, scores, references)


def compute(drawn: Drawn, scores: Sequence[Score], references: Sequence[Reference]) -> dict[str, float]:
    """All scores of what was drawn."""
    found = (score.compute(drawn, references) for score in scores)
    return {name: value for values in found for name, value in values.items()}


def check_protocols(extractor: FeatureExtractor, references: Sequence[Reference]) -> None:
    """Raise ValueError where a reference was taken on other features than the extractor gives."""
    for reference in references:
        if reference.protocol != extractor.protocol:
            raise ValueError(
                f"the reference has features {reference.protocol}, the extractor gives "
                f"{extractor.protocol}; take both from one extractor"
            )


def collect(
    stream: Iterable[tuple[Tensor, Tensor | None]],
    n: int,
    *,
    extractor: FeatureExtractor,
    of: str,
    seed: int,
) -> Drawn:
    """Take in n images batch by batch, in memory that does not grow with n above 50,000.

    stream: images (B, C, H, W) uint8, each batch with labels (B,) int64 or None.
    of: whose images these are, as it stands in names: "ema", "raw" or "test"; seed: of what scores draw.
    Raises ValueError where there are not n images, FloatingPointError on features that are not finite.
    """
    chosen, classed = kept(n, KEPT), kept(n, LOGITS)
    moments, parts = Moments(extractor.num_features), []
    for images, labels in stream:
        start = moments.n
        features, logits = (part.cpu() for part in extractor(images))
        moments.update(features)
        if moments.n > n:
            break
        mine, its = (which[start : moments.n] for which in (chosen, classed))
        parts.append(
            (features[mine], images.cpu()[mine], None if labels is None else labels.cpu()[mine], logits[its])
        )
    if moments.n != n:
        raise ValueError(f"{n} images were promised and {'more' if moments.n > n else moments.n} came")
    features, images, labels, logits = zip(*parts, strict=True)
    return Drawn(
        protocol=extractor.protocol,
        of=of,
        seed=seed,
        n=n,
        moments=moments,
        features=torch.cat(features),
        images=torch.cat(images),
        labels=None if labels[0] is None else torch.cat(labels),
        logits=torch.cat(logits),
    )
