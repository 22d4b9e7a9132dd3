"""The gap between the distances to both splits, which copies of training images widen."""

import pytest
import torch

from genbench.metrics import (
    Authenticity,
    FIDGap,
    Moments,
    NearestImage,
    frechet_distance,
)
from tests.metrics.sets import correlated, drawn_of, reference_of

TRAIN, TEST = correlated(300, 6, 0), correlated(120, 6, 1)
REFERENCES = [reference_of(TRAIN), reference_of(TEST, "test")]


def test_the_gap_is_the_difference_of_distances_to_equally_many_images_of_both_splits() -> None:
    x = correlated(200, 6, 2)
    (name, gap), *_ = FIDGap().compute(drawn_of(x), REFERENCES).items()
    assert name == "fid_gap[f,n=200,among=120,ref=test-train,ema]"
    part = TRAIN[torch.randperm(300, generator=torch.Generator().manual_seed(0))[:120]]
    far, near = (frechet_distance(Moments.of(x), Moments.of(real)) for real in (TEST, part))
    assert gap == pytest.approx(far - near, rel=1e-12)


def test_the_gap_of_new_samples_is_0_on_average_and_that_of_copies_is_above() -> None:
    new, copied = [], []
    for seed in range(60):
        train, test = correlated(300, 6, 3 * seed), correlated(100, 6, 3 * seed + 1)
        references = [reference_of(train), reference_of(test, "test")]
        for gaps, x in ((new, correlated(100, 6, 3 * seed + 2)), (copied, train[:250])):
            gaps.append(next(iter(FIDGap().compute(drawn_of(x), references).values())))
    new, copied = torch.tensor(new), torch.tensor(copied)
    error = float(new.std()) / 60**0.5
    assert abs(float(new.mean())) < 5 * error  # a false alarm below 1e-6
    assert float(copied.mean()) > 5 * float(copied.std()) / 60**0.5


def test_a_gap_needs_both_splits() -> None:
    assert FIDGap().compute(drawn_of(TEST), REFERENCES[:1]) == {}
    assert Authenticity().compute(drawn_of(TEST), REFERENCES[1:]) == {}
    assert NearestImage().compute(drawn_of(TEST), REFERENCES[1:]) == {}
