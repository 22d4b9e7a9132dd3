"""What tells copies from new images: the gap between splits, authenticity, nearest images."""

from dataclasses import replace

import pytest
import torch

from genbench.data import Split
from genbench.metrics import (
    Authenticity,
    FIDGap,
    Moments,
    NearestImage,
    Reference,
    frechet_distance,
    nearest_features,
    nearest_images,
)
from genbench.metrics.scores.authenticity import authentic
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


def test_authenticity_worked_out_by_hand() -> None:
    real = torch.tensor([[0.0], [1.0], [5.0]])  # nearest others at 1, 1 and 4
    fake = torch.tensor([[0.4], [2.5], [8.0], [10.0], [5.0]])
    # 0.4 from 0, 1.5 from 1, 3 from 5, 5 from 5, 0 from 5
    assert authentic(real, fake).tolist() == [False, True, False, True, False]


def test_authenticity_equals_a_search_over_all_pairs() -> None:
    real, fake = TRAIN, correlated(700, 6, 5)
    among = torch.cdist(real, real).fill_diagonal_(torch.inf).min(1).values
    distances, index = torch.cdist(fake, real).min(1)
    assert torch.equal(authentic(real, fake), distances > among[index])
    assert torch.equal(nearest_features(real, fake)[1], index)


def test_copies_have_no_authenticity_even_with_small_changes_and_strangers_have_all() -> None:
    noise = 1e-3 * correlated(300, 6, 6)
    shares = [
        next(iter(Authenticity().compute(drawn_of(x), REFERENCES).values()))
        for x in (TRAIN, TRAIN + noise, TRAIN + 100)
    ]
    assert shares == [0.0, 0.0, 1.0]


def pictures(n: int, seed: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 1, 4, 4), generator=rng, dtype=torch.uint8)


def seen(images: torch.Tensor, split: str) -> Reference:
    return reference_of(TRAIN, split)._replace(images=Split(images, None))


def test_the_nearest_image_is_that_of_a_search_over_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = pictures(90, 0), pictures(40, 1)
    distances = torch.cdist(fake.flatten(1).double(), real.flatten(1).double()) / 255 / 16**0.5
    expected = distances.min(1)
    for block in (7, 2048):
        monkeypatch.setattr("genbench.metrics.scores.nearest.BLOCK", block)
        found, index = nearest_images(Split(real, None), fake)
        torch.testing.assert_close(found, expected.values, rtol=1e-12, atol=0)
        assert torch.equal(index, expected.indices)


def test_copies_lie_at_0_and_new_images_as_far_as_held_out_ones() -> None:
    train, test = pictures(200, 2), pictures(150, 3)
    references = [seen(train, "train"), seen(test, "test")]
    for images, ratio in ((train[:50], 0.0), (pictures(150, 4), 1.0)):
        samples = drawn_of(correlated(len(images), 6, 0))
        found = NearestImage().compute(replace(samples, images=images), references)
        n = len(images)
        values = {
            name: value for name, value in found.items() if name.startswith(("nearest[", "nearest_ratio["))
        }
        assert list(values) == [
            f"nearest[pixels,n={n},among=200,ref=train,ema]",
            f"nearest_ratio[pixels,n={n},among=200,ref=train,ema]",
        ]
        assert list(values.values())[1] == pytest.approx(ratio, abs=0.03)  # of 150: a deviation of 0.006


def test_no_more_samples_are_compared_than_asked_for() -> None:
    references = [seen(pictures(60, 2), "train")]
    samples = drawn_of(correlated(50, 6, 0))
    found = NearestImage(samples=20).compute(replace(samples, images=pictures(50, 1)), references)
    assert all(name.partition("[")[2].startswith("pixels,n=20,") for name in found)
