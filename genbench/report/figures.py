"""Measures of runs -> figures in places and paths, which the page draws as SVG."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from genbench.report.labels import Box, Label, labels
from genbench.report.scales import Scale, linear, logarithmic

__all__ = ["COLOURS", "Dot", "Figure", "Series", "line_figure", "pareto", "scatter_figure", "symbol"]

WIDTH, HEIGHT = 560, 340
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 14, 46
RADIUS = 5
POINTS = 240  # of one line; more are averaged
COLOURS, SHAPES = 8, 4
SAME = 0.02  # relative differences of x up to here are none
NAMED, NUMBERED = 24, 60  # up to how many points each has its name, and its number


class Dot(NamedTuple):
    """One row of a table as a point."""

    row: int
    name: str
    x: float
    y: float
    low: float
    high: float
    """The ends of y's interval; y where it has none."""
    league: str | None = ""
    """What it is ranked in: only points of one league beat each other; None of what is ranked with none."""


class Series(NamedTuple):
    """One line."""

    row: int
    name: str
    xs: Sequence[float]
    ys: Sequence[float]


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
    fronts: Sequence[Mark] = ()
    """For each league the path along those that no other point of it beats."""

    @property
    def numbered(self) -> list[int]:
        """The rows whose points have the row's number for a name."""
        return [dot.row for dot in self.dots if dot.label and dot.label.text == number(dot.row)]

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
    """Points with names, the interval of y, and for each league the front of those that none beats in both.

    Lower x is better, and y as `better` says. Where not all names have room, points have their row's number.
    None where fewer than two points have both numbers, or all of them one x.
    """
    known = [dot for dot in dots if all(map(is_drawable, (dot.x, dot.y, dot.low, dot.high)))]
    xs = [dot.x for dot in known]
    if len(known) < 2 or max(xs) - min(xs) <= SAME * max(xs):
        return None
    x_scale = logarithmic(xs, LEFT, WIDTH - RIGHT)
    y_scale = linear([end for dot in known for end in (dot.low, dot.high)], HEIGHT - BOTTOM, TOP)
    fronts = leading(known, better)
    stairways = [[(x_scale(dot.x), y_scale(dot.y)) for dot in front] for front in fronts]
    bars = [(x_scale(dot.x), y_scale(dot.high), y_scale(dot.low)) for dot in known]
    places = [(x_scale(dot.x), y_scale(dot.y)) for dot in known]
    lines = [*(box for way in stairways for box in steps(way)), *((x - 1, a, x + 1, b) for x, a, b in bars)]
    called = {dot.row for front in fronts for dot in front} if len(known) > NUMBERED else None
    marks = [
        Mark(
            dot.row,
            symbol(dot.row, x, y),
            f"{dot.name}: {y_title} {dot.y:.4g}, {x_title} {dot.x:.4g}",
            f"M{x},{bottom}V{top}" if dot.low < dot.high else "",
            text,
        )
        for dot, (x, y), (_, top, bottom), text in zip(
            known, places, bars, named(known, places, lines, called), strict=True
        )
    ]
    ways = [
        Mark(front[0].row, stairs(way), " of ".join(filter(None, ("Pareto front", front[0].league))))
        for front, way in zip(fronts, stairways, strict=True)
    ]
    return Figure(title, x_title, y_title, x_scale, y_scale, marks, [], ways)


def is_drawable(value: float) -> bool:
    """True for numbers with which a scale can compute: finite, and so far from the ends of floats."""
    return value == 0 or 1e-150 < abs(value) < 1e150


def leading(dots: Sequence[Dot], better: int) -> list[list[Dot]]:
    """The front of each league, of those that have two points or more."""
    leagues = dict.fromkeys(dot.league for dot in dots if dot.league is not None)
    fronts = [pareto([dot for dot in dots if dot.league == league], better) for league in leagues]
    return [front for front in fronts if len(front) > 1]


def named(
    dots: Sequence[Dot], places: Sequence[tuple[float, float]], lines: Sequence[Box], called: set[int] | None
) -> list[Label | None]:
    """The names of all points; where they have no room the numbers, of those that are called (None: all)."""
    r = 1.3 * RADIUS  # the farthest that a symbol reaches
    taken = [(x - r, y - r, x + r, y + r) for x, y in places]
    room = (LEFT, 0, WIDTH, HEIGHT - BOTTOM)
    if len(dots) <= NAMED:
        found = labels([dot.name for dot in dots], places, room=room, taken=taken, lines=lines)
        if all(found):
            return found
    these = [i for i, dot in enumerate(dots) if called is None or dot.row in called]
    texts = [number(dots[i].row) for i in these]
    found = labels(texts, [places[i] for i in these], room=room, taken=taken, lines=lines, every=True)
    by_place = dict(zip(these, found, strict=True))
    return [by_place.get(i) for i in range(len(dots))]


def number(row: int) -> str:
    """What a row is called where its name has no room."""
    return str(row + 1)


def pareto(dots: Sequence[Dot], better: int) -> list[Dot]:
    """The points that no other one beats in both: lower x, and y as `better` says; by x."""
    front: list[Dot] = []
    for dot in sorted(dots, key=lambda dot: (dot.x, -better * dot.y)):
        if not front or better * dot.y > better * front[-1].y:
            front.append(dot)
    return front


def stairs(corners: Sequence[tuple[float, float]]) -> str:
    """The path from corner to corner, level and then upright."""
    (x, y), *others = corners
    return f"M{x},{y}" + "".join(f"H{x}V{y}" for x, y in others)


def steps(corners: Sequence[tuple[float, float]]) -> list[Box]:
    """The room that stairs take, level and upright."""
    pairs = list(itertools.pairwise(corners))
    level = [(x0, y0 - 1, x1, y0 + 1) for (x0, y0), (x1, _) in pairs]
    return [*level, *((x1 - 1, min(y0, y1), x1 + 1, max(y0, y1)) for (_, y0), (x1, y1) in pairs)]


def symbol(row: int, x: float, y: float) -> str:
    """A row's shape around a point: circle, square, diamond, triangle; rows of one colour differ in it."""
    r = RADIUS
    return (
        f"M{x - r:.2f},{y}a{r},{r} 0 1,0 {2 * r},0a{r},{r} 0 1,0 {-2 * r},0Z",
        f"M{x - r:.2f},{y - r:.2f}h{2 * r}v{2 * r}h{-2 * r}Z",
        f"M{x},{y - 1.3 * r:.2f}l{1.3 * r},{1.3 * r}l{-1.3 * r},{1.3 * r}l{-1.3 * r},{-1.3 * r}Z",
        f"M{x},{y - 1.2 * r:.2f}l{1.2 * r},{2.2 * r}h{-2.4 * r}Z",
    )[row // COLOURS % SHAPES]


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
    """A line of at most POINTS points, each the mean of its neighbours; what cannot be drawn is left out."""
    points = [pair for pair in zip(series.xs, series.ys, strict=True) if all(map(is_drawable, pair))]
    each = -(-len(points) // POINTS) or 1
    parts = [points[i : i + each] for i in range(0, len(points), each)]
    xs, ys = ([sum(pair[axis] for pair in part) / len(part) for part in parts] for axis in (0, 1))
    return series._replace(xs=xs, ys=ys)
