"""Curves with their names beside them: quality against diversity, and scores over the seconds of training."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from genbench.report.matched import Matched
from genbench.report.page.label_positions import LETTER, SYMBOL, place_labels
from genbench.report.page.svg import (
    Figure,
    Line,
    Point,
    are_drawable,
    averaged,
    new_axes,
    room,
    set_scale,
    to_svg,
    write_label,
)
from genbench.runtime.printable import in_one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["matched_figure", "named_line_figure"]

SPACING = 6.0  # pixels between the places along a curve that labels keep off
WIDEST = 0.45  # share of the figure for names behind the ends of curves
MOST = 12  # curves that are named in the figure; the legend names all


def matched_figure(found: Matched) -> Figure | None:
    """Draw quality against diversity: a curve for each model along the settings of its sampling, its name at
    the best of them and the settings at the others, as far as there is room; the level at which the curves
    are compared is a line. None where fewer than two places can be drawn.
    """
    curves = [
        (row.curve, [x for x in row.curve.places if are_drawable((x.diversity, x.quality))], row.best)
        for row in found.rows
    ]
    places = [place for _, several, _ in curves for place in several]
    if len(places) < 2:
        return None
    y_title = f"{found.quality.title} {found.quality.arrow}".rstrip()
    with new_axes(f"{found.diversity.title} {found.diversity.arrow}".rstrip(), y_title) as axes:
        tips, paths = dict[str, str](), list[np.ndarray]()
        names, settings = list[Point](), list[Point]()
        for curve, several, top in curves:
            xs, ys = [x.diversity for x in several], [x.quality for x in several]
            axes.plot(xs, ys, gid=f"line-{curve.row}")
            axes.plot(xs, ys, "o", gid="-".join(["dot", *[str(curve.row)] * len(several)]))
            tips[f"line-{curve.row}"] = curve.name
            paths.append(np.column_stack([xs, ys]) if xs else np.empty((0, 2)))
            for place in several:
                text = curve.name if place == top else place.label.removeprefix("scale ")
                point = Point(curve.row, text, place.diversity, place.quality, place.quality, place.quality)
                (names if place == top else settings).append(point)
        set_scale(axes.xaxis, [x.diversity for x in places])
        set_scale(axes.yaxis, [x.quality for x in places])  # linear, as the interpolation is
        if found.level is not None:
            axes.axvline(found.level, gid="front-0")
        add_names(axes, [*names, *settings], paths)
        legend = {curve.row: curve.name for curve, _, _ in reversed(curves)}
        return Figure(found.title, to_svg(axes, found.title, tips), legend)


def named_line_figure(lines: Sequence[Line], *, x_title: str, y_title: str, title: str) -> Figure | None:
    """Draw lines with their names at their ends, as far as there is room. None where no line has two points
    that can be drawn.
    """
    known = [(line, vertices) for line in lines if len(vertices := averaged(line)) > 1]
    if not known:
        return None
    with new_axes(x_title, y_title) as axes:
        for line, vertices in known:
            axes.plot(*vertices.T, gid=f"line-{line.row}")
        xs, ys = np.vstack([vertices for _, vertices in known]).T
        set_scale(axes.xaxis, xs)
        set_scale(axes.yaxis, ys, logarithmic=True)
        widest = LETTER * max(len(line.name) for line, _ in known) / (room()[2] - room()[0])
        axes.set_xlim(right=float(max(xs)) / (1 - min(widest, WIDEST)))  # the names stand behind the ends
        ends = [Point(line.row, line.name, path[-1][0], path[-1][1], 0.0, 0.0) for line, path in known]
        add_names(axes, ends[:MOST], [vertices for _, vertices in known])
        tips = {f"line-{line.row}": line.name for line, _ in known}
        return Figure(title, to_svg(axes, title, tips), {line.row: line.name for line, _ in known})


def add_names(axes: "Axes", points: Sequence[Point], paths: Sequence[np.ndarray]) -> None:
    """Write the names of points beside them, the first ones first, where they cover no curve, no point and no
    other name; those without room are left out. paths: the vertices (n, 2) of the curves.
    """
    axes.autoscale_view()  # else matplotlib sets the limits only when it draws
    pixels = axes.transData.transform
    if not points:
        return
    places = pixels([(point.x, point.y) for point in points])
    along = [step for path in paths if len(path) for step in steps_along(pixels(path))]
    boxes = np.hstack([places - SYMBOL, places + SYMBOL])
    texts = [in_one_line(point.name) for point in points]
    lines = np.array([[x - 1, y - 1, x + 1, y + 1] for x, y in along]).reshape(-1, 4)
    labels = place_labels(texts, places, symbols=boxes, lines=lines, room=room())
    for point, text, label in zip(points, texts, labels, strict=True):
        if label is not None:
            write_label(axes, point, text, label)


def steps_along(path: np.ndarray) -> list[np.ndarray]:
    """Places (2,) along a curve of vertices (n, 2) in pixels, at most SPACING apart."""
    found = []
    for a, b in itertools.pairwise(path):
        count = max(int(np.hypot(*(b - a)) / SPACING), 1)
        found += [a + (b - a) * k / count for k in range(count + 1)]
    return found
