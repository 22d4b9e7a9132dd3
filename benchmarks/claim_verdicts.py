"""Statements on two rows of a table -> verdicts at 95 %, by the tests of `genbench.report.statistics`.

Within one claim Holm's correction is over all of its statements, so that of a claim whose rows are equal any
statement is said to hold, or the opposite, in at most 5 % of all cases.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from genbench.metrics.scores.interval import share_interval
from genbench.report.statistics import adjusted, estimate, interval_welch, p_welch, two_sided

__all__ = ["COUNTED", "RATIOS", "Statement", "Verdict", "verdicts"]

RATIOS = ("seconds_per_image", "images_per_second", "training_seconds")
"""Measures that are compared by ratios, since their errors are shares of them."""
COUNTED = ("failed",)
"""Measures that are 0 or 1 for each run, and compared as shares of runs."""
RELATIVE = ("fid", *RATIOS)
LEAST = 0.1  # smallest effect that a claim is about, as a share of the other row's value ..
LEAST_OF_OTHERS = 0.05  # .. and of measures that are shares, or bits per dimension, in their own unit
LEVEL = 0.05
NUMBERS = ("no", "one", "two", "three", "four", "five")


class Statement(NamedTuple):
    """One comparison that a claim makes: `row` has a lower (way -1) or higher (way 1) measure than `than`."""

    row: str
    way: Literal[-1, 1]
    measure: str
    than: str


class Test(NamedTuple):
    """Answer that the runs of two rows give to a statement."""

    difference: float  # of the means, row less than; of RATIOS the ratio of geometric means
    low: float  # ends of its 95 % interval, nan where there is none
    high: float
    p: float  # two-sided, of no difference
    p_least: float  # two-sided, of the least effect that the claim is about; 1 where it may be as large


class Verdict(NamedTuple):
    """The verdict on one statement, with its difference (or ratio), interval and p value after Holm."""

    statement: Statement
    words: str
    difference: float
    low: float
    high: float
    p: float


def verdicts(statements: Sequence[Statement], values: Callable[[str, str], Sequence[float]]) -> list[Verdict]:
    """Return the verdict on each statement of a claim.

    values: (row, measure) -> its value in each run, without any where the row was not measured.
    "holds" or "the opposite" where the difference is significant; "does not hold" where it is not, and an
    effect of LEAST in the claimed direction can be excluded; else "not decided". Each is at 95 % with Holm's
    correction over the statements that were measured.
    """
    sides = [(values(x.row, x.measure), values(x.than, x.measure)) for x in statements]
    tests = {
        i: tested(x, a, b) for i, (x, (a, b)) in enumerate(zip(statements, sides, strict=True)) if a and b
    }
    p_values, p_least = (
        dict(zip(tests, adjusted([of(test) for test in tests.values()]), strict=True))
        for of in (lambda test: test.p, lambda test: test.p_least)
    )
    found = []
    for i, statement in enumerate(statements):
        if i not in tests:
            found.append(Verdict(statement, "not measured", math.nan, math.nan, math.nan, math.nan))
            continue
        test, runs = tests[i], min(map(len, sides[i]))
        words = verdict_words(statement, test, p_values[i], p_least[i], runs)
        found.append(Verdict(statement, words, test.difference, test.low, test.high, p_values[i]))
    return found


def verdict_words(statement: Statement, test: Test, p: float, p_least: float, runs: int) -> str:
    """Return a verdict in words, of p values after Holm's correction; runs: of the row that has fewer."""
    none = 1.0 if statement.measure in RATIOS else 0.0
    if p < LEVEL:
        return "holds" if statement.way * (test.difference - none) > 0 else "the opposite"
    if p_least < LEVEL:
        return "does not hold"
    number = NUMBERS[runs] if runs < len(NUMBERS) else str(runs)
    repeats = "run" if statement.measure in COUNTED else "seed"
    return f"not decided at {number} {repeats}{'' if runs == 1 else 's'}"


def tested(statement: Statement, a: Sequence[float], b: Sequence[float]) -> Test:
    """Return the test of a statement by the values of its two rows: Welch's of means, Fisher's of shares."""
    if statement.measure in COUNTED:
        return by_fisher(a, b)
    if statement.measure in RATIOS:
        least = statement.way * math.log1p(statement.way * LEAST)
        found = by_welch([math.log(x) for x in a], [math.log(x) for x in b], statement.way, least)
        return found._replace(
            difference=math.exp(found.difference), low=math.exp(found.low), high=math.exp(found.high)
        )
    is_relative = statement.measure in RELATIVE
    least = LEAST * abs(sum(b) / len(b)) if is_relative else LEAST_OF_OTHERS
    return by_welch(a, b, statement.way, least)


def by_welch(a: Sequence[float], b: Sequence[float], way: int, least: float) -> Test:
    """Return Welch's test of two means, and of their difference against the effect `way * least`, which
    counts only where the difference is smaller than that.
    """
    one, other = estimate(a), estimate(b)
    shifted = other._replace(mean=other.mean + way * least)
    is_less = way * (one.mean - shifted.mean) < 0
    p_least = two_sided(p_welch(one, shifted)) if is_less else 1.0
    low, high = interval_welch(one, other)
    return Test(one.mean - other.mean, low, high, two_sided(p_welch(one, other)), p_least)


def by_fisher(a: Sequence[float], b: Sequence[float]) -> Test:
    """Return Fisher's exact test of two shares of runs, a and b of zeros and ones, with Newcombe's interval.

    d -+ ((p_a - l_a)^2 + (u_b - p_b)^2)^(1/2), and its mirror, of Wilson's intervals [l, u] of both shares.
    Source: Fisher 1935; Newcombe 1998, method 10.
    """
    from scipy.stats import fisher_exact

    counts = [[sum(side), len(side) - sum(side)] for side in (a, b)]
    shares = [sum(side) / len(side) for side in (a, b)]
    (low_a, high_a, _), (low_b, high_b, _) = (
        share_interval(share, n=len(side)) for share, side in zip(shares, (a, b), strict=True)
    )
    difference = shares[0] - shares[1]
    low = difference - math.hypot(shares[0] - low_a, high_b - shares[1])
    high = difference + math.hypot(high_a - shares[0], shares[1] - low_b)
    return Test(difference, low, high, float(fisher_exact(counts)[1]), 1.0)
