"""Means over seeds, and how sure a comparison is: the one rule for all that is called better or set in bold.

Every test is two-sided at 95 %, with Holm's correction where several measures are compared at once. A single
training does not show how much results vary between seeds, so a row of fewer than two runs is never called
better and never set in bold.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

__all__ = [
    "ROUNDING",
    "Estimate",
    "Leader",
    "adjusted",
    "estimate",
    "holm",
    "interval_welch",
    "leader",
    "p_normal",
    "p_paired",
    "p_welch",
    "two_sided",
]

LEVEL = 0.95
ROUNDING = 1e-9  # relative differences up to here come of the order of sums, not of a seed


class Estimate(NamedTuple):
    """Mean of a measure over the seeds of a row, with its standard deviation or its interval over samples."""

    mean: float
    std: float | None  # over seeds, with n - 1 in the denominator; None for one seed
    n: int  # number of seeds
    low: float | None = None  # the ends of a 95 % interval over samples, of one seed that recorded them
    high: float | None = None

    @property
    def half_width(self) -> float:
        """Standard deviation over seeds, or half the interval over samples; 0 where there is neither."""
        if self.std and math.isfinite(self.std):
            return self.std
        half = math.nan if self.low is None or self.high is None else (self.high - self.low) / 2
        return half if math.isfinite(half) else 0.0


class Leader(NamedTuple):
    """The best row of a column, and the test of it against all others."""

    place: int  # its index in the column
    p_value: float  # the largest of its two-sided p values against the other rows, see `leader`
    rival: int  # the index of the row with that p value: the one that it is hardest to tell from
    second: int  # the index of the row with the next best mean
    p_of_second: float  # its two-sided p value against that row, which is no larger than `p_value`

    def moved(self, at: Callable[[int], int]) -> "Leader":
        """Return it for a column in another order; at: old index -> new one."""
        return self._replace(place=at(self.place), rival=at(self.rival), second=at(self.second))

    @property
    def is_significant(self) -> bool:
        """True where it is better than every other row at 95 %; of a p value that is `adjusted`."""
        return self.p_value < 1 - LEVEL

    @property
    def beats_second(self) -> bool:
        """True where it is better than the row with the next best mean at 95 %, which says nothing of others:
        one of them may vary more.
        """
        return self.p_of_second < 1 - LEVEL


def estimate(values: Sequence[float], low: float | None = None, high: float | None = None) -> Estimate:
    """Return mean m = sum x / n and standard deviation (sum (x - m)^2 / (n - 1))^(1/2) of a value over seeds.

    low, high: ends of the interval over samples, which only a single seed keeps. An interval that is a point
    is dropped: a bootstrap of samples that are all alike knows nothing of others.
    """
    n = len(values)
    mean = sum(values) / n
    if n == 1:
        return Estimate(mean, None, 1, low, high) if low != high else Estimate(mean, None, 1)
    std = math.sqrt(sum((value - mean) * (value - mean) for value in values) / (n - 1))
    return Estimate(mean, 0.0 if std < ROUNDING * abs(mean) else std, n)


def p_normal(a: float, b: float, se_a: float, se_b: float) -> float:
    """Return the probability that A's true value is below B's, for independent normal errors.

    P = Phi((b - a) / (se_a^2 + se_b^2)^(1/2))
    1/2 for equal values; nan for different ones without error, which says that it was not measured and not
    that there is none, and where a number is not finite.
    """
    return probability(b - a, math.hypot(se_a, se_b))


def p_paired(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the probability that A is below B on average over pairs, of two or more: Student's posterior.

    P = F_(n-1)(mean / (s / sqrt(n))) of the differences b - a, 1 - p of the one-sided t test.
    1/2 for pairs that are equal up to rounding; nan for other differences that are all the same, which do not
    say how far another pair would be from them. Source: Student 1908.
    """
    size = ROUNDING * max(map(abs, (*a, *b)))
    ahead = [y - x for x, y in zip(a, b, strict=True)]
    found = estimate([x if abs(x) > size else 0.0 for x in ahead])
    std = found.std if found.std and not found.std <= size else 0.0
    return probability(found.mean, std / math.sqrt(found.n), found.n - 1)


def p_welch(a: Estimate, b: Estimate) -> float:
    """Return the probability that A's mean is below B's, of means over two or more independent runs each.

    P = F_nu((b - a) / (v_a + v_b)^(1/2)), v = s^2 / n,
    nu = (v_a + v_b)^2 / (v_a^2 / (n_a - 1) + v_b^2 / (n_b - 1)), at most 2 (min(n_a, n_b) - 1), which equal
    numbers of runs never exceed: without it 2 runs differ from 10 of an equal model in 10 % of all cases, not
    in at most 5 %.
    nan where either is a single run, and where neither has a standard deviation (such as shares that are all
    or none of few samples in each run), unless the means are equal: 1/2.
    Source: Welch 1947; the bound by simulation of equal models.
    """
    error, freedom = welch(a, b)
    return probability(b.mean - a.mean, error, freedom)


