"""The feature network that a run was scored by: its training, and its accuracy as a classifier.

Distances on features of a classifier that does not know its classes order sets of images no better than those
of random weights; so every result states the accuracy, and reports mark what a weak network gave.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

__all__ = ["WEAK_SIGN", "FeatureNetwork", "merged_networks", "recorded_networks", "to_record", "wilson"]

LEAST_SKILL = 0.8
"""Share of the way from guessing (0) to no error (1) below which a classifier is weak.

Measured by classifiers of 20 to all training images on the 300 pairs of 25 sets of real images that were
spoiled (noise, blur, contrast, mixed, patched, classes left out). Share of the pairs that they order unlike
the shipped network, on digits and Fashion-MNIST: untrained 12 % and 25 %; skill 0.67 to 0.73 10 to 14 % and
18 %; 0.78 to 0.83 4 to 6 % and 7 to 17 %; best 1 to 2 % (skill 0.98) and 5 % (0.87).
"""
LEARNED = 0.98
"""Share of its training images from which on a classifier has no more to learn from them."""
WEAK_SIGN = "†"
RARE = ("images_seen", "training_accuracy")
MOST = 100  # networks that one record may bring
LONGEST_WORD = 200  # characters


@dataclass(frozen=True)
class FeatureNetwork:
    """A feature network as a result states it; None is unknown, or does not exist.

    kind: "classifier", "published network" or "exact posterior". trained_on: the data set, training_images:
    how many different images of its training split. classes: that it knows. accuracy: share of
    held_out_images images of the split held_out, none of them trained on, whose class it finds;
    accuracy_low, accuracy_high: its 95 % interval (Wilson). images_seen: how many images its training took,
    repeated ones counted anew. training_accuracy: the share of its training images whose class it finds,
    measured where it is weak.
    Raises ValueError on anything else, for records of runs may come from anybody.
    """

    kind: str
    trained_on: str | None = None
    training_images: int | None = None
    classes: int | None = None
    accuracy: float | None = None
    accuracy_low: float | None = None
    accuracy_high: float | None = None
    held_out: str | None = None
    held_out_images: int | None = None
    images_seen: int | None = None
    training_accuracy: float | None = None

    def __post_init__(self) -> None:
        for name in ("kind", "trained_on", "held_out"):
            word = getattr(self, name)
            is_word = isinstance(word, str) and word.isprintable() and len(word) <= LONGEST_WORD
            if not (is_word or (word is None and name != "kind")):
                raise ValueError(f"{name} of a feature network is not a line of text: {str(word)[:40]!r}")
        for name in ("accuracy", "accuracy_low", "accuracy_high", "training_accuracy"):
            share = getattr(self, name)
            if not (share is None or (type(share) in (int, float) and 0 <= share <= 1)):
                raise ValueError(f"{name} of a feature network is {str(share)[:40]}, not from 0 to 1")
        for name in ("training_images", "classes", "held_out_images", "images_seen"):
            count = getattr(self, name)
            if not (count is None or (type(count) is int and 0 <= count < 10**15)):
                raise ValueError(f"{name} of a feature network is {str(count)[:40]}, not a count")

    @property
    def least_accuracy(self) -> float | None:
        """The accuracy below which a classifier of its classes is weak; None where it knows none."""
        if not self.classes:
            return None
        return 1 / self.classes + LEAST_SKILL * (1 - 1 / self.classes)

    @property
    def is_weak(self) -> bool:
        """True of a classifier whose measured accuracy is below the least one; never of a network whose
        accuracy is unknown, and never of an exact posterior, which no training improves.
        """
        least = self.least_accuracy
        if self.kind != "classifier" or self.accuracy is None or least is None:
            return False
        return self.accuracy < least

    @property
    def words(self) -> str:
        """One sentence for readers: kind, training set and its size, accuracy with its interval and n."""
        if self.kind == "published network":
            return "features of a published network, trained on other images: accuracy n/a."
        training = f" trained on {self.training}" if self.trained_on or self.training_images else ""
        return f"features of {self.article} {self.kind}{training}: accuracy {self.accuracy_words}."

    @property
    def article(self) -> str:
        """The article of the kind: "an exact posterior", "a classifier"."""
        return "an" if self.kind[:1] in "aeiou" else "a"

    @property
    def training(self) -> str:
        """The training set and its size: "1,438 images of digits (train)"."""
        images = "images" if self.training_images is None else f"{self.training_images:,} images"
        seen = "" if self.images_seen is None else f", {self.images_seen:,} seen in all"
        return f"{images} of {self.trained_on} (train){seen}" if self.trained_on else images

    @property
    def accuracy_words(self) -> str:
        """The accuracy with its interval and what it was measured on, or n/a: "99.4 % [98.0, 99.8] on 359
        held-out images (digits, test)".
        """
        if self.accuracy is None:
            return "n/a on the images compared here"
        ends = [f"{100 * x:.1f}" for x in (self.accuracy_low, self.accuracy_high) if x is not None]
        interval = f" [{', '.join(ends)}]" if len(ends) == 2 else ""
        count = "" if self.held_out_images is None else f"{self.held_out_images:,} "
        split = f" ({self.held_out})" if self.held_out else ""
        return f"{100 * self.accuracy:.1f} %{interval} on {count}held-out images{split}"

    @property
    def weakness(self) -> str:
        """Explain why the network is weak and what helps, in one or two sentences; empty where it is not."""
        if not self.is_weak or self.accuracy is None or self.least_accuracy is None:
            return ""
        found, least = (f"{100 * x:.1f} %" for x in (self.accuracy, self.least_accuracy))
        low = self.accuracy if self.accuracy_low is None else self.accuracy_low
        below = (
            f"below {least} (four fifths of the way from guessing among {self.classes} classes to no error)"
        )
        if low * (self.classes or 1) <= 1:
            below = f"no better than guessing among {self.classes} classes"
        return (
            f"their classifier finds the class of {found} of held-out images, {below}, so distances on them "
            "may rank models hardly better than random features would: "
            f"{self.help}, or use features=inception"
        )

    @property
    def help(self) -> str:
        """Say what makes a weak classifier better: more training only where it still errs on its training
        images.
        """
        if self.training_accuracy is None or self.training_accuracy < LEARNED:
            return "train it longer (features=classifier features.images=N), add labelled images"
        return (
            f"it knows {100 * self.training_accuracy:.1f} % of its training images, so that only more "
            "labelled images help, or labels that the images show"
        )


def wilson(correct: int, n: int) -> tuple[float, float]:
    """Compute the 95 % interval of a share, `correct` of n, by Wilson's score: (low, high) in [0, 1].

    (p + z^2/2n -+ z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n). Source: Wilson 1927. n is at least 1.
    """
    z, p = 1.959963984540054, correct / n
    middle, scale = p + z * z / (2 * n), 1 + z * z / n
    half = z * math.sqrt(p * (1 - p) / n + (z / (2 * n)) ** 2)
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def to_record(networks: Mapping[str, FeatureNetwork]) -> dict[str, dict[str, Any]]:
    """Return feature networks by the protocol of their features as they stand in a result: JSON values."""
    # What few networks have is left out of the others.
    return {
        protocol: {name: x for name, x in asdict(network).items() if name not in RARE or x is not None}
        for protocol, network in networks.items()
    }


def recorded_networks(record: Mapping[str, Any]) -> dict[str, FeatureNetwork]:
    """Read the feature networks of a result or an evaluation by protocol; empty where an earlier version
    recorded none. Raises ValueError where what is recorded is none.
    """
    found = record.get("feature_networks", {})
    if (
        not isinstance(found, dict)
        or len(found) > MOST
        or not all(isinstance(x, dict) for x in found.values())
    ):
        raise ValueError(f"feature_networks is not an object of at most {MOST} networks")
    # What another version may record beside these is passed over, as in the rest of a result.
    names = [item.name for item in fields(FeatureNetwork)]
    return {
        protocol: FeatureNetwork(**{"kind": None} | {name: x[name] for name in names if name in x})
        for protocol, x in found.items()
    }


def merged_networks(several: Iterable[Mapping[str, FeatureNetwork]]) -> dict[str, FeatureNetwork]:
    """Join the networks of several runs by protocol; of two accuracies, as two machines may find, the lower
    one is stated.
    """
    found: dict[str, FeatureNetwork] = {}
    for networks in several:
        for protocol, network in networks.items():
            known = found.get(protocol)
            if known is None or lower(network) < lower(known):
                found[protocol] = network
    return found


def lower(network: FeatureNetwork) -> float:
    """Sort key of two records of one network: its accuracy, and one that is unknown last."""
    return 2.0 if network.accuracy is None else network.accuracy
