"""Certainty of a comparison, against scipy and against repeated draws of equal models."""

import math
import random
from statistics import NormalDist

import pytest
from scipy import stats

from genbench.report.statistics import (
    Estimate,
    adjusted,
    estimate,
    holm,
    interval_welch,
    leader,
    p_normal,
    p_paired,
    p_welch,
    two_sided,
)

A, B = (1.0, 0.3), (1.5, 0.4)
Value = tuple[float, float]  # with its standard error


def normal(a: Value, b: Value) -> float:
    return p_normal(a[0], b[0], a[1], b[1])


def test_it_is_the_normal_distribution_of_the_difference() -> None:
    assert normal(A, B) == pytest.approx(NormalDist().cdf(0.5 / 0.5), rel=1e-12)


def test_exchanging_the_two_gives_the_complement() -> None:
    assert normal(A, B) + normal(B, A) == pytest.approx(1, abs=1e-15)


def test_only_the_difference_and_its_scale_count() -> None:
    moved = normal((7 + 3 * 1.0, 3 * 0.3), (7 + 3 * 1.5, 3 * 0.4))
    assert moved == pytest.approx(normal(A, B), rel=1e-12)


def test_it_grows_with_the_difference_and_shrinks_to_a_half_with_the_error() -> None:
    grown = [normal(A, (value, 0.4)) for value in (0.0, 1.0, 1.5, 3.0)]
    assert grown == sorted(grown)
    assert grown[1] == 0.5
    wider = [normal(A, (1.5, se)) for se in (0.0, 0.4, 4.0, 4e6)]
    assert wider == sorted(wider, reverse=True)
    assert wider[-1] == pytest.approx(0.5, abs=1e-6)


def test_values_without_error_are_never_certain() -> None:
    exact = (1.0, 0.0)
    assert math.isnan(normal(exact, (2.0, 0.0)))
    assert normal(exact, exact) == 0.5
    assert math.isnan(p_paired([1.0, 2.0, 3.0], [2.0, 3.0, 4.0]))
    assert p_paired([1.0, 2.0], [1.0, 2.0]) == 0.5
    assert math.isnan(
        p_welch(Estimate(1, 0.0, 2), Estimate(0.98, 0.0, 2))
    )  # 64 of 64 twice, and 63 of 64 twice
    assert p_welch(Estimate(1, 0.0, 3), Estimate(1, 0.0, 3)) == 0.5
    assert two_sided(math.nan) == 1


def test_numbers_that_differ_by_rounding_alone_are_equal() -> None:
    a = [0.1 + 0.2, 1.0, 3.0]
    assert p_paired(a, [0.3, 1.0 + 2**-52, 3.0 + 2**-51]) == 0.5


@pytest.mark.parametrize("wrong", [(math.nan, 1.0), (math.inf, 0.0), (1.0, math.nan)])
def test_of_a_number_that_is_not_finite_nothing_is_known(wrong: Value) -> None:
    assert math.isnan(normal(A, wrong))
    assert math.isnan(normal(wrong, A))


def test_of_two_equal_models_it_is_uniform() -> None:
    """So that |P - 1/2| > 0.475 is a two-sided test at 95 %."""
    rng = random.Random(0)
    draws = sorted(normal((rng.gauss(0, 1), 1.0), (rng.gauss(0, 2), 2.0)) for _ in range(4000))
    distance = max(abs(p - (i + 0.5) / 4000) for i, p in enumerate(draws))
    assert distance < 2.7 / 4000**0.5  # Kolmogorov-Smirnov, a false alarm below 1e-6


def test_over_seeds_it_is_scipys_welch_test_and_students_of_pairs() -> None:
    rng = random.Random(0)
    for n in (2, 3, 6) * 20:
        a, b = ([rng.gauss(mean, 1 + mean) for _ in range(n)] for mean in (0, rng.choice([0, 1, 3])))
        expected = stats.ttest_ind(a, b, equal_var=False).pvalue
        assert two_sided(p_welch(estimate(a), estimate(b))) == pytest.approx(expected, rel=1e-9)
        assert two_sided(p_paired(a, b)) == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=1e-9)
        x, y = estimate(a), estimate(b)
        assert p_welch(x, y) + p_welch(y, x) == pytest.approx(1, abs=1e-12)


DRAWS = 3000
MOST = 0.05 * DRAWS + 5 * math.sqrt(0.05 * 0.95 * DRAWS)  # 5 %, and five standard errors: an alarm in 1e6


@pytest.mark.parametrize("sizes", [(2, 2), (3, 3), (5, 5), (2, 5), (2, 10), (3, 10)])
def test_equal_models_are_called_different_in_at_most_5_per_cent(sizes: tuple[int, int]) -> None:
    """Also of unequal numbers of seeds, where Welch's own freedom finds a difference in up to 10 %."""
    rng = random.Random(1)
    rows = [[[rng.gauss(0, 1) for _ in range(n)] for n in sizes] for _ in range(DRAWS)]
    assert sum(two_sided(p_welch(*map(estimate, row))) < 0.05 for row in rows) < MOST
    if sizes[0] == sizes[1]:
        assert sum(two_sided(p_paired(*row)) < 0.05 for row in rows) < MOST


