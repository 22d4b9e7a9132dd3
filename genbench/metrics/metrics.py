"""The settings of an evaluation: which scores, on which features, of how many images."""

import copy
from collections.abc import Sequence

import torch

from genbench.data import ImageData, ImageSource
from genbench.metrics.features.extractor import FeatureExtractor, FeatureSource, MissingWeights, Pilot
from genbench.metrics.scores.fd_exact import ExactFD
from genbench.metrics.scores.fid import FID
from genbench.metrics.scores.inception_score import InceptionScore
from genbench.metrics.scores.kid import KID
from genbench.metrics.scores.modes import Modes
from genbench.metrics.scores.precision_recall import Manifold
from genbench.metrics.scores.score import Score
from genbench.records.metric_kinds import Kind
from genbench.runtime.progress import Progress

__all__ = ["STANDARD", "Metrics"]

STANDARD: tuple[Score, ...] = (InceptionScore(), FID(), KID(), Manifold(), Modes(), ExactFD())
"""The scores that are taken where no others are named."""
MOST_AT_ONCE = 100_000
"""Images of a batch; only small networks on small images have memory for so many."""
MOST_SAMPLES = 10_000_000
"""Samples of an evaluation, 200 times as many as published ones take; more would take weeks."""


OF_LAWS = ("modes", "fd_exact")
"""Scores of a known distribution, without a value on images of a folder."""
FEW_IMAGES = 500
"""Images of a set that is read in a few seconds."""


