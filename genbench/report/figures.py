"""Measures of runs -> figures in places and paths, which the page draws as SVG."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from genbench.report.scales import Scale, linear, logarithmic

__all__ = ["COLOURS", "Dot", "Figure", "Series", "line_figure", "pareto", "scatter_figure", "symbol"]

WIDTH, HEIGHT = 560, 340
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 14, 46
LETTER, LINE = 7.4, 13  # the room that a label takes, in the units of the figure
GAP, RADIUS = 9, 5
POINTS = 240  # of one line; more are averaged
COLOURS, SHAPES = 8, 4
SAME = 0.02  # relative differences of x up to here are none
Box = tuple[float, float, float, float]  # left, top, right, bottom


class Dot(NamedTuple):
    """One row of a table as a point."""

    row: int
    name: str
    x: float
    y: float
    low: float
    high: float
    """The ends of y's interval; y where it has none."""
    budget: str = ""
    """What its training might spend; only dots of one budget beat each other."""


class Series(NamedTuple):
    """One line."""

    row: int
    name: str
    xs: Sequence[float]
    ys: Sequence[float]


class Label(NamedTuple):
    """A text beside a point."""

    x: float
    y: float
    anchor: str
    text: str
    leader: str = ""
    """The path from the point to a text that stands farther off."""


class Mark(NamedTuple):
    """A point, or a line, as it is drawn."""

    row: int
    path: str
    tip: str
    bar: str = ""
    label: Label | None = None


