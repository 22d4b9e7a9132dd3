"""Frechet distances within classes, for conditional models: FID of each class, and the mean over classes."""

from collections.abc import Iterator

import torch
from torch import Tensor

from genbench.data import ImageSource
from genbench.metrics.reference import Reference
from genbench.metrics.scores.frechet import Moments, frechet_distance, frechet_influences
from genbench.metrics.scores.interval import Influences, on_roots
from genbench.metrics.scores.score import Distance, Drawn
from genbench.records.metric_kinds import KINDS

__all__ = ["ClassFID"]


class ClassFID(Distance):
    """FID of each class's samples to the real images of that class: the mean over classes, and each of them.

    For conditional models. Of at most 10,000 samples and 10,000 real images; classes with fewer than two of
    either are left out, and the number of those that are not stands in the name. n in the name of a class is
    that of all samples, of which the class has its share: its own count is drawn anew with each seed.
    """

    key = "fid_class"
    kinds = (KINDS["fid_class"],)

    def lacks(self, source: ImageSource, *, conditional: bool) -> str | None:
        return None if conditional else "labels of its samples, which conditional=true gives"

    def distance(self, drawn: Drawn, reference: Reference) -> dict[str, float]:
        real = reference.images.labels
        if drawn.classes is None or real is None:
            return {}
        pairs = dict(within(drawn.features, drawn.classes, reference.features, real[reference.index]))
        if not pairs:
            return {}
        # Samples of classes that are left out move nothing: their influences stay 0.
        n, influences = len(drawn.classes), torch.zeros(len(drawn.classes), dtype=torch.float64)
        distances: dict[str, float] = {}
        for k, (fake_k, real_k) in pairs.items():
            mine = drawn.classes == k
            value = frechet_distance(fake_k, real_k)
            # A sample moves the mean over classes by its own class alone, of which it is one of few.
            share = float(mine.double().mean()) * len(pairs)
            influences[mine] = frechet_influences(drawn.features[mine], fake_k, real_k) / share
            of_class = drawn.name("fid_class", ref=reference.split, part=(f"class={k}",), n=n)
            distances |= drawn.scored(of_class, value)
        mean = sum(distances.values()) / len(pairs)
        of_all = drawn.name("fid_class", ref=reference.split, part=(f"classes={len(pairs)}",), n=n)
        return drawn.scored(of_all, mean, influences=Influences(influences, scale=on_roots)) | distances


def within(
    fake: Tensor, fake_labels: Tensor, real: Tensor, real_labels: Tensor
) -> Iterator[tuple[int, tuple[Moments, Moments]]]:
    """Yield (class, (moments of its samples, moments of its real images)) for each class that has two or more
    of both. fake (N, d), real (M, d) features with labels (N,) and (M,) int64.
    """
    for k in fake_labels.unique().tolist():
        parts = fake[fake_labels == k], real[real_labels == k]
        if min(map(len, parts)) >= 2:  # one image has no covariance
            yield k, (Moments.of(parts[0]), Moments.of(parts[1]))
