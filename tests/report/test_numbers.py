"""Rounding of values and their spreads: together, and alike in a column where that is sensible."""

import math

import pytest

from genbench.report.numbers import decimals, rounded, shared_decimals, short, whole, written
from genbench.report.statistics import Estimate
from genbench.report.table_cell import Entry

FID = "fid[f,n=9,ref=train,ema]"


def seeds(mean: float, std: float) -> Estimate:
    return Estimate(mean, std, 3)


def samples(mean: float, low: float, high: float) -> Estimate:
    return Estimate(mean, None, 1, low, high)


def column(*found: Estimate) -> list[str]:
    digits = shared_decimals(found)
    return [whole(Entry(x.mean, x, digits=digits), FID) for x in found]


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (seeds(3.93312, 0.0271), "3.933 ± 0.027"),
        (seeds(0.409637, 0.0007012), "0.40964 ± 0.00070"),  # two figures of the spread, however small it is
        (seeds(12345.6, 151.2), "12,346 ± 151"),
        (seeds(-0.0004, 0.021), "0.000 ± 0.021"),
        (samples(1.163, 1.12, 1.198), "1.163 [1.120, 1.198]"),
        (samples(0.108, 0.0842, 0.1341), "0.108 [0.084, 0.134]"),
        (Estimate(5.24, None, 1), "5.240"),
        (Estimate(0.0, None, 1), "0"),
        (Estimate(5.24e-7, None, 1), "5.24e-07"),
        (Estimate(math.nan, math.nan, 2), "nan"),
    ],
)
def test_a_spread_has_two_figures_and_its_value_the_same_decimals(x: Estimate, expected: str) -> None:
    assert whole(Entry(x.mean, x), FID) == expected


def test_values_of_a_column_have_the_same_decimals() -> None:
    assert column(seeds(9.46, 0.37), seeds(11.21, 2.56), seeds(1.0, 0.0)) == [
        "9.46 ± 0.37",
        "11.21 ± 2.56",
        "1.00",
    ]
    assert column(Estimate(3.5, None, 1), Estimate(12.5, None, 1)) == ["3.50", "12.50"]


def test_where_spreads_are_unlike_most_are_alike_and_none_is_rounded_away() -> None:
    found = [seeds(0.51412, 0.1191), seeds(0.49111, 0.0362), seeds(1.08712, 0.0356), seeds(0.40964, 0.0002)]
    assert column(*found) == ["0.514 ± 0.119", "0.491 ± 0.036", "1.087 ± 0.036", "0.40964 ± 0.00020"]


def test_a_row_that_is_nearly_exact_takes_no_column_to_its_last_figure() -> None:
    assert column(seeds(1.4412, 0.39), seeds(1.25, 2e-8)) == ["1.44 ± 0.39", "1.2500 ± <0.0001"]
    nearly = [seeds(1.25, 2e-8), seeds(1.5, 3e-8)]
    assert column(seeds(1.4412, 0.39), *nearly) == [
        "1.4412 ± 0.3900",
        "1.250000 ± <0.000001",
        "1.500000 ± <0.000001",
    ]


def test_values_without_spreads_that_span_powers_of_ten_keep_their_own_figures() -> None:
    found = [Estimate(1.3164, None, 1), Estimate(0.092171, None, 1), Estimate(4851.2, None, 1)]
    assert shared_decimals(found) is None
    assert [rounded(x.mean, decimals(x)) for x in found] == ["1.316", "0.09217", "4,851"]


def test_a_value_without_a_spread_keeps_two_figures_beside_those_that_have_one() -> None:
    assert column(seeds(9.46, 0.37), seeds(8.46, 0.38), Estimate(0.0123, None, 1))[2] == "0.01230"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "n/a"),
        ("x", "x"),
        (True, "true"),
        (3, "3"),
        (1234567, "1,234,567"),
        (3.14159, "3.142"),
        (-0.00012345, "-0.0001234"),
        (12345.6, "12,346"),
        (1e300, "1e+300"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
    ],
)
def test_numbers_are_written_to_four_figures(value: str | float | None, expected: str) -> None:
    assert written(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (359, "359"),
        (9999, "9,999"),
        (1153.4, "1,153"),
        (60032, "60k"),
        (1.5e12, "1.5T"),
        (0.02582, "0.0258"),
        (None, "n/a"),
    ],
)
def test_costs_are_written_to_three_figures(value: float | None, expected: str) -> None:
    assert short(value) == expected
