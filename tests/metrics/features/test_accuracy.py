"""The accuracy of a feature network: measured on images that it was not trained on, once, and cached."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from genbench.data import Gaussians, ImageData, Split, prepare
from genbench.metrics import ClassifierFeatures, DigitsFeatures, FeatureExtractor, LawFeatures
from genbench.metrics.cache import load
from genbench.metrics.features.accuracy import described
from genbench.metrics.features.inception import InceptionExtractor, empty_network
from genbench.records.feature_network import FeatureNetwork
from genbench.runtime.progress import Progress

CPU = torch.device("cpu")
QUIET = Progress(None)


def of(extractor: FeatureExtractor, data: ImageData) -> FeatureNetwork:
    found = described(extractor, data, device=CPU, progress=QUIET)
    assert found is not None
    return found


def shipped(data: ImageData) -> FeatureExtractor:
    return DigitsFeatures().build(data, device=CPU, progress=QUIET)


def permuted(split: Split) -> Split:
    """The same images with each other's labels."""
    assert split.labels is not None
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))
    return Split(split.images, split.labels[order])


def test_the_shipped_network_has_the_accuracy_and_the_training_that_its_record_states(
    digits: ImageData, cache: Path
) -> None:
    found = of(shipped(digits), digits)
    assert found.accuracy == load(DigitsFeatures().path).facts["accuracy"]
    assert (found.trained_on, found.training_images, found.classes) == ("digits", len(digits.train), 10)
    assert (found.held_out, found.held_out_images) == ("digits, test", 359)
    assert found.accuracy_low < found.accuracy < found.accuracy_high
    assert not found.is_weak


def test_a_network_of_one_step_is_near_chance_and_weak(digits: ImageData, cache: Path) -> None:
    found = of(ClassifierFeatures(64).build(digits, device=CPU, progress=QUIET), digits)
    assert found.accuracy < 0.45  # 0.1 of 10 classes, and what one step teaches
    assert found.is_weak
    assert found.training_images == found.images_seen == 64
    assert 0 < found.training_accuracy < 0.5  # on the training split, to tell what would help


def test_a_network_that_knows_its_training_images_alone_is_told_so(digits: ImageData, cache: Path) -> None:
    swapped = replace(digits, test=permuted(digits.test))
    found = of(shipped(digits), swapped)
    assert found.is_weak
    assert found.training_accuracy > 0.98
    assert "only more labelled images help" in found.weakness


def test_a_network_that_has_seen_enough_is_not_weak(digits: ImageData, cache: Path) -> None:
    found = of(ClassifierFeatures(6400).build(digits, device=CPU, progress=QUIET), digits)
    assert found.accuracy > 0.9
    assert not found.is_weak
    assert found.training_images == len(digits.train)


def test_it_is_measured_on_the_test_split_and_not_on_training_images(digits: ImageData, cache: Path) -> None:
    """Other labels of the test images cost the accuracy, those of training images nothing."""
    extractor, known = shipped(digits), of(shipped(digits), digits).accuracy
    wrong_train = replace(digits, train=permuted(digits.train), key="a")
    wrong_test = replace(digits, test=permuted(digits.test), key="b")
    assert of(extractor, wrong_train).accuracy == known
    assert of(extractor, wrong_test).accuracy < 0.2


def test_it_is_measured_once_for_the_same_weights_and_data(
    digits: ImageData, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extractor = shipped(digits)
    first = of(extractor, digits)
    monkeypatch.setattr(type(extractor), "extract", None)  # a second measurement would fail
    assert of(extractor, digits) == first
    (path,) = (cache / "features").glob("*accuracy*.safetensors")
    path.write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(TypeError):
        of(extractor, digits)


def test_the_accuracy_on_another_set_is_not_known(digits: ImageData, cache: Path) -> None:
    """Its classes have another meaning there, be they as many."""
    found = of(shipped(digits), replace(digits, name="others"))
    assert found.accuracy is None
    assert (found.trained_on, found.is_weak) == ("digits", False)


def test_the_exact_posterior_has_the_bayes_accuracy_which_is_near_1_for_pictures_far_apart(
    tmp_path: Path, cache: Path
) -> None:
    data = prepare(Gaussians(classes=3, train=50, test=200), progress=QUIET, cache=tmp_path)
    found = of(LawFeatures().build(data, device=CPU, progress=QUIET), data)
    assert found.kind == "exact posterior"
    assert found.accuracy > 0.99
    assert found.trained_on is None


def test_a_published_network_has_none(digits: ImageData) -> None:
    extractor = InceptionExtractor(empty_network(), "0" * 64, 1)
    assert of(extractor, digits) == FeatureNetwork("published network")


def test_a_classifier_is_ready_once_it_was_trained_for_these_data(digits: ImageData, cache: Path) -> None:
    features = ClassifierFeatures(64)
    assert not features.is_ready(digits)
    features.build(digits, device=CPU, progress=QUIET)
    assert features.is_ready(digits)
    assert not ClassifierFeatures(128).is_ready(digits)