def interval_welch(a: Estimate, b: Estimate) -> tuple[float, float]:
    """Return the ends of the 95 % confidence interval of A's true mean less B's: all differences that
    `p_welch` does not reject.

    a - b -+ t_nu(0.975) (v_a + v_b)^(1/2), with the nu of `p_welch`. Both nan where either is a single run,
    and where neither has a standard deviation, unless the means are equal: an interval of one point.
    """
    error, freedom = welch(a, b)
    difference = a.mean - b.mean
    if not math.isfinite(difference) or not math.isfinite(error) or (error == 0 and difference):
        return math.nan, math.nan
    from scipy.special import stdtrit  # Student's quantile, the inverse of what `probability` computes

    half = float(stdtrit(freedom, (1 + LEVEL) / 2)) * error if error else 0.0
    return difference - half, difference + half


def welch(a: Estimate, b: Estimate) -> tuple[float, float]:
    """Return the standard error of the difference of two means, and its degrees of freedom, see `p_welch`;
    an error of nan where either is a single run.
    """
    if a.std is None or b.std is None:
        return math.nan, math.nan
    of_a, of_b = a.std * a.std / a.n, b.std * b.std / b.n
    known = of_a * of_a / (a.n - 1) + of_b * of_b / (b.n - 1)
    freedom = (of_a + of_b) ** 2 / known if known else math.inf
    return math.sqrt(of_a + of_b), min(freedom, 2 * (min(a.n, b.n) - 1))


def probability(difference: float, error: float, freedom: float | None = None) -> float:
    """P = F(difference / error), F of Student's t, or without a `freedom` of the normal distribution.

    Without an error 1/2 where there is no difference, else unknown: nan, as of numbers that are not finite.
    """
    if not math.isfinite(difference) or not math.isfinite(error):
        return math.nan
    if error == 0:
        return math.nan if difference else 0.5
    if freedom is None:
        return 0.5 * math.erfc(-difference / error / math.sqrt(2))
    from scipy.special import stdtr  # a part of scipy that imports fast, unlike scipy.stats

    return float(stdtr(freedom, difference / error))


def two_sided(p: float) -> float:
    """Two-sided p value 2 min(P, 1 - P) of a probability P that A is lower (or better), 1 where P is unknown.

    It is below 0.05 where |P - 1/2| > 0.475.
    """
    return 1.0 if math.isnan(p) else 2 * min(p, 1 - p)


def holm(p_values: Sequence[float]) -> list[bool]:
    """Return for each of several two-sided tests True if it finds a difference; any errs in at most 5 %.

    The i-th smallest of m p values must be below 0.05 / (m - i + 1), and all smaller ones theirs. It holds
    however the tests depend on one another. Source: Holm 1979.
    """
    return [p < 1 - LEVEL for p in adjusted(p_values)]


def adjusted(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p value of each of several two-sided tests, which is to be compared with 0.05.

    p_(i) = max over j <= i of min(1, (m - j + 1) p_(j)), for p values in ascending order: the level at which
    `holm` would just find the difference. Source: Wright 1992.
    """
    found, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        found[place] = largest
    return found


def leader(column: Sequence[Estimate | None], better: int) -> Leader | None:
    """Return the best row of a column with the largest of its two-sided p values against all others.

    It beats them all where that is below 0.05: of equal rows one does so in at most 5 % of all cases, since
    the best of two does in 5 % and a third one only makes it harder.
    better: -1 where lower is, 1 where higher is. Rows without a value do not count. None where there is
    nothing to test: neither way is better, fewer than two rows have a value, or one has a single run.
    """
    known = {i: x for i, x in enumerate(column) if x is not None and not math.isnan(x.mean)}
    if not better or len(known) < 2 or any(x.std is None for x in known.values()):
        return None
    first = max(known, key=lambda i: better * known[i].mean)
    p_values = {i: two_sided(p_welch(known[first], x)) for i, x in known.items() if i != first}
    second = max(p_values, key=lambda i: better * known[i].mean)
    # Of several that cannot be told from it at all the best one is named.
    rival = max(p_values, key=lambda i: (p_values[i], better * known[i].mean))
    return Leader(first, p_values[rival], rival, second, p_values[second])
