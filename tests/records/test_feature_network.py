"""The record of the network behind the scores of a result, and when that is weak."""

from dataclasses import replace

import pytest

from genbench.records.feature_network import (
    FeatureNetwork,
    merged_networks,
    recorded_networks,
    to_record,
    wilson,
)
from genbench.records.result import Result

GOOD = FeatureNetwork("classifier", "digits", 1438, 10, 0.994, 0.98, 0.998, "digits, test", 359)


def classifier(accuracy: float | None, classes: int = 10) -> FeatureNetwork:
    return FeatureNetwork("classifier", classes=classes, accuracy=accuracy)


def test_the_interval_is_wilsons() -> None:
    """Both ends p solve (p - correct/n)^2 = z^2 p (1 - p) / n."""
    for correct, n in ((357, 359), (1, 4), (50, 100)):
        for end in wilson(correct, n):
            z = 1.959963984540054
            assert (end - correct / n) ** 2 == pytest.approx(z * z * end * (1 - end) / n, rel=1e-9)
    assert wilson(0, 10)[0] == pytest.approx(0, abs=1e-12)
    assert wilson(10, 10)[1] == pytest.approx(1)


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_a_classifier_that_guesses_is_weak_and_one_without_errors_is_not(classes: int) -> None:
    assert classifier(1 / classes, classes).is_weak
    assert not classifier(1.0, classes).is_weak
    least = classifier(None, classes).least_accuracy
    assert least is not None
    assert not classifier(least, classes).is_weak
    assert classifier(least - 1e-9, classes).is_weak


def test_the_least_accuracy_is_relative_to_guessing() -> None:
    """60 % is far from a guess of 100 classes and near one of 2."""
    least = [classifier(None, classes).least_accuracy for classes in (2, 10, 100)]
    assert least == pytest.approx([0.9, 0.82, 0.802])


def test_what_is_not_known_or_not_trained_is_not_called_weak() -> None:
    assert not classifier(None).is_weak
    assert not FeatureNetwork("published network").is_weak
    assert not FeatureNetwork("exact posterior", classes=10, accuracy=0.3).is_weak
    assert GOOD.weakness == ""


def test_its_words_state_training_accuracy_interval_and_count() -> None:
    assert GOOD.words == (
        "features of a classifier trained on 1,438 images of digits (train): accuracy 99.4 % [98.0, 99.8] on "
        "359 held-out images (digits, test)."
    )
    assert "accuracy n/a" in FeatureNetwork("published network").words
    assert "accuracy n/a" in FeatureNetwork("classifier", "digits", 1438, 10).words
    assert "82.0 %" in classifier(0.5).weakness
    assert "features.images" in classifier(0.5).weakness


def test_longer_training_is_advised_only_where_training_images_are_not_known_yet() -> None:
    assert "train it longer" in replace(classifier(0.5), training_accuracy=0.9).weakness
    learned = replace(classifier(0.5), training_accuracy=1.0).weakness
    assert "train it longer" not in learned
    assert "100.0 % of its training images, so that only more labelled images help" in learned


@pytest.mark.parametrize(("low", "is_guess"), [(0.05, True), (0.1, True), (0.11, False)])
def test_an_interval_that_reaches_down_to_guessing_is_called_so(low: float, is_guess: bool) -> None:
    words = replace(classifier(0.25), accuracy_low=low, accuracy_high=0.5).weakness
    assert ("no better than guessing among 10 classes" in words) == is_guess
    assert ("four fifths" in words) != is_guess


def test_images_seen_are_stated_and_stand_in_the_records_of_those_that_have_them() -> None:
    network = replace(classifier(0.5), trained_on="digits", training_images=64, images_seen=640)
    assert "trained on 64 images of digits (train), 640 seen in all:" in network.words
    record = to_record({"a": network, "b": classifier(0.5)})
    assert record["a"]["images_seen"] == 640
    assert "images_seen" not in record["b"]
    assert recorded_networks({"feature_networks": record}) == {"a": network, "b": classifier(0.5)}


def test_a_network_comes_back_from_its_record_and_a_result_without_any_has_none() -> None:
    record = to_record({"f": GOOD})
    assert recorded_networks({"feature_networks": record}) == {"f": GOOD}
    record["f"]["of_a_later_version"] = 1
    assert Result.of({"feature_networks": record}).feature_networks == {"f": GOOD}
    assert Result.of({}).feature_networks == {}
    assert "feature_networks" not in Result().to_record()


@pytest.mark.parametrize(
    "found",
    [
        [],
        {"f": 1},
        {"f": {}},
        {"f": {"kind": "classifier", "accuracy": 1.5}},
        {"f": {"kind": "classifier", "accuracy": "nan"}},
        {"f": {"kind": "classifier", "accuracy": float("nan")}},
        {"f": {"kind": "classifier", "accuracy": True}},
        {"f": {"kind": "classifier", "classes": -1}},
        {"f": {"kind": "classifier", "training_images": 1.5}},
        {"f": {"kind": "a\nb"}},
        {"f": {"kind": "x" * 201}},
        {str(i): {"kind": "classifier"} for i in range(101)},
    ],
    ids=range(12),
)
def test_a_record_of_what_is_no_network_is_refused(found: object) -> None:
    with pytest.raises(ValueError, match=r"feature network|feature_networks"):
        recorded_networks({"feature_networks": found})


def test_of_two_accuracies_the_lower_one_is_stated() -> None:
    low, high = classifier(0.5), classifier(0.9)
    assert merged_networks([{"f": high}, {"f": low}, {"f": classifier(None)}]) == {"f": low}
    assert merged_networks([{"f": low}, {"f": high}]) == {"f": low}
