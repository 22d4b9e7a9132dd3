"""Points or lines with axes -> SVG: matplotlib computes the places, the page has the colours."""

import io
import itertools
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

import numpy as np
from markupsafe import Markup

from genbench.report.page.label_positions import SYMBOL, Label, place_labels
from genbench.runtime.printable import in_one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import XAxis, YAxis
    from matplotlib.figure import Figure as WholeFigure

__all__ = [
    "COLOURS",
    "SHAPES",
    "Figure",
    "Line",
    "Point",
    "are_drawable",
    "averaged",
    "line_figure",
    "new_axes",
    "pareto_front",
    "room",
    "scatter_figure",
    "set_scale",
    "to_svg",
    "write_label",
]

WIDTH, HEIGHT = 560, 340
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 14, 46  # margins around the axes
MARGIN = 0.06  # free share of an axis at each end
COLOURS, SHAPES = 8, 4  # that the style sheet and the template have for rows
SAME = 0.02  # x values whose relative difference is smaller count as equal
NAMED, NUMBERED = 24, 60  # up to how many points are labelled with their names, and with their rows' numbers
VERTICES = 240  # of one line; longer ones are averaged
LONGEST = 60  # letters of an axis title
SETTINGS = {"svg.fonttype": "none", "svg.hashsalt": "genbench", "font.size": 12, "axes.unicode_minus": False}
SHARED = ("xtick", "ytick", "axis", "front")  # parts that belong to no row, and stay when rows are filtered
PARTS = (*SHARED, "bar", "line", "validation", "leader", "dot", "label")
"""Parts of matplotlib's SVG that the page uses: the group `dot-3-5` holds the symbols of rows 3 and 5."""


class Point(NamedTuple):
    """One row of a table by its cost x and its quality y."""

    row: int
    name: str
    x: float
    y: float
    low: float  # the ends of y's interval, y where it has none
    high: float
    budget: str | None = ""  # only points of one budget compete for a front; None competes with no other


class Line(NamedTuple):
    """One curve of a row."""

    row: int
    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    is_validation: bool = False  # of the validation images: drawn in dots
    best: float | None = None  # the x of the point that was chosen, which is marked


class Figure(NamedTuple):
    """A drawn figure, ready for the page."""

    title: str
    svg: Markup
    legend: dict[int, str]  # row -> name, of those that have a line, or a number as a label


def scatter_figure(points: Sequence[Point], *, x_title: str, y_title: str, better: int) -> Figure | None:
    """Points with labels, the interval of y, and the Pareto front of each budget with two points or more.

    Lower x is better; better: 1 where higher y is, -1 where lower y is. None where fewer than two points have
    finite numbers, or all of them the same x.
    """
    known = [p for p in points if are_drawable((p.x, p.y, p.low, p.high))]
    xs = [p.x for p in known]
    if len(known) < 2 or max(xs) - min(xs) <= SAME * max(xs):
        return None
    budgets = dict.fromkeys(p.budget for p in known if p.budget is not None)
    fronts = {name: pareto_front([p for p in known if p.budget == name], better) for name in budgets}
    fronts = {name: front for name, front in fronts.items() if len(front) > 1}
    tips = {f"front-{i}": f"Pareto front of {name}".removesuffix(" of ") for i, name in enumerate(fronts)}
    title, y_title = f"{y_title} against {x_title}", f"{y_title} {'↓' if better < 0 else '↑'}"
    tips |= {f"dot-{p.row}": f"{p.name}: {y_title} {p.y:.4g}, {x_title} {p.x:.4g}" for p in known}
    bars = [p for p in known if p.low < p.high]
    names = ["-".join([kind, *(str(p.row) for p in ps)]) for kind, ps in (("bar", bars), ("dot", known))]
    with new_axes(x_title, y_title) as axes:
        for i, front in enumerate(fronts.values()):
            axes.step([p.x for p in front], [p.y for p in front], where="post", gid=f"front-{i}")
        axes.vlines([p.x for p in bars], [p.low for p in bars], [p.high for p in bars], gid=names[0])
        axes.plot(xs, [p.y for p in known], "o", gid=names[1])
        set_scale(axes.xaxis, xs, logarithmic=True)
        set_scale(axes.yaxis, [end for p in known for end in (p.low, p.high)])
        numbered = add_labels(axes, known, fronts.values())
        return Figure(title, to_svg(axes, title, tips), numbered)


