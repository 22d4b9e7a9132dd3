"""The base classes of scores, and the collected samples that they are computed on."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from genbench.data import ImageSource
from genbench.metrics.reference import Reference
from genbench.metrics.scores.frechet import Moments
from genbench.metrics.scores.interval import Influences, Interval, interval, share_interval
from genbench.records.metric_kinds import Kind
from genbench.records.metric_name import MetricName
from genbench.runtime import rng

__all__ = ["Distance", "Drawn", "Score", "of_split"]


@dataclass(frozen=True)
class Drawn:
    """n images after the feature network, as `collect` returns them: moments of all, and features, images,
    labels and logits of as many as fit in memory; all that a score is computed on.
    """

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
    """(N,) int64, the classes that were asked for; of a model of text the numbers of texts in `captions`."""
    logits: Tensor
    """(at most 50,000, K) float32; K = 0 of a network that knows no classes."""
    captions: Sequence[str] | None = None
    """The texts that `labels` number, such as those of the test split; None where labels are classes."""
    others: tuple["Drawn", ...] = ()
    """The same images with what other networks give for them, in the order of `FeatureExtractor.others`."""

    @property
    def classes(self) -> Tensor | None:
        """The class that each of the N images was asked for, (N,) int64; None where there are none."""
        return self.labels if self.captions is None else None

    @property
    def texts(self) -> list[str] | None:
        """The text that each of the N images was asked for; None where there are none."""
        if self.captions is None or self.labels is None:
            return None
        return [self.captions[number] for number in self.labels.tolist()]

    def name(
        self,
        kind: str,
        *,
        ref: str | None = "train",
        part: tuple[str, ...] = (),
        n: int | None = None,
        protocol: str | None = None,
    ) -> MetricName:
        """The full name of a value of these images; by default of a distance to the training split.

        ref: the split that they are compared with, None of a value without a reference; part: settings of the
        score, such as k=5. n: how many images were compared, if not all; protocol: on what, if not on the
        features.
        """
        return MetricName(kind, protocol or self.protocol, n or self.n, ref, self.of, part)

    def scored(
        self,
        name: MetricName,
        value: float,
        *,
        std: float | None = None,
        influences: Tensor | Influences | None = None,
        count: int | None = None,
    ) -> dict[str, float]:
        """A value under its name, with its uncertainty, where known, under `_std`, `_low`, `_high` and `_se`.

        std: over parts of the samples. influences (N,): how much each sample moves the value, for a 95 %
        interval, which is left out where all move it equally; of a share the samples that count, as bool;
        `Influences` where real images move the value too, or where it has a least value. count: how many
        samples a share is of, where these are not the n of the name.
        """
        details = {"": value} if std is None else {"": value, "_std": std}
        found: Interval | None = None
        if influences is not None and name.n is not None:
            if isinstance(influences, Tensor) and influences.dtype == torch.bool:
                found = share_interval(value, n=count or name.n)
            else:
                single = Influences(influences) if isinstance(influences, Tensor) else influences
                found = interval(value, single, n=name.n, seed=rng.derive(self.seed, "bootstrap"))
        if found is not None and found.se > 0:  # an interval of one point would claim certainty
            details |= {f"_{part}": number for part, number in found._asdict().items()}
        return {str(name.beside(ending)): number for ending, number in details.items()}


class Score(ABC):
    """One score of samples: computes values of its kinds; knows neither models nor configurations.

    A new score is a subclass in a file of its own and a YAML file in conf/scores. Kinds that are not in
    `KINDS` are declared beside it, and a run records them for reports.
    """

    key: str
    """Its name under `scores` in the configuration, and that of its YAML file."""
    kinds: tuple[Kind, ...] = ()
    """Of the values that it computes: entries of `KINDS`, or its own, which a run records for reports."""
    smallest: int = 2
    """The fewest images that it can be computed on."""
    on_features: bool = True
    """False where it looks at images alone, so that another feature network gives no other value."""
    by_validation: bool = True
    """False where it needs the training or the test images, so that it has no value on those of a validation,
    by which weights are chosen and targets are checked."""

    def fault(self, source: ImageSource) -> str:
        """Say why the score cannot be computed on images of a source, with the remedy, in words for the user;
        "" where it can, as by default. Asked before any work.
        """
        return ""

    @abstractmethod
    def compute(self, drawn: Drawn, references: Sequence[Reference]) -> dict[str, float]:
        """Values of the samples under their full names, see `Drawn.scored`.

        Empty where what the score needs, such as labels, a split or a known distribution, is not there.
        """

    def lacks(self, source: ImageSource, *, conditional: bool) -> str | None:
        """Name what the score needs and a run on this data has not, so that it has no value there; None, by
        default, where nothing is known to be missing. conditional: the samples have labels.
        """
        return None


class Distance(Score):
    """A score that compares samples with each reference separately, so that it has a value for each split; a
    subclass implements `distance`, the comparison with one of them.
    """

    def compute(self, drawn: Drawn, references: Sequence[Reference]) -> dict[str, float]:
        found = (self.distance(drawn, reference) for reference in references)
        return {name: value for values in found for name, value in values.items()}

    @abstractmethod
    def distance(self, drawn: Drawn, reference: Reference) -> dict[str, float]:
        """Compare samples with one reference: values under their full names, which hold its split, see
        `Drawn.scored`; empty where what the score needs, such as labels, is not there.
        """


def of_split(references: Sequence[Reference], split: str) -> Reference | None:
    """Find the reference of a split, "train" or "test", among several.

    None where it is not there, so that a score that needs it has no value.
    """
    return next((reference for reference in references if reference.split == split), None)
