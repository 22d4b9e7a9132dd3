"""The classification accuracy score: classifiers trained on samples and on real images."""

from dataclasses import replace

import pytest
import torch

from genbench.data import ImageData, Split
from genbench.metrics import ClassificationAccuracy, Drawn, Reference
from genbench.metrics.features import cnn
from genbench.metrics.scores.classification_accuracy import accuracy_after
from genbench.runtime.progress import Progress
from tests.metrics.sets import correlated, drawn_of, reference_of

SEEN = 3200


def samples(digits: ImageData, n: int) -> tuple[Drawn, list[Reference]]:
    x = correlated(n, 4, 0)
    drawn = replace(drawn_of(x), images=digits.train.images[:n], labels=digits.train.labels[:n])
    splits = {"train": digits.train, "test": digits.test}
    return drawn, [reference_of(x, name)._replace(images=split) for name, split in splits.items()]


def test_training_images_score_as_real_ones_and_wrong_classes_below_chance(digits: ImageData) -> None:
    drawn, references = samples(digits, len(digits.train))
    found = ClassificationAccuracy(SEEN).compute(drawn, references)
    assert list(found) == [
        "cas[pixels,n=1438,seen=3200,ema]",
        "cas_real[pixels,n=1438,seen=3200,ema]",
    ]
    cas, real = found.values()
    assert real > 0.8
    assert cas == real  # of the same images in the same order
    assert drawn.labels is not None
    wrong = (drawn.labels + 1) % 10
    assert accuracy_after(Split(drawn.images, wrong), digits.test, images_seen=SEEN) < 0.1


def test_it_is_the_accuracy_of_the_classifier_of_features_trained_on_these_images(digits: ImageData) -> None:
    few = Split(digits.train.images[:100], digits.train.labels[:100])
    network = cnn.fit(replace(digits, train=few, undivided=None), images=640, seed=0, progress=Progress(None))
    found = accuracy_after(few, digits.test, images_seen=640)
    assert found == cnn.accuracy(network.eval(), digits.test)


def test_it_leaves_the_global_generator_alone(digits: ImageData) -> None:
    before = torch.get_rng_state()
    ClassificationAccuracy(64).compute(*samples(digits, 20))
    assert torch.equal(torch.get_rng_state(), before)


def test_samples_without_classes_have_no_value(digits: ImageData) -> None:
    drawn, references = samples(digits, 20)
    assert ClassificationAccuracy(64).compute(replace(drawn, labels=None), references) == {}
    assert ClassificationAccuracy(64).compute(drawn, references[:1]) == {}
    assert ClassificationAccuracy(64).compute(replace(drawn, captions=["a"] * 20), references) == {}


def test_fewer_images_than_a_batch_are_refused() -> None:
    with pytest.raises(ValueError, match=r"scores\.cas\.images is 63; it must be from 64"):
        ClassificationAccuracy(63)
