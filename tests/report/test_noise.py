"""The verdict on a difference, against scipy and against repeated draws."""

import math
import random

import pytest
from scipy import stats

from genbench.report.noise import Estimate, apart, best, estimate


def test_a_mean_and_its_spread_are_those_of_the_textbook() -> None:
    assert estimate([1.0, 2.0, 6.0]) == Estimate(3.0, math.sqrt(7.0), 3)
    assert estimate([2.5], 1.0, 4.0) == Estimate(2.5, None, 1, 1.0, 4.0)


def test_rounding_is_no_spread_and_what_is_not_finite_raises_nothing() -> None:
    assert estimate([0.1 + 0.2, 0.3]).std == 0
    for values in ([math.inf, -math.inf], [math.nan, 1.0], [1e300, -1e300]):
        best([estimate(values), estimate([1.0, 2.0])], -1)


def test_with_seeds_the_verdict_is_that_of_scipys_welch_test() -> None:
    rng = random.Random(0)
    for _ in range(200):
        a = [rng.gauss(0, 1) for _ in range(rng.randint(2, 6))]
        b = [rng.gauss(rng.choice([0, 1, 3]), 2) for _ in range(rng.randint(2, 6))]
        p = stats.ttest_ind(a, b, equal_var=False).pvalue
        assert apart(estimate(a), estimate(b)) == (p < 0.05)


def test_rows_of_the_same_law_are_seldom_called_apart() -> None:
    rng = random.Random(1)
    draws = 2000
    rows = [[estimate([rng.gauss(0, 1) for _ in range(3)]) for _ in range(2)] for _ in range(draws)]
    wrong = sum(apart(a, b) for a, b in rows) / draws
    # Welch's test keeps below its 5 % at few seeds; 5 standard errors of 2,000 draws above that.
    assert wrong < 0.05 + 5 * math.sqrt(0.05 * 0.95 / draws)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (Estimate(1, None, 1, 0.9, 1.1), Estimate(2, None, 1, 1.8, 2.2), True),
        (Estimate(1, None, 1, 0.5, 1.5), Estimate(2, None, 1, 1.4, 2.6), False),
        (Estimate(1, None, 1), Estimate(100, None, 1), False),
        (Estimate(1, 0.01, 3), Estimate(2, None, 1, 1.8, 2.2), True),
        (Estimate(1, 5.0, 3), Estimate(2, None, 1, 1.8, 2.2), False),
        (Estimate(1, 0.0, 3), Estimate(1, 0.0, 3), False),
        (Estimate(1, 0.0, 2), Estimate(0.98, 0.0, 2), False),  # 64 of 64 twice, and 63 of 64 twice
    ],
)
def test_of_one_seed_intervals_must_not_meet(a: Estimate, b: Estimate, expected: bool) -> None:
    assert apart(a, b) == apart(b, a) == expected


def test_the_best_must_beat_every_other_row() -> None:
    low, close, far = (
        Estimate(1, None, 1, 0.9, 1.1),
        Estimate(2, None, 1, 1.0, 3.0),
        Estimate(9, None, 1, 8, 10),
    )
    assert best([far, low], -1) == 1
    assert best([far, low], 1) == 0
    assert best([low, close, far], -1) is None
    assert best([None, low, Estimate(math.nan, None, 1)], -1) is None
    assert best([low, far], 0) is None


def test_an_interval_that_is_a_point_is_no_interval() -> None:
    """As records of before may hold of a bootstrap of shares of 0 or 1."""
    point = estimate([1.0], 1.0, 1.0)
    assert (point.low, point.high) == (None, None)
    assert best([point, estimate([0.5], 0.4, 0.6)], 1) is None
