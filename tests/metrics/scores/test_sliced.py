"""The sliced Wasserstein distance."""

import pytest
import torch

from genbench.metrics.scores.sliced import sliced_distance
from tests.metrics.sets import correlated


def test_on_a_line_it_is_the_distance_of_the_sorted_points() -> None:
    x, y = torch.tensor([[0.0], [4.0], [1.0]]), torch.tensor([[6.0], [0.0], [3.0]])
    # 0 -> 0, 1 -> 3, 4 -> 6
    assert sliced_distance(x, y, directions=5)[0] == pytest.approx(((0 + 4 + 4) / 3) ** 0.5, rel=1e-12)


def test_a_shift_in_many_dimensions_is_seen_as_its_length_by_the_root_of_their_number() -> None:
    d = 16
    x = correlated(100, d, 0)
    shift = torch.linspace(-1, 2, d, dtype=torch.float64)
    expected = float(shift.norm()) / d**0.5
    # (u . m)^2 has the mean |m|^2 / d and a relative deviation of 1.3 / 4000^(1/2), which the root halves
    assert sliced_distance(x, x + shift, directions=4000)[0] == pytest.approx(expected, rel=5 * 0.01)


def test_equal_sets_have_none_whatever_their_order() -> None:
    x = correlated(80, 5, 1)
    value, influences = sliced_distance(x, x.flip(0), directions=10)
    assert value == 0
    assert not influences.any()


def test_an_influence_is_the_derivative_of_the_distance_in_the_samples_weight() -> None:
    """Two copies of every point and of the real ones, and a third of one: a weight of 1 / 2n more."""
    n = 60
    x, y = correlated(n, 1, 2), correlated(n, 1, 3, shift=0.5)
    copies = 200
    value, influences = sliced_distance(x, y, directions=1)
    for i in (0, 17, 59):
        more = torch.cat([y.repeat_interleave(copies, 0), y[i : i + 1]])
        real = torch.cat([x.repeat_interleave(copies, 0), x[:1]])  # of as many, and itself little changed
        base = torch.cat([y.repeat_interleave(copies, 0), y[:1]])
        change = sliced_distance(real, more, directions=1)[0] - sliced_distance(real, base, directions=1)[0]
        expected = float(influences[i] - influences[0]) / (n * copies + 1)
        # trapezoids between 60 points, and a step of 1 / 12,001
        assert change == pytest.approx(expected, rel=0.1, abs=2e-6)
    assert value > 0


def test_the_directions_do_not_depend_on_the_global_generator() -> None:
    x, y = correlated(50, 5, 4), correlated(50, 5, 5)
    before = torch.get_rng_state()
    first = sliced_distance(x, y, directions=8)[0]
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert sliced_distance(x, y, directions=8)[0] == first
