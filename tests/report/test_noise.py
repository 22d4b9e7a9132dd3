"""The mean and the spread of a measure over seeds."""

import math

from genbench.report.noise import Estimate, estimate
from genbench.report.verdict import leader


def test_a_mean_and_its_spread_are_those_of_the_textbook() -> None:
    assert estimate([1.0, 2.0, 6.0]) == Estimate(3.0, math.sqrt(7.0), 3)
    assert estimate([2.5], 1.0, 4.0) == Estimate(2.5, None, 1, 1.0, 4.0)


def test_rounding_is_no_spread_and_what_is_not_finite_raises_nothing() -> None:
    assert estimate([0.1 + 0.2, 0.3]).std == 0
    for values in ([math.inf, -math.inf], [math.nan, 1.0], [1e300, -1e300]):
        leader([estimate(values), estimate([1.0, 2.0])], -1)


def test_an_interval_that_is_a_point_is_no_interval() -> None:
    """As records of before may hold of a bootstrap of shares of 0 or 1."""
    point = estimate([1.0], 1.0, 1.0)
    assert (point.low, point.high) == (None, None)
