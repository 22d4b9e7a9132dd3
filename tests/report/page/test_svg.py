"""Figures as SVG, against their laws."""

import itertools
import math
import random
import re
import subprocess
import sys
import warnings
from xml.etree.ElementTree import Element, fromstring

import matplotlib
import numpy as np
import pytest

from genbench.report.page.label_positions import LETTER, LINE, overlaps
from genbench.report.page.svg import (
    BOTTOM,
    COLOURS,
    HEIGHT,
    LEFT,
    NUMBERED,
    RIGHT,
    SHAPES,
    TOP,
    VERTICES,
    WIDTH,
    Figure,
    Line,
    Point,
    line_figure,
    pareto_front,
    scatter_figure,
)


def dots(n: int, seed: int = 0) -> list[Point]:
    rng = random.Random(seed)
    points = [(rng.uniform(1, 100), rng.choice([1.0, 2.0, 3.0, rng.random()])) for _ in range(n)]
    return [Point(i, f"row {i}", x, y, y, y) for i, (x, y) in enumerate(points)]


def crowd(n: int) -> list[Point]:
    """Points with bars and long names, most of them close together."""
    rng = random.Random(n)
    points = [(10 ** rng.gauss(0, 0.3), rng.gauss(20, 4)) for _ in range(n)]
    return [Point(i, f"model {i} · 5,120 images", x, y, y - 1, y + 1) for i, (x, y) in enumerate(points)]


def scatter(points: list[Point], *, better: int = -1) -> Figure:
    figure = scatter_figure(points, x_title="x", y_title="y", better=better)
    assert figure is not None
    return figure


def curves(ys: list[float], *, logarithmic_y: bool = False) -> Figure:
    """A figure of one line over 0, 1, 2, .."""
    line = Line(0, "a", range(len(ys)), ys)
    figure = line_figure([line], x_title="x", y_title="y", logarithmic_y=logarithmic_y)
    assert figure is not None
    return figure


def parts(figure: Figure, kind: str) -> list[Element]:
    """The shapes of one kind, in the order in which they are drawn."""
    return [shape for shape in fromstring(figure.svg) if shape.get("class", "").split()[0] == kind]


def texts(figure: Figure, kind: str) -> list[str]:
    return [shape.text or "" for shape in parts(figure, kind) if shape.tag == "text"]


def corners(path: Element) -> np.ndarray:
    """(n, 2) corners of a path of straight lines."""
    return np.array(re.findall(r"[\d.]+", path.get("d", "")), dtype=float).reshape(-1, 2)


def boxes_of(path: Element) -> np.ndarray:
    """(n, 4) boxes that the pieces of a path along the axes cover."""
    ends = itertools.pairwise(corners(path))
    return np.array([[*np.minimum(a, b), *np.maximum(a, b)] for a, b in ends])


def label_boxes(figure: Figure) -> np.ndarray:
    """(n, 4) boxes that the labels of the points cover."""
    found = []
    for text in parts(figure, "label"):
        wide = LETTER * len(text.text or "")
        left = (
            float(text.get("x", ""))
            - {"start": 0, "middle": wide / 2, "end": wide}[text.get("text-anchor", "")]
        )
        middle = float(text.get("y", "")) - 4.5
        found.append((left, middle - LINE / 2 + 1, left + wide, middle + LINE / 2 - 1))
    return np.array(found)


# The Pareto front


@pytest.mark.parametrize("better", [-1, 1])
def test_the_front_holds_exactly_those_that_no_other_point_beats(better: int) -> None:
    points = dots(60)

    def beats(a: Point, b: Point) -> bool:
        return a.x <= b.x and better * a.y >= better * b.y and (a.x, a.y) != (b.x, b.y)

    front = pareto_front(points, better)
    assert {p.row for p in front} == {
        b.row for b in points if not any(beats(a, b) for a in points if a is not b)
    }
    assert [p.x for p in front] == sorted(p.x for p in front)


def test_every_budget_has_a_front_of_its_own_and_what_is_of_none_is_on_none() -> None:
    small = [Point(i, f"a{i}", 1.0 + i, 9.0 - i, 9.0 - i, 9.0 - i, "10 images") for i in range(3)]
    large = [Point(3 + i, f"b{i}", 1.0 + i, 4.0 - i, 4.0 - i, 4.0 - i, "20 images") for i in range(3)]
    pooled = Point(9, "c", 0.5, 1.0, 1.0, 1.0, None)
    fronts = parts(scatter([*small, *large, pooled]), "front")
    assert [front[0].text for front in fronts] == [f"Pareto front of {n} images" for n in (10, 20)]
    # None of the first is beaten, though every one of the second is better.
    assert [len(corners(front)) for front in fronts] == [5, 5]
    as_one = [p._replace(budget="") for p in (*small, *large)]
    (front,) = parts(scatter(as_one), "front")
    assert len(corners(front)) == 5
    assert front[0].text == "Pareto front"


