"""Facts of the feature networks that come with genbench, which records of strangers must agree with."""

import math
from collections.abc import Mapping

from genbench.records.feature_network import FeatureNetwork, wilson

__all__ = ["SHIPPED", "check_stated"]

ROOM = 0.005
"""Difference of two accuracies of one network: machines round logits, and one digit is 0.003 of all."""
EXACT = ("kind", "trained_on", "training_images", "classes", "images_seen")
MEASURED = ("accuracy", "accuracy_low", "accuracy_high")


def shipped(name: str, images: int, classes: int, held_out: str, right: int, n: int) -> FeatureNetwork:
    """Return the facts of a classifier that was trained on `images` images of the set `name`, and finds the
    class of `right` of n images of the split held_out.
    """
    return FeatureNetwork("classifier", name, images, classes, right / n, *wilson(right, n), held_out, n)


PLACES = "test, single places"
SHIPPED: Mapping[str, FeatureNetwork] = {
    "digits-cnn-v1": shipped("digits", 1438, 10, "digits, test", 357, 359),
    "fashion-mnist-cnn-v1": shipped("fashion_mnist", 60_000, 10, "fashion_mnist, test", 9313, 10_000),
    "captioned-cnn-v1": shipped("captioned", 20_000, 21, f"captioned, {PLACES}", 7973, 8000),
    "captioned-fashion-mnist-cnn-v1": shipped(
        "captioned_fashion_mnist", 20_000, 21, f"captioned_fashion_mnist, {PLACES}", 7158, 8000
    ),
}
"""By the protocol of their features; held-out images are those of their own data sets."""


def check_stated(networks: Mapping[str, FeatureNetwork]) -> None:
    """Raise ValueError where a record of feature networks, by protocol, cannot be true: an accuracy outside
    its own interval, or facts of a shipped network that are not those of `SHIPPED`.
    """
    for protocol, network in networks.items():
        share, low, high = (getattr(network, name) for name in MEASURED)
        if None not in (share, low, high) and not low - 1e-9 <= share <= high + 1e-9:
            raise ValueError(f"the accuracy of {protocol[:80]}, {share}, is outside its interval")
        if protocol in SHIPPED and not agree(network, SHIPPED[protocol]):
            raise ValueError(
                f"it says of {protocol} what is not so: genbench ships {SHIPPED[protocol].words}"
            )


def agree(stated: FeatureNetwork, known: FeatureNetwork) -> bool:
    """True where a record has the facts of a network that is known; it may lack what was measured, as on
    images of other sets.
    """
    exact = EXACT if stated.accuracy is None else (*EXACT, "held_out", "held_out_images")
    return all(getattr(stated, name) == getattr(known, name) for name in exact) and all(
        getattr(stated, name) is None
        or math.isclose(getattr(stated, name), getattr(known, name), rel_tol=0, abs_tol=ROOM)
        for name in MEASURED
    )
