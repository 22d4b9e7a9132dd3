"""The settings of an evaluation, and what importing them costs."""

from collections.abc import Callable

import pytest
import torch

from genbench.data import Digits, ImageData, Split
from genbench.metrics import (
    FID,
    KID,
    DigitsFeatures,
    FIDInfinity,
    InceptionScore,
    Manifold,
    Metrics,
    NearestImage,
    Score,
    SlicedWasserstein,
)
from genbench.runtime.progress import Progress


def few(n: int) -> ImageData:
    split = Split(torch.zeros(n, 1, 8, 8, dtype=torch.uint8), None)
    return ImageData("few", split, split, (), 0, False, "key", (1, 8, 8))


def test_as_many_samples_as_the_test_split_is_the_default() -> None:
    assert Metrics(DigitsFeatures()).samples is None


@pytest.mark.parametrize(
    "wrong",
    [{"samples": 19}, {"batch_size": 0}, {"likelihood_samples": -1}],
)
def test_settings_that_no_score_can_be_taken_under_are_refused_with_the_legal_range(
    wrong: dict[str, int],
) -> None:
    with pytest.raises(ValueError, match=r"and above|or more"):
        Metrics(DigitsFeatures(), **wrong)


def test_a_test_split_too_small_to_score_is_refused_before_training() -> None:
    data = few(6)
    with pytest.raises(ValueError, match=r"test split of few has 6 images; scores.is needs 20 or more"):
        Metrics(DigitsFeatures()).check_data(data)
    Metrics(DigitsFeatures(), scores=[InceptionScore(splits=3)]).check_data(data)


class Few(Digits):
    """Digits that say how many they are, train and test."""

    def __init__(self, train: int, test: int) -> None:
        super().__init__()
        self.train, self.test = train, test

    def counts(self) -> dict[str, int]:
        return {"train": self.train, "test": self.test}


def test_splits_too_small_to_score_are_refused_before_images_are_decoded() -> None:
    with pytest.raises(ValueError, match=r"test split of digits has 6 images; scores.is needs 20 or more"):
        Metrics(DigitsFeatures()).check_source(Few(6, 6))
    scores = [InceptionScore(splits=3)]
    Metrics(DigitsFeatures(), scores=scores).check_source(Few(6, 6))
    with pytest.raises(ValueError, match=r"training split of digits has 1 image, .* 2 or more: add images"):
        Metrics(DigitsFeatures(), scores=scores).check_source(Few(1, 6))
    Metrics(None, scores=()).check_source(Few(1, 1))


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: InceptionScore(splits=1), "scores.is.splits is 1"),
        (lambda: KID(subsets=0), "scores.kid.subsets is 0"),
        (lambda: KID(subset_size=1), "subset_size is 1"),
        (lambda: Manifold(neighbours=0), "scores.precision_recall.neighbours is 0"),
        (lambda: FIDInfinity(sizes=2), "scores.fid_inf.sizes is 2"),
        (lambda: FIDInfinity(share=0.0), "scores.fid_inf.share is 0.0"),
        (lambda: SlicedWasserstein(directions=0), "scores.swd.directions is 0"),
        (lambda: NearestImage(samples=1), "scores.nearest.samples is 1"),
    ],
)
def test_a_score_refuses_its_settings_under_their_key(make: Callable[[], Score], key: str) -> None:
    with pytest.raises(ValueError, match=key):
        make()


def test_fewer_samples_than_a_score_needs_are_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match=r"metrics.samples is 19; scores.is needs 20 or more"):
        Metrics(DigitsFeatures(), samples=19)
    Metrics(DigitsFeatures(), scores=[FID()], samples=2)
    with pytest.raises(ValueError, match=r"scores.fid needs 2"):
        Metrics(DigitsFeatures(), scores=[FID()], samples=1)


def test_scores_need_features_and_no_scores_need_none() -> None:
    with pytest.raises(ValueError, match="use metrics=standard"):
        Metrics()
    nothing = Metrics(scores=[], samples=1)
    nothing.check_source(Digits())
    with pytest.raises(ValueError, match="no scores without"):
        nothing.extractor(few(6), device=torch.device("cpu"), progress=Progress(None))