# Scales


@pytest.mark.parametrize(
    "values",
    [
        (0.001, 5.0),
        (3.0, 3.0),
        (0.0, 0.0),
        (-4.0, 9.0),
        (1e-9, 1e12),
        (99.0, 101.0),
        (2e8, 7e8),
        (-1e149, 1e149),
        (1e-149, 1e149),
    ],
)
@pytest.mark.parametrize("logarithmic", [False, True])
def test_all_values_are_between_the_ends_in_their_order_and_ticks_are_different(
    logarithmic: bool, values: tuple[float, ...]
) -> None:
    figure = curves([*values], logarithmic_y=logarithmic)
    (line,) = parts(figure, "line")
    heights = corners(line)[:, 1]
    assert [*heights] == sorted(heights, reverse=True)
    grid = [corners(path)[0, 1] for path in parts(figure, "ytick") if path.tag == "path"]
    assert all(TOP - 0.1 <= place <= HEIGHT - BOTTOM + 0.1 for place in (*heights, *grid))
    names = texts(figure, "ytick")
    assert 1 <= len(names) <= 16
    assert len({*names}) == len(names)


def test_a_scale_is_logarithmic_where_values_span_much_and_are_above_nothing() -> None:
    def middle_of(values: list[float]) -> float:
        """Return the place of the second of three values between the others, from 0 to 1."""
        first, second, third = corners(parts(curves(values, logarithmic_y=True), "line")[0])[:, 1]
        return (second - first) / (third - first)

    assert middle_of([1, 10, 100]) == pytest.approx(0.5, abs=1e-3)
    assert middle_of([1, 1.1, 2]) == pytest.approx(0.1, abs=1e-3)
    assert middle_of([0, 10, 100]) == pytest.approx(0.1, abs=1e-3)


def test_ticks_are_written_shortly() -> None:
    assert texts(curves([0, 20000]), "ytick") == ["0", "5000", "10k", "15k", "20k"]
    assert texts(curves([0.001, 0.5], logarithmic_y=True), "ytick") == ["0.001", "0.01", "0.1"]
    assert texts(curves([2e-7, 3e-5], logarithmic_y=True), "ytick") == ["1e-06", "1e-05"]
    assert texts(curves([10_000, 10_000.4]), "ytick")[:2] == ["10k", "10.0001k"]


# Points and lines


@pytest.mark.parametrize("points", [dots(8), dots(12), dots(40), crowd(8), crowd(16), crowd(NUMBERED)])
def test_every_point_has_a_label_that_nothing_crosses(points: list[Point]) -> None:
    figure = scatter(points)
    labels = label_boxes(figure)
    assert len(labels) == len(points)
    assert (labels > (LEFT, 0, LEFT, 0)).all()
    assert (labels < (WIDTH, HEIGHT - BOTTOM, WIDTH, HEIGHT - BOTTOM)).all()
    crossing = [*parts(figure, "front"), *parts(figure, "bar")]
    assert not any(overlaps(labels, boxes_of(path)).any() for path in crossing)
    assert overlaps(labels, labels).sum() == len(labels)  # each with itself


def test_points_whose_names_have_no_room_have_their_rows_numbers() -> None:
    few, many = scatter(dots(6)), scatter(crowd(40))
    assert list(few.legend) == []
    assert texts(few, "label") == [f"row {i}" for i in range(6)]
    assert list(many.legend) == [*range(40)]
    assert texts(many, "label") == [str(i + 1) for i in range(40)]


def test_of_very_many_points_the_front_alone_has_numbers() -> None:
    points = dots(NUMBERED + 300)
    figure = scatter(points)
    assert {*figure.legend} == {p.row for p in pareto_front(points, -1)}
    assert len(parts(figure, "dot")) == len(points)
    pooled = scatter([p._replace(budget=None) for p in points])
    assert list(pooled.legend) == []


def test_there_is_no_figure_of_one_point_of_equal_costs_or_of_no_numbers() -> None:
    one = Point(0, "a", 1.0, 1.0, 1.0, 1.0)
    for points in ([], [one], [one, one._replace(x=1.001)], [one, one._replace(y=math.nan)]):
        assert scatter_figure(points, x_title="x", y_title="y", better=-1) is None
    assert line_figure([Line(0, "a", [1], [1])], x_title="x", y_title="y") is None


def test_a_long_line_is_averaged_and_what_is_not_finite_is_left_out() -> None:
    n = 10 * VERTICES
    (line,) = parts(curves([math.nan if i == 3 else float(i) for i in range(n)]), "line")
    assert 2 < len(corners(line)) <= VERTICES
    assert "nan" not in line.get("d", "")