class Figure(NamedTuple):
    """What a figure consists of."""

    title: str
    x_title: str
    y_title: str
    x_scale: Scale
    y_scale: Scale
    dots: list[Mark]
    lines: list[Mark]
    front: str = ""
    """The path along those that no other point beats."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return WIDTH, HEIGHT

    @property
    def plane(self) -> Box:
        """What lies between the axes."""
        return LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM


def scatter_figure(
    dots: Sequence[Dot], *, title: str, x_title: str, y_title: str, better: int
) -> Figure | None:
    """Points with names, the interval of y, and for each budget the front of those that no other one
    of it beats in both.

    Lower x is better, and y as `better` says. None where fewer than two points have both numbers, or all of
    them one x.
    """
    known = [dot for dot in dots if all(map(math.isfinite, (dot.x, dot.y, dot.low, dot.high)))]
    xs = [dot.x for dot in known]
    if len(known) < 2 or max(xs) - min(xs) <= SAME * max(xs):
        return None
    x_scale = logarithmic(xs, LEFT, WIDTH - RIGHT)
    y_scale = linear([end for dot in known for end in (dot.low, dot.high)], HEIGHT - BOTTOM, TOP)
    places = [(x_scale(dot.x), y_scale(dot.y)) for dot in known]
    fronts = [
        [
            (x_scale(dot.x), y_scale(dot.y))
            for dot in pareto([one for one in known if one.budget == budget], better)
        ]
        for budget in dict.fromkeys(dot.budget for dot in known)
    ]
    taken = [(x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS) for x, y in places]
    taken += [box for front in fronts for box in treads(front)]
    crossed = [box for front in fronts for box in risers(front)]
    marks = [
        Mark(
            dot.row,
            symbol(dot.row, x, y),
            f"{dot.name}: {y_title} {dot.y:.4g}, {x_title} {dot.x:.4g}",
            f"M{x},{y_scale(dot.low)}V{y_scale(dot.high)}" if dot.low < dot.high else "",
            label(dot.name, x, y, taken, crossed),
        )
        for dot, (x, y) in zip(known, places, strict=True)
    ]
    return Figure(title, x_title, y_title, x_scale, y_scale, marks, [], "".join(map(stairs, fronts)))


def pareto(dots: Sequence[Dot], better: int) -> list[Dot]:
    """The points that no other one beats in both: lower x, and y as `better` says; by x."""
    front: list[Dot] = []
    for dot in sorted(dots, key=lambda dot: (dot.x, -better * dot.y)):
        if not front or better * dot.y > better * front[-1].y:
            front.append(dot)
    return front


def stairs(corners: Sequence[tuple[float, float]]) -> str:
    """The path from corner to corner, level and then upright; none from a single one."""
    if len(corners) < 2:
        return ""
    (x, y), *others = corners
    return f"M{x},{y}" + "".join(f"H{x}V{y}" for x, y in others)


def treads(corners: Sequence[tuple[float, float]]) -> list[Box]:
    """The room that the level parts of stairs take."""
    return [(x0, y0 - 1, x1, y0 + 1) for (x0, y0), (x1, _) in itertools.pairwise(corners)]


def risers(corners: Sequence[tuple[float, float]]) -> list[Box]:
    """The room that their upright parts take."""
    pairs = itertools.pairwise(corners)
    return [(x1 - 1, min(y0, y1), x1 + 1, max(y0, y1)) for (_, y0), (x1, y1) in pairs]


def symbol(row: int, x: float, y: float) -> str:
    """A row's shape around a point: circle, square, diamond, triangle; rows of one colour differ in it."""
    r = RADIUS
    return (
        f"M{x - r:.2f},{y}a{r},{r} 0 1,0 {2 * r},0a{r},{r} 0 1,0 {-2 * r},0Z",
        f"M{x - r:.2f},{y - r:.2f}h{2 * r}v{2 * r}h{-2 * r}Z",
        f"M{x},{y - 1.3 * r:.2f}l{1.3 * r},{1.3 * r}l{-1.3 * r},{1.3 * r}l{-1.3 * r},{-1.3 * r}Z",
        f"M{x},{y - 1.2 * r:.2f}l{1.2 * r},{2.2 * r}h{-2.4 * r}Z",
    )[row // COLOURS % SHAPES]


def label(name: str, x: float, y: float, taken: list[Box], crossed: Sequence[Box]) -> Label | None:
    """A point's name where nothing is yet, which takes that place; None where there is no room near it.

    Where every place is across an upright line, one of these.
    """
    long = LETTER * len(name)
    for shy, (anchor, left, middle) in itertools.product((True, False), spots(x, y, long)):
        box = (left, middle - LINE / 2, left + long, middle + LINE / 2)
        inside = left > LEFT and box[2] < WIDTH and box[1] > 0 and box[3] < HEIGHT - BOTTOM
        if inside and not any(meet(box, other) for other in (*taken, *(crossed if shy else ()))):
            taken.append(box)
            end = left + {"start": 0.0, "end": long, "middle": long / 2}[anchor]
            far = abs(middle - y) > 1.5 * LINE
            leader = f"M{x},{y}L{end:.2f},{middle - math.copysign(LINE / 2, middle - y):.2f}" if far else ""
            return Label(round(end, 2), round(middle + 4, 2), anchor, name, leader)
    return None


def spots(x: float, y: float, long: float) -> Iterator[tuple[str, float, float]]:
    """Where a name may stand, the nearest first: how it is anchored, its left end and its middle."""
    yield "start", x + GAP, y
    yield "end", x - GAP - long, y
    for lines in (1, -1, 2, -2, 3, -3, 4, -4):
        yield "middle", x - long / 2, y - lines * LINE
        yield "start", x + GAP, y - lines * LINE
        yield "end", x - GAP - long, y - lines * LINE


def meet(a: Box, b: Box) -> bool:
    """Whether two boxes overlap."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def line_figure(
    series: Sequence[Series], *, title: str, x_title: str, y_title: str, logarithmic_y: bool = False
) -> Figure | None:
    """Lines. None where there is none of two points."""
    lines = [thin for thin in map(thinned, series) if len(thin.xs) > 1]
    if not lines:
        return None
    y_kind = logarithmic if logarithmic_y else linear
    x_scale = linear([x for line in lines for x in line.xs], LEFT, WIDTH - RIGHT)
    y_scale = y_kind([y for line in lines for y in line.ys], HEIGHT - BOTTOM, TOP)
    marks = [
        Mark(
            line.row,
            "M" + "L".join(f"{x_scale(x)},{y_scale(y)}" for x, y in zip(line.xs, line.ys, strict=True)),
            line.name,
        )
        for line in lines
    ]
    return Figure(title, x_title, y_title, x_scale, y_scale, [], marks)


def thinned(series: Series) -> Series:
    """A line of at most POINTS points, each the mean of its neighbours; what is not finite is left out."""
    points = [pair for pair in zip(series.xs, series.ys, strict=True) if all(map(math.isfinite, pair))]
    each = -(-len(points) // POINTS) or 1
    parts = [points[i : i + each] for i in range(0, len(points), each)]
    xs, ys = ([sum(pair[axis] for pair in part) / len(part) for part in parts] for axis in (0, 1))
    return series._replace(xs=xs, ys=ys)
