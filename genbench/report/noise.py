"""A measure over several seeds: its mean and its standard deviation."""

import math
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["ROUNDING", "Estimate", "estimate"]

ROUNDING = 1e-9  # relative differences up to here come of the order of sums, not of a seed


class Estimate(NamedTuple):
    """What a row knows of one measure."""

    mean: float
    std: float | None
    """Over seeds, with n - 1 below; None of one seed."""
    n: int
    """Seeds."""
    low: float | None = None
    high: float | None = None
    """The ends of a 95 % interval over samples, of one seed that recorded them."""


def estimate(values: Sequence[float], low: float | None = None, high: float | None = None) -> Estimate:
    """The mean and the spread of a value over seeds; low and high are kept for one seed alone.

    An interval that is a point is none: a bootstrap of samples that are all alike knows nothing of others.
    """
    n = len(values)
    mean = sum(values) / n
    if n == 1:
        return Estimate(mean, None, 1, low, high) if low != high else Estimate(mean, None, 1)
    variance = sum((value - mean) * (value - mean) for value in values) / (n - 1)
    std = math.sqrt(variance)
    return Estimate(mean, 0.0 if std < ROUNDING * abs(mean) else std, n)
