"""Places on a figure, against their laws."""

import itertools
import math
import random
import re

import pytest

from genbench.report.figures import (
    COLOURS,
    LEFT,
    LETTER,
    LINE,
    POINTS,
    WIDTH,
    Dot,
    Series,
    line_figure,
    pareto,
    scatter_figure,
    symbol,
)
from genbench.report.scales import linear, logarithmic


def dots(n: int, seed: int = 0) -> list[Dot]:
    rng = random.Random(seed)
    points = [(rng.uniform(1, 100), rng.choice([1.0, 2.0, 3.0, rng.random()])) for _ in range(n)]
    return [Dot(i, f"row {i}", x, y, y, y) for i, (x, y) in enumerate(points)]


# The Pareto front


@pytest.mark.parametrize("better", [-1, 1])
def test_the_front_holds_exactly_those_that_no_other_point_beats(better: int) -> None:
    points = dots(60)

    def beats(a: Dot, b: Dot) -> bool:
        return a.x <= b.x and better * a.y >= better * b.y and (a.x, a.y) != (b.x, b.y)

    front = pareto(points, better)
    assert {dot.row for dot in front} == {
        b.row for b in points if not any(beats(a, b) for a in points if a is not b)
    }
    assert [dot.x for dot in front] == sorted(dot.x for dot in front)


# Scales


@pytest.mark.parametrize(
    "values", [(0.001, 5.0), (3.0, 3.0), (0.0, 0.0), (-4.0, 9.0), (1e-9, 1e12), (99.0, 101.0), (2e8, 7e8)]
)
@pytest.mark.parametrize("kind", [linear, logarithmic])
def test_all_values_are_between_the_ends_in_their_order_and_ticks_are_round(
    kind: object, values: tuple[float, ...]
) -> None:
    scale = kind(values, 50, 500)  # type: ignore[operator]
    places = [scale(value) for value in values]
    assert places == sorted(places)
    assert all(50 <= place <= 500 for place in places)
    assert 1 <= len(scale.ticks) <= 16 or min(values) == max(values) or values == (1e-9, 1e12)
    assert all(50 <= place <= 500 for place, _ in scale.ticks)
    assert len({text for _, text in scale.ticks}) == len(scale.ticks)


def test_a_scale_is_logarithmic_where_values_span_much_and_are_above_nothing() -> None:
    assert logarithmic([1, 100], 0, 1).is_log
    assert not logarithmic([1, 2], 0, 1).is_log
    assert not logarithmic([0, 100], 0, 1).is_log
    scale = logarithmic([1, 100], 0, 300)
    assert scale(10) == pytest.approx(150)


def test_ticks_are_written_shortly() -> None:
    assert [text for _, text in linear([0, 20000], 0, 1).ticks] == ["0", "5000", "10k", "15k", "20k"]
    assert [text for _, text in logarithmic([0.001, 0.5], 0, 1).ticks] == ["0.001", "0.01", "0.1"]


# Scatter and lines


def test_no_two_labels_overlap_and_none_leaves_the_figure() -> None:
    figure = scatter_figure(dots(40), title="t", x_title="x", y_title="y", better=-1)
    assert figure is not None
    labels = [dot.label for dot in figure.dots if dot.label]
    assert len(labels) > 10
    boxes = []
    for label in labels:
        long = LETTER * len(label.text)
        left = label.x - {"start": 0, "middle": long / 2, "end": long}[label.anchor]
        boxes.append((left, label.y - 10, left + long, label.y + 2))
    assert all(box[0] >= LEFT and box[2] <= WIDTH for box in boxes)
    for a, b in itertools.combinations(boxes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_no_name_stands_on_a_level_part_of_a_front() -> None:
    figure = scatter_figure(dots(12), title="t", x_title="x", y_title="y", better=-1)
    assert figure is not None
    x, y, *steps = map(float, re.findall(r"[\d.]+", figure.front))
    labels = [dot.label for dot in figure.dots if dot.label]
    for x_next, y_next in zip(steps[::2], steps[1::2], strict=True):
        for label in labels:
            long = LETTER * len(label.text)
            left = label.x - {"start": 0, "middle": long / 2, "end": long}[label.anchor]
            assert not (left < x_next and x < left + long and abs(label.y - 4 - y) < LINE / 2)
        x, y = x_next, y_next


def test_every_budget_has_a_front_of_its_own() -> None:
    small = [Dot(i, f"a{i}", 1.0 + i, 9.0 - i, 9.0 - i, 9.0 - i, "10 images") for i in range(3)]
    large = [Dot(i, f"b{i}", 1.0 + i, 4.0 - i, 4.0 - i, 4.0 - i, "20 images") for i in range(3)]
    figure = scatter_figure([*small, *large], title="t", x_title="x", y_title="y", better=-1)
    assert figure is not None
    assert figure.front.count("M") == 2
    assert (
        figure.front.count("H") == 4
    )  # none of the first is beaten, though every one of the second is better
    as_one = [dot._replace(budget="") for dot in (*small, *large)]
    mixed = scatter_figure(as_one, title="t", x_title="x", y_title="y", better=-1)
    assert mixed is not None
    assert mixed.front.count("H") == 2


def test_a_name_that_stands_farther_off_is_led_to() -> None:
    crowd = [Dot(i, "a name of some length", 10.0 + 0.4 * i, 5.0, 5.0, 5.0) for i in range(6)]
    figure = scatter_figure(crowd, title="t", x_title="x", y_title="y", better=-1)
    assert figure is not None
    labels = [dot.label for dot in figure.dots if dot.label]
    assert any(label.leader for label in labels)
    assert not all(label.leader for label in labels)


def test_there_is_no_figure_of_one_point_of_equal_costs_or_of_no_numbers() -> None:
    one = Dot(0, "a", 1.0, 1.0, 1.0, 1.0)
    for points in ([], [one], [one, one._replace(x=1.001)], [one, one._replace(y=math.nan)]):
        assert scatter_figure(points, title="t", x_title="x", y_title="y", better=-1) is None
    assert line_figure([Series(0, "a", [1], [1])], title="t", x_title="x", y_title="y") is None


def test_a_long_line_is_averaged_and_what_is_not_finite_is_left_out() -> None:
    n = 10 * POINTS
    line = Series(0, "a", range(n), [math.nan if i == 3 else float(i) for i in range(n)])
    figure = line_figure([line], title="t", x_title="x", y_title="y")
    assert figure is not None
    assert figure.lines[0].path.count("L") < POINTS
    assert "nan" not in figure.lines[0].path


def test_rows_of_one_colour_differ_in_shape() -> None:
    shapes = {symbol(row, 10, 10) for row in range(0, 4 * COLOURS, COLOURS)}
    assert len(shapes) == 4
