"""Models that do not meet a need, whatever their rank: they copy their data, or are no better than none."""

import math
from collections.abc import Sequence
from statistics import mean
from typing import NamedTuple

from benchmarks.publish.winners import Measure, Record, of_file, values_of
from genbench.report.statistics import adjusted

__all__ = [
    "AUTHENTIC",
    "COMPLETION_ERROR",
    "Unfit",
    "copying",
    "held_out_authentic",
    "mean_image",
    "no_better_than_none",
]

COMPLETION_ERROR = Measure(
    "squared error of the lower half, mean of 8 completions", -1, of_file("halves.json", "halves_mse")
)
MEAN_IMAGE_ERROR = Measure("error of the mean image", -1, of_file("halves.json", "mean_image_mse"))
AUTHENTIC = Measure("share of samples that count as no copy", 1, of_file("copies.json", "authentic"))
HELD_OUT_AUTHENTIC = Measure("share of held-out images", 1, of_file("copies.json", "held_out_authentic"))
COPIES_COUNTED = Measure("images", 1, of_file("copies.json", "n"))
LEVEL = 0.05


class Unfit(NamedTuple):
    """Models that do not meet a need, and a sentence that says why; empty where there are none."""

    names: Sequence[str] = ()
    why: str = ""


def value_of_any(records: Sequence[Record], measure: Measure) -> float | None:
    """Return the mean of a number that belongs to the data, over all runs that have it."""
    found = [x for record in records if (x := measure.read(record)) is not None]
    return mean(found) if found else None


def held_out_authentic(records: Sequence[Record]) -> float | None:
    """Return the share of held-out images that count as no copies, though none is one; None where unknown."""
    return value_of_any(records, HELD_OUT_AUTHENTIC)


def mean_image(records: Sequence[Record]) -> list[str]:
    """Return a sentence on the error of the mean of the training images, which knows nothing of the upper
    half, where a run has measured it.
    """
    error = value_of_any(records, MEAN_IMAGE_ERROR)
    return [] if error is None else [f"Without a model: the mean of the training images has {error:.3g}."]


def no_better_than_none(records: Sequence[Record]) -> Unfit:
    """Return the models that complete images no better than the mean of the training images does."""
    least = value_of_any(records, MEAN_IMAGE_ERROR)
    known = values_of(records, COMPLETION_ERROR)
    names = [name for name, errors in known.items() if least is not None and mean(errors) >= least]
    return Unfit(names, f"Left out, as it is no better: {', '.join(names)}." if names else "")


def copying(records: Sequence[Record]) -> Unfit:
    """Return the models more of whose samples count as copies of trained images than of held-out images.

    A one-sided test of two shares for each model, over all of its runs, whose held-out images are the same
    n: z = (q - p) / (p (1 - p) / (n runs) + q (1 - q) / n)^(1/2), with Holm's correction over the models, so
    that of models that copy nothing one is left out in at most 5 % of all tables.
    """
    known = values_of(records, AUTHENTIC)
    real, sizes = values_of(records, HELD_OUT_AUTHENTIC), values_of(records, COPIES_COUNTED)
    p_values = adjusted([p_value(known[name], mean(real[name]), sizes[name][0]) for name in known])
    names = [name for name, p in zip(known, p_values, strict=True) if p < LEVEL]
    least = held_out_authentic(records)
    if least is None or not names:
        return Unfit()
    shares = ", ".join(f"{name} {100 * (1 - mean(known[name])):.0f} %" for name in names)
    counted = f"more of their samples count as copies than of held-out images ({100 * (1 - least):.0f} %)"
    return Unfit(names, f"Left out, as {counted}: {shares}.")


def p_value(shares: Sequence[float], real: float, n: float) -> float:
    """Return the probability that a share is so far below that of n real images by chance."""
    own = mean(shares)
    variance = own * (1 - own) / (n * len(shares)) + real * (1 - real) / n
    return 0.5 * math.erfc((real - own) / math.sqrt(2 * variance)) if variance else float(own >= real)
