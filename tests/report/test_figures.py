"""Places on a figure, against their laws."""

import itertools
import math
import random
import re

import pytest

from genbench.report.figures import (
    BOTTOM,
    COLOURS,
    HEIGHT,
    LEFT,
    NUMBERED,
    POINTS,
    WIDTH,
    Dot,
    Figure,
    Series,
    line_figure,
    pareto,
    scatter_figure,
    symbol,
)
from genbench.report.labels import LETTER, LINE, Box, Label, beads, labels, meet
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


def box(label: Label) -> Box:
    """What a label covers."""
    long = LETTER * len(label.text)
    left = label.x - {"start": 0, "middle": long / 2, "end": long}[label.anchor]
    return left, label.y - 4 - LINE / 2, left + long, label.y - 4 + LINE / 2


def lines_of(figure: Figure) -> list[Box]:
    """What the fronts and the bars of a figure cover."""
    found = []
    for path in (*(front.path for front in figure.fronts), *(dot.bar for dot in figure.dots)):
        corners: list[tuple[float, float]] = []
        for letter, numbers in re.findall(r"([MHV])([-\d.,]+)", path):
            x, y = corners[-1] if corners else (0.0, 0.0)
            place = [float(n) for n in numbers.split(",")]
            corners.append({"M": (place[0], place[-1]), "H": (place[0], y), "V": (x, place[0])}[letter])
        for (x0, y0), (x1, y1) in itertools.pairwise(corners):
            found.append((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)))
    return found


def crowd(n: int) -> list[Dot]:
    """Points with bars and long names, most of them close together."""
    rng = random.Random(n)
    points = [(10 ** rng.gauss(0, 0.3), rng.gauss(20, 4)) for _ in range(n)]
    return [Dot(i, f"model {i} · 5,120 images", x, y, y - 1, y + 1) for i, (x, y) in enumerate(points)]


@pytest.mark.parametrize("points", [dots(8), dots(12), dots(40), crowd(8), crowd(16), crowd(NUMBERED)])
def test_every_point_has_a_label_that_nothing_crosses(points: list[Dot]) -> None:
    figure = scatter_figure(points, title="t", x_title="x", y_title="y", better=-1)
    assert figure is not None
    found = [dot.label for dot in figure.dots if dot.label]
    assert len(found) == len(points)
    for label in found:
        left, top, right, bottom = box(label)
        assert min(left - LEFT, WIDTH - right, top, HEIGHT - BOTTOM - bottom) >= 0
        assert not any(meet(box(label), line) for line in lines_of(figure))
    for a, b in itertools.combinations(found, 2):
        assert not meet(box(a), box(b))


def test_a_leader_goes_from_its_point_to_its_text_and_over_no_other() -> None:
    points = [(200.0 + 12 * i, 150.0) for i in range(7)]
    texts = ["a name of some length"] * 7
    found = labels(texts, points, room=(0, 0, 600, 300), taken=[], lines=[])
    assert any(label and label.leader for label in found)
    assert not all(label and label.leader for label in found)
    for (x, y), label in zip(points, found, strict=True):
        assert label is not None
        if label.leader:
            start, end = (
                tuple(map(float, part.split(","))) for part in label.leader.removeprefix("M").split("L")
            )
            left, top, right, bottom = box(label)
            assert start == (x, y)
            assert left - 3 <= end[0] <= right + 3
            assert top - 3 <= end[1] <= bottom + 3
            others = [box(other) for other in found if other and other is not label]
            assert not any(meet(bead, other) for bead in beads(*start, end) for other in others)


def test_points_whose_names_have_no_room_have_their_rows_numbers() -> None:
    few = scatter_figure(dots(6), title="t", x_title="x", y_title="y", better=-1)
    many = scatter_figure(crowd(40), title="t", x_title="x", y_title="y", better=-1)
    assert few is not None
    assert many is not None
    assert few.numbered == []
    assert [dot.label.text for dot in few.dots if dot.label] == [f"row {i}" for i in range(6)]
    assert many.numbered == list(range(40))
    assert [dot.label.text for dot in many.dots if dot.label] == [str(i + 1) for i in range(40)]


def test_of_very_many_points_the_front_alone_has_numbers() -> None:
    points = dots(NUMBERED + 300)
    figure = scatter_figure(points, title="t", x_title="x", y_title="y", better=-1)
    assert figure is not None
    assert set(figure.numbered) == {dot.row for dot in pareto(points, -1)}


def test_every_league_has_a_front_of_its_own_and_what_is_in_none_is_on_none() -> None:
    small = [Dot(i, f"a{i}", 1.0 + i, 9.0 - i, 9.0 - i, 9.0 - i, "10 images") for i in range(3)]
    large = [Dot(i, f"b{i}", 1.0 + i, 4.0 - i, 4.0 - i, 4.0 - i, "20 images") for i in range(3)]
    pooled = Dot(9, "c", 0.5, 1.0, 1.0, 1.0, None)
    figure = scatter_figure([*small, *large, pooled], title="t", x_title="x", y_title="y", better=-1)
    assert figure is not None
    assert [front.tip for front in figure.fronts] == [f"Pareto front of {n} images" for n in (10, 20)]
    # None of the first is beaten, though every one of the second is better.
    assert [front.path.count("H") for front in figure.fronts] == [2, 2]
    as_one = [dot._replace(league="") for dot in (*small, *large)]
    mixed = scatter_figure(as_one, title="t", x_title="x", y_title="y", better=-1)
    assert mixed is not None
    assert [front.path.count("H") for front in mixed.fronts] == [2]


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