def line_figure(
    lines: Sequence[Line], *, x_title: str, y_title: str, title: str = "", logarithmic_y: bool = False
) -> Figure | None:
    """Lines of finite numbers, each of at most VERTICES vertices, with the symbol of the row at a point that
    was chosen. None where no line has two points.

    title: of the figure, by default that of the y axis.
    """
    known = [(line, vertices) for line in lines if len(vertices := averaged(line)) > 1]
    if not known:
        return None
    with new_axes(x_title, y_title) as axes:
        tips = {}
        for line, vertices in known:
            part = "validation" if line.is_validation else "line"
            axes.plot(*vertices.T, gid=f"{part}-{line.row}")
            tips[f"{part}-{line.row}"] = f"{line.name}, {part}" if line.is_validation else line.name
            for x, y in chosen(line):
                axes.plot([x], [y], "o", gid=f"dot-{line.row}")
                tips[f"dot-{line.row}"] = f"{line.name}: best {y:.4g} at {x:,.0f}"
        xs, ys = np.vstack([vertices for _, vertices in known]).T
        set_scale(axes.xaxis, xs)
        set_scale(axes.yaxis, ys, logarithmic=logarithmic_y)
        title = title or y_title
        return Figure(title, to_svg(axes, title, tips), {line.row: line.name for line, _ in known})


def are_drawable(values: Iterable[float]) -> bool:
    """True where a scale can compute with all values: finite, and far from the ends of floats."""
    return all(value == 0 or 1e-150 < abs(value) < 1e150 for value in values)


def pareto_front(points: Sequence[Point], better: int) -> list[Point]:
    """The points that no other one beats in both numbers, sorted by x.

    Lower x is better, and higher y for better = 1, lower y for -1. Of equal points the first is taken.
    """
    front: list[Point] = []
    for point in sorted(points, key=lambda point: (point.x, -better * point.y)):
        if not front or better * point.y > better * front[-1].y:
            front.append(point)
    return front


def averaged(line: Line) -> np.ndarray:
    """(n, 2) vertices of a line, n <= VERTICES: means of neighbours, without what cannot be drawn."""
    pairs = [pair for pair in zip(line.xs, line.ys, strict=True) if are_drawable(pair)]
    size = -(-len(pairs) // VERTICES) or 1
    parts = np.split(np.array(pairs, dtype=float).reshape(-1, 2), range(size, len(pairs), size))
    return np.array([part.mean(axis=0) for part in parts if len(part)])


def chosen(line: Line) -> list[tuple[float, float]]:
    """The point of a line that was chosen, none where it has no such point or that cannot be drawn."""
    pairs = zip(line.xs, line.ys, strict=True)
    return [(x, y) for x, y in pairs if x == line.best and are_drawable((x, y))][:1]


@contextmanager
def new_axes(x_title: str, y_title: str) -> Iterator["Axes"]:
    """Yield empty axes with their titles, whatever style the user's matplotlibrc sets.

    One point of matplotlib is one unit of the SVG.
    """
    from matplotlib import style
    from matplotlib.figure import Figure as Canvas  # no pyplot: it holds global state

    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    with style.context(["default", SETTINGS]), warnings.catch_warnings():
        # Letters that matplotlib's font lacks are drawn by the browser, which has others.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        canvas = Canvas(figsize=(WIDTH / 72, HEIGHT / 72), dpi=72)
        axes = canvas.add_axes((LEFT / WIDTH, BOTTOM / HEIGHT, wide / WIDTH, high / HEIGHT))
        for axis, text in ((axes.xaxis, x_title), (axes.yaxis, y_title)):
            short = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
            axis.set_label_text(in_one_line(short), gid="axis-0", parse_math=False)  # $ is a letter
        axes.xaxis.set_label_coords(0.5, -28 / high)
        axes.yaxis.set_label_coords(-42 / wide, 0.5)
        axes.margins(MARGIN)
        axes.grid(True)
        axes.tick_params(length=0, pad=8)
        yield axes


def set_scale(axis: "XAxis | YAxis", values: Sequence[float], *, logarithmic: bool = False) -> None:
    """Set the scale and the ticks of an axis for the values that are drawn along it.

    A logarithmic one needs positive values that span a factor of 3 or more; a linear one begins at 0 where
    that leaves little empty.
    """
    from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MaxNLocator, NullLocator

    low, high, name = min(values), max(values), axis.axis_name
    if logarithmic and 0 < 3 * low <= high:
        axis.axes.set(**{f"{name}scale": "log"})
        axis.set_major_locator(LogLocator(subs=(1,) if high > 100 * low else (1, 2, 5)))
    else:
        if 0 <= low < 0.4 * high:
            axis.axes.set(**{f"{name}lim": (0, None)})
        axis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10)))
    units = EngFormatter(sep="")
    axis.set_major_formatter(FuncFormatter(lambda x, _: units(x) if 1e4 <= abs(x) < 1e15 else f"{x:.6g}"))
    axis.set_minor_locator(NullLocator())


