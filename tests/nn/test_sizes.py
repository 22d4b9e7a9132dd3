"""Sizes of residual networks."""

import pytest

from genbench.nn.sizes import Sizes, multipliers_down_to

SIZES = Sizes((3, 20, 12), num_classes=0, width=8, multipliers=[1, 3, 1], blocks=1, patch=2, dropout=0.0)


def test_each_level_halves_the_map_rounding_up() -> None:
    assert SIZES.maps == [(10, 6), (5, 3), (3, 2)]
    assert SIZES.widths == [8, 24, 8]
    assert SIZES.smallest == (8, 3, 2)


def test_without_multipliers_there_are_as_many_levels_as_reach_a_map_of_four() -> None:
    sizes = Sizes((1, 28, 28), num_classes=0, width=8, multipliers=None, blocks=1, patch=1, dropout=0.0)
    assert sizes.maps == [(28, 28), (14, 14), (7, 7), (4, 4)]
    assert sizes.widths == [8, 16, 16, 16]


def test_folding_keeps_the_number_of_values() -> None:
    _, height, width = SIZES.shape
    assert SIZES.folded(3) * SIZES.maps[0][0] * SIZES.maps[0][1] == 3 * height * width


@pytest.mark.parametrize(("side", "levels"), [(4, 1), (8, 2), (14, 3), (16, 3), (28, 4), (32, 4), (3, 1)])
def test_the_default_levels_halve_the_map_down_to_four(side: int, levels: int) -> None:
    assert multipliers_down_to(4, side) == [1] + [2] * (levels - 1)
    for _ in range(levels - 1):
        side = (side + 1) // 2
    assert side <= 4
