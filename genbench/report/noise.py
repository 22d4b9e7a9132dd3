"""When a difference is more than noise."""

import math
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["LEVEL", "Estimate", "apart", "best", "estimate"]

LEVEL = 0.95
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


def apart(a: Estimate, b: Estimate) -> bool:
    """Whether two means differ by more than noise, at 95 %.

    Both over several seeds: Welch's test, |a - b| / sqrt(s_a^2 / n_a + s_b^2 / n_b) > t. Otherwise their
    95 % intervals must not meet; a value without an interval is apart from nothing.
    Source: Welch 1947.
    """
    if a.std is not None and b.std is not None:
        return welch(a.mean - b.mean, a.std * a.std / a.n, a.n, b.std * b.std / b.n, b.n)
    (a_low, a_high), (b_low, b_high) = interval(a), interval(b)
    return a_high < b_low or b_high < a_low


def welch(difference: float, a: float, n_a: int, b: float, n_b: int) -> bool:
    """Welch's test of two means, whose squared standard errors are a and b."""
    if not a + b > 0:
        return False  # shares that are all or none of few samples in each run: how sure they are is not known
    freedom = (a + b) * (a + b) / (a * a / (n_a - 1) + b * b / (n_b - 1))
    return abs(difference) / math.sqrt(a + b) > student(freedom)


def interval(x: Estimate) -> tuple[float, float]:
    """The 95 % interval of a mean over seeds, or the recorded one over samples; all numbers without one."""
    if x.std is not None:
        half = student(x.n - 1) * x.std / math.sqrt(x.n)
        return x.mean - half, x.mean + half
    return (-math.inf, math.inf) if x.low is None or x.high is None else (x.low, x.high)


def student(freedom: float) -> float:
    """The quantile of Student's law that 95 % stay below, on both sides."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + LEVEL) / 2))


def best(column: Sequence[Estimate | None], better: int) -> int | None:
    """The index of the row that is better than every other one by more than noise; None where none is.

    better: -1 where lower is, 1 where higher is, 0 where neither is. Rows without a value do not count.
    """
    known = [i for i, x in enumerate(column) if x is not None and not math.isnan(x.mean)]
    if not better or len(known) < 2:
        return None
    first = max(known, key=lambda i: better * column[i].mean)
    return first if all(apart(column[first], column[i]) for i in known if i != first) else None
