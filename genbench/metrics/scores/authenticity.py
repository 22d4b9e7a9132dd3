"""Copies of training images among samples, by distances between features."""

from collections.abc import Sequence

import torch
from torch import Tensor

from genbench.metrics.reference import Reference
from genbench.metrics.scores.precision_recall import radii, squared_distances
from genbench.metrics.scores.score import Drawn, Score, of_split
from genbench.records.metric_kinds import KINDS

__all__ = ["Authenticity", "authentic", "nearest_features"]

BLOCK = 512  # samples at a time, which bounds the memory of their distances


class Authenticity(Score):
    """The share of samples that are no copies, among at most 10,000 training images.

    A sample is a copy where it is nearer to its nearest training image than any other training image is. Some
    new images of the same distribution are, too: held-out images show how many.
    Source: Alaa et al. 2022, Section 3.3.
    """

    key = "authenticity"
    kinds = (KINDS["authenticity"],)

    def compute(self, drawn: Drawn, references: Sequence[Reference]) -> dict[str, float]:
        train = of_split(references, "train")
        if train is None:
            return {}
        new = authentic(train.features, drawn.features)
        name = drawn.name("authenticity", part=(f"among={len(train.features)}",), n=len(new))
        # As truth values, so that the share gets Wilson's interval.
        return drawn.scored(name, float(new.double().mean()), influences=new)


def authentic(real: Tensor, fake: Tensor) -> Tensor:
    """Mark samples that are no copies: d(y_j, x) > min_(x' != x) d(x, x') for the real point x nearest to
    each fake y_j, (M,) bool. Where both distances are equal, up to rounding (see `radii`), y_j counts as a
    copy. real (N, d), N >= 2, fake (M, d).
    """
    # Squared distances on both sides, with the same tolerance for rounding as the balls of `manifold`.
    squares, index = nearest_features(real, fake)
    return squares > radii(real, 1, BLOCK)[index]


def nearest_features(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Find for each fake point (M, d) the nearest real one (N, d), in float64: its squared distance, which
    rounding may leave just below 0, and its index, (M,) each.
    """
    rows = [squared_distances(part, real.double()).min(1) for part in fake.double().split(BLOCK)]
    return torch.cat([row.values for row in rows]), torch.cat([row.indices for row in rows])
