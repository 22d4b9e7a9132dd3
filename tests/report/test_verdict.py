"""The probability that one value is better than another."""

import math
import random
from statistics import NormalDist

import pytest

from genbench.report.verdict import Measured, verdict

A, B = Measured(1.0, 0.3), Measured(1.5, 0.4)


def test_it_is_the_normal_law_of_the_difference() -> None:
    assert verdict(A, B) == pytest.approx(NormalDist().cdf(0.5 / 0.5), rel=1e-12)


def test_exchanging_the_two_or_the_direction_gives_the_complement() -> None:
    assert verdict(A, B) + verdict(B, A) == pytest.approx(1, abs=1e-15)
    assert verdict(A, B) + verdict(A, B, higher_is_better=True) == pytest.approx(1, abs=1e-15)


def test_only_the_difference_and_its_scale_count() -> None:
    moved = verdict(Measured(7 + 3 * 1.0, 3 * 0.3), Measured(7 + 3 * 1.5, 3 * 0.4))
    assert moved == pytest.approx(verdict(A, B), rel=1e-12)


def test_it_grows_with_the_difference_and_shrinks_to_a_half_with_the_error() -> None:
    grown = [verdict(A, Measured(value, 0.4)) for value in (0.0, 1.0, 1.5, 3.0)]
    assert grown == sorted(grown)
    assert grown[1] == 0.5
    wider = [verdict(A, Measured(1.5, se)) for se in (0.0, 0.4, 4.0, 4e6)]
    assert wider == sorted(wider, reverse=True)
    assert wider[-1] == pytest.approx(0.5, abs=1e-6)


def test_values_without_error_are_certain_and_equal_ones_are_not() -> None:
    exact = Measured(1.0, 0.0)
    assert (verdict(exact, Measured(2.0, 0.0)), verdict(Measured(2.0, 0.0), exact)) == (1.0, 0.0)
    assert verdict(exact, exact) == 0.5


@pytest.mark.parametrize("wrong", [Measured(math.nan, 1.0), Measured(math.inf, 0.0), Measured(1.0, math.nan)])
def test_of_a_number_that_is_not_finite_nothing_is_known(wrong: Measured) -> None:
    assert math.isnan(verdict(A, wrong))
    assert math.isnan(verdict(wrong, A))


def test_of_two_equal_models_it_is_uniform() -> None:
    """That is what makes a threshold of 97.5 % a test at 5 % on both sides."""
    rng = random.Random(0)
    draws = sorted(
        verdict(Measured(rng.gauss(0, 1), 1.0), Measured(rng.gauss(0, 2), 2.0)) for _ in range(4000)
    )
    distance = max(abs(p - (i + 0.5) / 4000) for i, p in enumerate(draws))
    assert distance < 2.7 / 4000**0.5  # Kolmogorov-Smirnov, a false alarm below 1e-6
