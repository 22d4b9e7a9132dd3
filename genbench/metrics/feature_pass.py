"""A stream of images -> what scores are computed on: each image passes the feature network once."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from genbench.metrics.features.extractor import FeatureExtractor
from genbench.metrics.reference import RETAINED, Reference, retained
from genbench.metrics.scores.frechet import Moments
from genbench.metrics.scores.score import Drawn, Score
from genbench.runtime.memory import memory_for, smaller_evaluation

__all__ = ["Taken", "collect", "score_images", "take"]

LOGITS = 50_000  # as many as the Inception score is published on


class Taken(NamedTuple):
    """A batch of images with what the feature network gives for them, all on the CPU, so that the memory of a
    GPU does not limit how many are evaluated.
    """

    images: Tensor
    """(B, C, H, W) uint8."""
    labels: Tensor | None
    """(B,) int64; of images that belong to captions the numbers of these, see `Drawn`."""
    features: Tensor
    """(B, d) float32."""
    logits: Tensor
    """(B, K) float32."""
    others: Sequence[tuple[Tensor, Tensor]] = ()
    """Features and logits of the extractor's other networks, in their order."""


def take(extractor: FeatureExtractor, images: Tensor, labels: Tensor | None) -> Taken:
    """Send a batch of images (B, C, H, W) uint8 through the feature network, and through its `others`, with
    labels (B,) or None.

    All tensors of the result are on the CPU. Raises OutOfMemory, with a smaller batch as the remedy, where
    the device cannot hold it.
    """
    work = f"the features on {images.device} of {len(images)} images at a time (metrics.batch_size)"
    with memory_for(work, smaller_evaluation(len(images))):
        features, logits = (part.cpu() for part in extractor(images))
        others = [tuple(part.cpu() for part in other(images)) for other in extractor.others]
    return Taken(images.cpu(), None if labels is None else labels.cpu(), features, logits, others)


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
    """Compute all scores of n images under their full names, by `take`, `collect` and `compute`, in one
    process.

    stream: images (B, C, H, W) uint8, each batch with labels (B,) int64 or None.
    n, extractor, of, seed: as for `collect`.
    Raises ValueError where a reference has other features, and what `collect` raises.
    """
    for reference in references:
        if reference.protocol != extractor.protocol:
            raise ValueError(
                f"the reference has features {reference.protocol}, the extractor gives "
                f"{extractor.protocol}; take both from one extractor"
            )
    taken = (take(extractor, images, labels) for images, labels in stream)
    drawn = collect(taken, n, extractor=extractor, of=of, seed=seed)
    return compute(drawn, scores, references)


def compute(drawn: Drawn, scores: Sequence[Score], references: Sequence[Reference]) -> dict[str, float]:
    """Compute scores of collected samples against references.

    Returns values by full metric names, in the order of the scores. Scores that lack what they need, such as
    labels, add none. Scores on features are taken on those of each network.
    """
    values: dict[str, float] = {}
    for score in scores:
        values |= score.compute(drawn, references)
    on_features = [score for score in scores if score.on_features]
    for place, other in enumerate(drawn.others):
        values |= compute(other, on_features, [reference.others[place] for reference in references])
    return values


def collect(
    stream: Iterable[Taken],
    n: int,
    *,
    extractor: FeatureExtractor,
    of: str,
    seed: int,
    captions: Sequence[str] | None = None,
) -> Drawn:
    """Take in n images batch by batch, in memory that does not grow with n above 50,000.

    of: whose images these are, as it stands in names: "ema", "raw" or "test"; seed: of what scores draw.
    captions: those that labels number, None where labels are classes.
    Raises ValueError where there are not n images, FloatingPointError on features that are not finite.
    """
    # Memory stays bounded: moments need no image, features and images a part, logits a larger one.
    chosen, classed = retained(n, RETAINED), retained(n, LOGITS)
    moments, parts = Moments(extractor.num_features), list[tuple[Tensor, Tensor, Tensor | None, Tensor]]()
    of_others = [Moments(other.num_features) for other in extractor.others]
    others = [list[tuple[Tensor, Tensor]]() for _ in extractor.others]
    for images, labels, features, logits, further in stream:
        start = moments.n  # as many images as came before this batch
        moments.update(features)
        if moments.n > n:  # the masks below have n entries; the error follows
            break
        # Chosen by number beforehand, so that the part depends neither on the batches nor on the images.
        few, more = (which[start : moments.n] for which in (chosen, classed))
        parts.append((features[few], images[few], None if labels is None else labels[few], logits[more]))
        for place, (theirs, classes) in enumerate(further):
            of_others[place].update(theirs)
            others[place].append((theirs[few], classes[more]))
    if moments.n != n:
        raise ValueError(f"{n} images were expected, and {'more' if moments.n > n else moments.n} came")
    all_features, all_images, all_labels, all_logits = zip(*parts, strict=True)
    drawn = Drawn(
        protocol=extractor.protocol,
        of=of,
        seed=seed,
        n=n,
        moments=moments,
        features=torch.cat(all_features),
        images=torch.cat(all_images),
        labels=None if all_labels[0] is None else torch.cat(all_labels),
        logits=torch.cat(all_logits),
        captions=captions,
    )
    found = []
    for other, own_moments, pairs in zip(extractor.others, of_others, others, strict=True):
        x, z = (torch.cat(tensors) for tensors in zip(*pairs, strict=True))
        found.append(replace(drawn, protocol=other.protocol, moments=own_moments, features=x, logits=z))
    return replace(drawn, others=tuple(found))