def add_labels(axes: "Axes", points: Sequence[Point], fronts: Iterable[Sequence[Point]]) -> dict[int, str]:
    """Label the points with their names, or with their rows' numbers where not all names have room.

    Of very many points only those on a front get a number. Returns the names of the rows that have one.
    """
    axes.autoscale_view()  # else matplotlib sets the limits only when it draws
    pixels = axes.transData.transform
    places = pixels([(p.x, p.y) for p in points])
    lines = [pixels([(p.x, p.low), (p.x, p.high)]).ravel() for p in points if p.low < p.high]
    for front in fronts:
        for (x, y), (next_x, next_y) in itertools.pairwise(pixels([(p.x, p.y) for p in front])):
            lines.append(np.array([x, y, next_x, y]))
            lines.append(np.array([next_x, min(y, next_y), next_x, max(y, next_y)]))
    place = partial(
        place_labels,
        symbols=np.hstack([places - SYMBOL, places + SYMBOL]),
        lines=np.add(np.reshape(lines, (-1, 4)), (-1, -1, 1, 1)),
        room=room(),
    )
    texts = [in_one_line(p.name) for p in points]
    labels = place(texts, places) if len(points) <= NAMED else [None]
    is_numbered = not all(labels)
    if is_numbered:
        on_front = {p.row for front in fronts for p in front}
        shown = [len(points) <= NUMBERED or p.row in on_front for p in points]
        points = [*itertools.compress(points, shown)]
        texts = [str(p.row + 1) for p in points]
        labels = place(texts, places[shown], every=True)
    for point, text, label in zip(points, texts, labels, strict=True):
        if label is not None:
            write_label(axes, point, text, label)
    return {p.row: p.name for p in points} if is_numbered else {}


def room() -> np.ndarray:
    """The box (4,) inside a figure in which labels stand: left, bottom, right, top."""
    return np.array([LEFT, BOTTOM, WIDTH, HEIGHT])


def write_label(axes: "Axes", point: Point, text: str, label: Label) -> None:
    """Write a text beside a point, where it was placed, with a leader line where that is not near."""
    leader = {"arrowstyle": "-", "relpos": ((1 - label.side) / 2, 0.5), "shrinkB": SYMBOL}
    axes.annotate(
        text,
        (point.x, point.y),
        (label.x, label.y),
        textcoords="offset points",
        ha=("center", "left", "right")[int(label.side)],
        va="center_baseline",
        gid=f"label-{point.row}",
        parse_math=False,
        arrowprops=leader | {"gid": f"leader-{point.row}"} if label.has_leader else None,
    )


def to_svg(axes: "Axes", title: str, tips: Mapping[str, str]) -> Markup:
    """Return the SVG of a figure without colours and fonts, which the page has. tips: id of a part -> text.

    Each shape has as classes its part, its row's colour, and its row's symbol or dash.
    """
    file = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))  # so that equal runs give equal bytes
    figure = cast("WholeFigure", axes.figure)  # which has no parts with figures of their own
    figure.savefig(file, format="svg", metadata=nothing)
    svg = Element("svg", viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img")
    svg.set("aria-label", in_one_line(title))
    for group in fromstring(file.getvalue()).iter("{http://www.w3.org/2000/svg}g"):
        part, *numbers = re.split("[-_]", group.get("id", ""))
        if part not in PARTS:
            continue
        for shape, number in zip(shapes_of(group), itertools.cycle(map(int, numbers))):
            kind = (number if part == "front" else number // COLOURS) % SHAPES
            shape.set("class", f"{part} c{number % COLOURS} d{kind}")
            if part not in SHARED:
                shape.set("data-row", str(number))
            if shape.tag == "use":
                shape.set("href", f"#shape{kind}")
            if tip := tips.get(f"{part}-{number}"):
                SubElement(shape, "title").text = in_one_line(tip)
            svg.append(shape)
    return Markup(tostring(svg, encoding="unicode"))


def shapes_of(group: Element) -> Iterator[Element]:
    """The paths, symbols and texts of a group of matplotlib's SVG: their places without their style."""
    for node in group.iter():
        tag = node.tag.rpartition("}")[2]
        if tag not in ("path", "use", "text") or "id" in node.attrib:  # a path with an id defines a symbol
            continue
        places = ((name, node.get(name, "").split()) for name in ("d", "x", "y", "transform"))
        shape = Element(tag, {name: " ".join(words) for name, words in places if words})
        if tag == "text":
            shape.text = node.text
            shape.set("text-anchor", node.get("style", "").rpartition("text-anchor: ")[2])
        yield shape