class Metrics:
    """The settings of an evaluation.

    features: of the scores, None where none are taken. more_features: further networks for the scores that
    are taken on features, in the same pass over the images.
    scores: that samples are given; without any, none are drawn.
    samples: how many images are drawn, None for as many as the test split has.
    likelihood_samples: how many test images likelihood and reconstruction are measured on, None for all, 0
    for neither.
    Raises ValueError on settings that no score can be taken under.
    """

    def __init__(
        self,
        features: FeatureSource | None = None,
        *,
        more_features: Sequence[FeatureSource] = (),
        scores: Sequence[Score] = STANDARD,
        samples: int | None = None,
        likelihood_samples: int | None = None,
        batch_size: int = 256,
    ) -> None:
        if scores and features is None:
            raise ValueError("metrics.features is null, and scores need features: use metrics=standard")
        if likelihood_samples is not None and likelihood_samples < 0:
            raise ValueError(
                f"metrics.likelihood_samples is {likelihood_samples}; it must be 0 (none) or more, "
                "or null for all"
            )
        if not 1 <= batch_size <= MOST_AT_ONCE:
            raise ValueError(
                f"metrics.batch_size is {batch_size}; it must be 1 or more, and at most {MOST_AT_ONCE:,}"
            )
        if more_features and not scores:
            raise ValueError("metrics.more_features is of scores, and there are none: leave it out")
        self.features = features
        self.more_features = more_features
        self.scores = scores
        self.samples = samples
        self.likelihood_samples = likelihood_samples
        self.batch_size = batch_size
        if samples is not None:
            check_most("metrics.samples", samples)
            self.check_count(samples, f"metrics.samples is {samples}", "draw more")

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of numbers that the scores compute, in the order of the scores; kinds that another
        package declares are among them, so that a run can record their titles for reports.
        """
        return tuple(kind for score in self.scores for kind in score.kinds)

    def of_size(self, n: int | None, key: str = "n") -> "Metrics":
        """Copy the settings, with n samples instead of `samples`, for an evaluation of another size; None for
        as many as the test split has. key: the setting or option that asks for n, for messages.

        Raises ValueError where n is too small for a score, or where there are no scores.
        """
        if not self.scores:
            typed = "--set metrics=standard" if key.startswith("--") else "metrics=standard"
            raise ValueError(f"there are no scores to evaluate samples by: use {typed}")
        if n is not None:
            check_most(key, n)
            self.check_count(n, f"{key} is {n}", "take more")
        same = copy.copy(self)  # shallow: scores and the recipe of the features are the same
        same.samples = n
        return same

    def with_score(self, score: Score) -> "Metrics":
        """Copy the settings, with one more score beside the others, of the same samples and features."""
        same = copy.copy(self)
        same.scores = (*self.scores, score)
        return same

    def check_count(self, n: int, fact: str, remedy: str, option: str = "") -> None:
        """Raise ValueError where n images are too few for one of the scores; the message begins with `fact`,
        names the score and its least number, and offers `remedy` and the scores that n images suffice for.
        option: what stands before a setting where it is typed, such as "--set ".
        """
        # The most demanding score decides, and the message names it.
        needed = self.needed
        if n < needed:
            key = next(score.key for score in self.scores if score.smallest == needed)
            enough = (score.key for score in self.scores if score.smallest <= n)
            possible = ",".join(key for key in enough if key not in OF_LAWS)
            others = f", or use {option}'scores=[{possible}]'" if possible else ""
            raise ValueError(f"{fact}; scores.{key} needs {needed} or more: {remedy}{others}")

    @property
    def needed(self) -> int:
        """The number of images that the most demanding of the scores needs; 0 without scores."""
        return max((score.smallest for score in self.scores), default=0)

    def check_splits(self, source: ImageSource, option: str = "") -> None:
        """Raise ValueError where a split has too few images: of test images as many are scored beside the
        samples as these need, and training images are what both are compared with.
        option: what stands before a setting where it is typed.
        """
        count, more = source.counts(), source.hold_out(self.needed)
        few_train = bool(self.scores) and count["train"] < Score.smallest
        if few_train or count["test"] < self.needed:
            read_few(source)
        self.check_count(
            count["test"],
            f"the test split of {source.name} has {in_words(count['test'])}",
            f"hold out more by {option}{more}, or add images" if more else "add images",
            option,
        )
        if few_train:
            raise ValueError(
                f"the training split of {source.name} has {in_words(count['train'])}, and scores compare "
                f"samples with {Score.smallest} or more: add images, or use metrics=likelihood"
            )

    def check_source(self, source: ImageSource, option: str = "") -> None:
        """Raise ValueError or MissingWeights where the feature network cannot be had or cannot take images of
        this source, ValueError where a score cannot be computed on them, or there are too few; called before
        its images are decoded, so that no run fails after its training. option: what stands before a setting
        where it is typed.
        """
        if fault := next(filter(None, (score.fault(source) for score in self.scores)), ""):
            raise ValueError(fault)
        if self.features is not None:
            self.check_splits(source, option)
            try:
                for features in (self.features, *self.more_features):
                    features.check(source)
            except MissingWeights:
                read_few(source)  # an image that cannot be read is mended before weights are looked for
                raise

    def check_data(self, data: ImageData) -> None:
        """Raise ValueError where the test split of the prepared data has fewer images than a score needs,
        since held-out images are scored beside the samples.
        """
        fact = f"the test split of {data.name} has {in_words(len(data.test))}"
        self.check_count(len(data.test), fact, "add images")

    def extractor(self, data: ImageData, *, device: torch.device, progress: Progress) -> FeatureExtractor:
        """Build the feature network for this data on a device, trained or downloaded where it must be, with a
        bar in `progress`.

        Its `others` are the further networks; one that is given twice is taken once. Raises ValueError where
        there are no features, as under metrics=none.
        """
        if self.features is None:
            raise ValueError("metrics.features is null: there are no scores without; use metrics=standard")
        first = self.features.build(data, device=device, progress=progress)
        others = [x.build(data, device=device, progress=progress) for x in self.more_features]
        named = {extractor.protocol: extractor for extractor in (*others, first)}
        first.others = [extractor for extractor in named.values() if extractor is not first]
        return first

    def pilot(self, data: ImageData, *, device: torch.device) -> Pilot:
        """Make the networks for an estimate, see `FeatureSource.pilot`: the first with the `others`, and what
        training them takes together. Raises MissingWeights as `check_source` does.
        """
        assert self.features is not None
        pilots = [features.pilot(data, device=device) for features in (self.features, *self.more_features)]
        extractor, *others = (pilot.extractor for pilot in pilots)
        extractor.others = others
        images, seconds = (sum(numbers) for numbers in zip(*(pilot[1:] for pilot in pilots), strict=True))
        return Pilot(extractor, int(images), seconds)


def in_words(n: int) -> str:
    """Write a number of images for a message: "1 image", "18 images"."""
    return f"{n:,} image{'' if n == 1 else 's'}"


def read_few(source: ImageSource) -> None:
    """Read all images of a small set. Raises ValueError where some cannot be read, which is said before
    a fault of the whole set; of a larger set this would take too long.
    """
    if sum(source.counts().values()) <= FEW_IMAGES:
        for split in source.counts():
            for _ in source.decode(split):
                pass


def check_most(key: str, n: int) -> None:
    """Raise ValueError on more samples than an evaluation can take; key: what asks for n, for the message."""
    if n > MOST_SAMPLES:
        raise ValueError(f"{key} is {n}; it must be {MOST_SAMPLES:,} or less")
