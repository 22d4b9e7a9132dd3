"""What a score is, and what it is taken on."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from genbench.metrics.reference import Reference
from genbench.metrics.scores.frechet import Moments
from genbench.metrics.scores.interval import Influences, Interval, interval, share_interval
from genbench.records.protocol import metric_name
from genbench.runtime import rng

__all__ = ["Distance", "Drawn", "Score", "of_split"]


@dataclass(frozen=True)
class Drawn:
    """What a stream of n images came to; `collect` makes it."""

    protocol: str
    """Of the extractor that gave the features."""
    of: str
    """Whose images these are: "ema", "raw" or "test"."""
    seed: int
    n: int
    moments: Moments
    """Of the features of all n."""
    features: Tensor
    """(N, d) float32 of all or, where n is above 10,000, of a fixed random part; so are images and labels."""
    images: Tensor
    """(N, C, H, W) uint8."""
    labels: Tensor | None
    """(N,) int64, the classes that were asked for."""
    logits: Tensor
    """(at most 50,000, K) float32; K = 0 of a network that knows no classes."""

    def named(
        self,
        kind: str,
        value: float,
        *,
        ref: str | None = "train",
        extra: tuple[str, ...] = (),
        n: int | None = None,
        protocol: str | None = None,
        std: float | None = None,
        influences: Tensor | Influences | None = None,
    ) -> dict[str, float]:
        """A value under its full name, and what is known of its spread under `_std`, `_low`, `_high`, `_se`.

        n: how many images were compared, if not all; protocol: what they were compared on, if not features;
        std: over parts of the samples; influences (N,): what each of them adds, for an interval, which is
        left out where all add the same and it would be a point; bool of a share: which samples count;
        `Influences` of a score that real images move too, or that has a least value.
        """
        count = n or self.n
        details = {"": value} if std is None else {"": value, "_std": std}
        found = None if influences is None else self.spread(value, influences, count)
        if found is not None and found.se > 0:
            details |= {f"_{part}": number for part, number in found._asdict().items()}
        place = protocol or self.protocol
        return {
            metric_name(kind + part, place, n=count, ref=ref, of=self.of, extra=extra): number
            for part, number in details.items()
        }

    def spread(self, value: float, influences: Tensor | Influences, n: int) -> Interval:
        """How far a value of n samples would move with others."""
        if isinstance(influences, Tensor):
            if influences.dtype == torch.bool:
                return share_interval(value, n=n)
            influences = Influences(influences)
        return interval(value, influences, n=n, seed=rng.derive(self.seed, "bootstrap"))


class Score(ABC):
    """One kind of number that samples are given; it knows neither models nor configurations."""

    key: str
    """Its name under `scores` in the configuration."""
    smallest: int = 2
    """Of how many images it can be taken at least."""

    @abstractmethod
    def compute(self, drawn: Drawn, references: Sequence[Reference]) -> dict[str, float]:
        """The values under their full names; none where what it needs (labels, a split) is not there."""


class Distance(Score):
    """A score that compares samples with each reference for itself."""

    def compute(self, drawn: Drawn, references: Sequence[Reference]) -> dict[str, float]:
        found = (self.distance(drawn, reference) for reference in references)
        return {name: value for values in found for name, value in values.items()}

    @abstractmethod
    def distance(self, drawn: Drawn, reference: Reference) -> dict[str, float]:
        """The values against one reference, under their full names."""


def of_split(references: Sequence[Reference], split: str) -> Reference | None:
    """The reference of a split, if it is among them."""
    return next((reference for reference in references if reference.split == split), None)