def test_points_intervals_and_lines_stand_where_their_numbers_are() -> None:
    points = [Point(4, "a", 1.0, 10.0, 9.0, 11.0), Point(17, "b", 10.0, 20.0, 18.0, 22.0)]
    figure = scatter(points)
    a, b = (np.array([float(p.get("x", "")), float(p.get("y", ""))]) for p in parts(figure, "dot"))
    low, high = (corners(path) for path in parts(figure, "bar"))
    assert a[0] < b[0]
    assert b[1] < a[1]  # y grows upwards
    per_unit = (a[1] - b[1]) / 10
    assert low[:, 1] == pytest.approx([a[1] + per_unit, a[1] - per_unit], abs=0.05)
    assert high[:, 1] == pytest.approx([b[1] + 2 * per_unit, b[1] - 2 * per_unit], abs=0.05)
    assert [shape.get("data-row") for shape in parts(figure, "dot")] == ["4", "17"]
    assert parts(figure, "dot")[0][0].text == "a: y ↓ 10, x 1"
    assert LEFT < a[0] < b[0] < WIDTH - RIGHT


def test_rows_of_one_colour_differ_in_symbol_and_in_dash() -> None:
    rows = range(0, SHAPES * COLOURS, COLOURS)
    figure = scatter([Point(row, "a", 1.0 + row, 2.0 + row, 2.0 + row, 2.0 + row) for row in rows])
    assert [dot.get("href") for dot in parts(figure, "dot")] == [f"#shape{i}" for i in range(SHAPES)]
    lines = [Line(row, "a", [0, 1], [0, row]) for row in rows]
    drawn = line_figure(lines, x_title="x", y_title="y")
    assert drawn is not None
    assert [line.get("class") for line in parts(drawn, "line")] == [f"line c0 d{i}" for i in range(SHAPES)]


def test_a_chosen_point_is_marked_where_the_curve_has_it_and_nowhere_else() -> None:
    xs, ys = list(range(1, 1001)), [1.0 + abs(x - 777) for x in range(1, 1001)]
    for best, count in ((777, 1), (777.5, 0), (None, 0)):
        line = Line(5, "a", xs, ys, is_validation=True, best=best)
        figure = line_figure([line], x_title="x", y_title="y")
        assert figure is not None
        assert [shape.get("class") for shape in parts(figure, "validation")] == ["validation c5 d0"]
        assert [dot.get("href") for dot in parts(figure, "dot")] == ["#shape0"] * count


# Texts of others, and matplotlib's settings


def test_texts_are_shown_as_they_are_and_escaped() -> None:
    hostile = "$\\frac{a}$ <b>&amp; \x1b[1m\u202e $x_1$"
    points = [Point(i, hostile, 1.0 + i, 1.0 + i, 1.0 + i, 1.0 + i, hostile) for i in range(2)]
    figure = scatter_figure(points, x_title=hostile, y_title=hostile, better=1)
    assert figure is not None
    shown = "$\\frac{a}$ <b>&amp; \\x1b[1m\\u202e $x_1$"
    assert texts(figure, "label") == [shown, shown]
    assert texts(figure, "axis") == [shown, f"{shown} ↑"]
    assert fromstring(figure.svg).get("aria-label") == f"{shown} against {shown}"
    assert parts(figure, "dot")[0][0].text == f"{shown}: {shown} ↑ 1, {shown} 1"
    assert parts(figure, "front")[0][0].text == f"Pareto front of {shown}"
    assert "<b>" not in figure.svg


def test_a_very_long_name_is_cut_where_it_has_no_room() -> None:
    name = "a" * 100_000
    points = [Point(i, name, 1.0 + i, 1.0 + i, 1.0 + i, 1.0 + i) for i in range(2)]
    figure = scatter_figure(points, x_title=name, y_title=name, better=1)
    assert figure is not None
    assert list(figure.legend) == [0, 1]
    assert all(len(text) < 100 for text in texts(figure, "axis"))


def test_letters_that_matplotlibs_font_lacks_are_no_news() -> None:
    points = [Point(i, "模型 🜁", 1.0 + i, 1.0 + i, 1.0 + i, 1.0 + i) for i in range(2)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert texts(scatter(points), "label") == ["模型 🜁"] * 2


def test_equal_numbers_give_equal_bytes_whatever_the_users_settings_are() -> None:
    before = scatter(crowd(9)).svg
    changed = {"font.size": 30, "text.usetex": True, "svg.fonttype": "path", "axes.facecolor": "red"}
    with matplotlib.rc_context(changed):
        assert scatter(crowd(9)).svg == before
        assert matplotlib.rcParams["font.size"] == 30  # and they stay the user's


def test_matplotlib_is_imported_where_a_figure_is_made_and_pyplot_never() -> None:
    figure = "svg.line_figure([svg.Line(0, 'a', [0, 1], [0, 1])], x_title='x', y_title='y')"
    program = f"""
import sys
from genbench.report.page import html, svg
assert "matplotlib" not in sys.modules
assert {figure}
assert "matplotlib" in sys.modules and "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
