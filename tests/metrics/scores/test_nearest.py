"""The nearest training images of samples, in pixels and in features."""

from dataclasses import replace

import pytest
import torch

from genbench.data import Split
from genbench.metrics import (
    NearestImage,
    Reference,
    nearest_images,
)
from tests.metrics.sets import correlated, drawn_of, reference_of

TRAIN, TEST = correlated(300, 6, 0), correlated(120, 6, 1)
REFERENCES = [reference_of(TRAIN), reference_of(TEST, "test")]


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