@pytest.mark.parametrize("spreads", [(1, 1), (1, 1, 1), (1, 1, 1, 1, 1, 1), (1, 5, 25), (1, 4, 4, 1)])
def test_of_equal_rows_one_leads_all_others_in_at_most_5_per_cent(spreads: tuple[float, ...]) -> None:
    """The best is chosen by the data; that it must beat every other row makes up for it."""
    rng = random.Random(2)
    found = [
        leader([estimate([rng.gauss(0, s) for _ in range(3)]) for s in spreads], -1) for _ in range(DRAWS)
    ]
    assert sum(x is not None and x.p_value < 0.05 for x in found) < MOST
    # One that beats the next row alone is as rare: the two are close to one another, not drawn by chance.
    assert sum(x is not None and x.p_of_second < 0.05 for x in found) < MOST


def test_the_interval_of_a_difference_is_scipys_and_holds_what_the_test_does_not_reject() -> None:
    rng = random.Random(3)
    for size in (3, 5):
        a, b = ([rng.gauss(mean, 1.0) for _ in range(size)] for mean in (1.0, 2.0))
        one, other = estimate(a), estimate(b)
        low, high = interval_welch(one, other)
        expected = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
        assert (low, high) == pytest.approx((expected.low, expected.high), rel=1e-9)
        for end in (low, high):
            moved = other._replace(mean=other.mean + end)
            assert two_sided(p_welch(one, moved)) == pytest.approx(0.05, rel=1e-9)


def test_a_single_run_has_no_interval_and_equal_runs_a_point() -> None:
    assert all(map(math.isnan, interval_welch(estimate([1.0]), estimate([1.0, 2.0]))))
    assert all(map(math.isnan, interval_welch(estimate([1.0, 1.0]), estimate([2.0, 2.0]))))
    assert interval_welch(estimate([1.0, 1.0]), estimate([1.0, 1.0])) == (0.0, 0.0)


def test_a_difference_of_several_standard_deviations_is_found() -> None:
    rng, draws = random.Random(3), 500
    found = 0
    for _ in range(draws):
        rows = [[rng.gauss(mean, 1) for _ in range(3)] for mean in (0, 10, 10)]
        first = leader([estimate(row) for row in rows], -1)
        found += first is not None and first.place == 0 and first.p_value < 0.05
        assert two_sided(p_paired(rows[0], rows[1])) < 0.2
    assert found > 0.95 * draws


def test_holm_rejects_step_by_step() -> None:
    assert holm([0.01, 0.04, 0.03]) == [True, False, False]  # 0.05 / 3, then 0.03 against 0.05 / 2
    assert holm([0.01, 0.04, 0.02]) == [True, True, True]
    assert holm([0.04]) == [True]
    assert holm([0.02, 0.04, 1.0]) == [False, False, False]
    assert holm([]) == []


def test_adjusted_p_values_are_below_the_level_where_holm_finds_a_difference() -> None:
    assert adjusted([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert adjusted([0.6, 0.5]) == [1.0, 1.0]
    rng = random.Random(4)
    for _ in range(200):
        p_values = [rng.random() ** 4 for _ in range(rng.randint(1, 6))]
        limits = [0.05 / (len(p_values) - rank) for rank in range(len(p_values))]
        found = [p < limit for p, limit in zip(sorted(p_values), limits, strict=True)]
        largest = sorted(p_values)[: [*found, False].index(False)]  # those before the first that is too large
        assert [p < 0.05 for p in adjusted(p_values)] == [p in largest for p in p_values]


def test_a_single_run_leads_nothing_whatever_its_interval() -> None:
    one, another = Estimate(1, None, 1, 0.9, 1.1), Estimate(9, None, 1, 8, 10)
    assert math.isnan(p_welch(one, another))
    assert leader([one, another], -1) is None
    assert leader([estimate([1.0, 1.1]), estimate([5.0, 5.1]), another], -1) is None


def test_the_leader_must_beat_every_other_row_and_is_sought_where_a_way_is_better() -> None:
    low, close, far = estimate([1.0, 1.1, 1.2]), estimate([1.0, 1.2, 1.3]), estimate([9.0, 9.1, 9.2])
    apart, near = (pytest.approx(two_sided(p_welch(low, x))) for x in (far, close))
    assert leader([far, low], -1) == (1, apart, 0, 0, apart)
    assert leader([far, low], 1) == (0, apart, 1, 1, apart)
    assert leader([low, close, far], -1) == (0, near, 1, 1, near)
    wide = estimate([1.0, 5.0, 9.0])
    assert leader([low, wide, estimate([2.0, 2.1, 2.2])], -1)[2:4] == (1, 2)  # the widest, and the next best
    assert leader([low, far], 0) is None
    assert leader([low, None, Estimate(math.nan, None, 2)], -1) is None


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


@pytest.mark.parametrize("rows", [2, 4])
def test_of_equal_rows_any_of_several_columns_has_a_best_in_at_most_5_per_cent(rows: int) -> None:
    """In any of seven columns, one of which goes with another; without a correction it is 10 % and more."""
    rng, draws, wrong = random.Random(0), 400, 0
    for _ in range(draws):
        columns = [[[rng.gauss(5, 1) for _ in range(3)] for _ in range(rows)] for _ in range(6)]
        found = [leader([estimate(row) for row in column], -1) for column in (*columns, columns[0])]
        wrong += any(holm([first.p_value for first in found if first is not None]))
    assert wrong < 0.05 * draws + 5 * math.sqrt(0.05 * 0.95 * draws)
