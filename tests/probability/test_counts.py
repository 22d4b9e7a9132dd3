"""Whole numbers have a least and a most."""

import pytest

from genbench.probability.counts import check_count


@pytest.mark.parametrize("value", [2, 3, 1000])
def test_a_count_within_its_limits_is_legal(value: int) -> None:
    check_count("network.width", value, 1000, least=2, usual=32)


@pytest.mark.parametrize("value", [-1, 1, 1001, 10**12])
def test_a_count_outside_is_refused_with_the_limits(value: int) -> None:
    with pytest.raises(ValueError, match=f"network.width is {value}; it must be from 2 to 1,000, e.g. 32"):
        check_count("network.width", value, 1000, least=2, usual=32)
