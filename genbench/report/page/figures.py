"""The figures and pictures that a page shows of a table's rows."""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from genbench.records.feature_network import WEAK_SIGN
from genbench.records.metric_kinds import Kind
from genbench.records.metric_name import MetricName
from genbench.report.columns import Column, column
from genbench.report.matched import Matched
from genbench.report.page import run_folder
from genbench.report.page.labelled_curves import matched_figure, named_line_figure
from genbench.report.page.pictures import MOVING, STILL, Pictures, pictures_of, rank
from genbench.report.page.svg import Figure, Line, Point, line_figure, scatter_figure
from genbench.report.table import Line as TableRow
from genbench.report.table import Table, budget_groups
from genbench.report.table_cell import comparable, entries

__all__ = [
    "Panel",
    "Picture",
    "ShownRow",
    "cost_panel",
    "matched_panels",
    "noise_panel",
    "pictures_by_kind",
    "seconds_panel",
    "training_panel",
]

COSTS = {
    "seconds_per_image": "seconds per sample",
    "training_seconds": "seconds of training",
    "joules_per_sample": "joules per sample",
    "training_joules": "joules of training",
}
"""Costs that quality is drawn against -> titles of the axis; of those that no row has there is no figure."""
CURVES, PICTURED = 16, 60  # the most rows whose curves, and whose pictures, are shown


class ShownRow(NamedTuple):
    """One row of a table with the directory of the run whose curves, pictures and noise are shown of it."""

    number: int  # from 0, which gives its colour and symbol
    name: str
    line: TableRow
    path: Path


class Panel(NamedTuple):
    """Figures side by side with one legend: the numbers of rows, whose symbols are shown, and names."""

    figures: list[Figure]
    legend: list[tuple[int, str]]
    note: str = ""  # a sentence on what the figures lack, empty where that is nothing


# The number of a row, None of training images, which belong to no row; a name; the picture's `src`; that of
# an unmoving one, for readers who want no motion.
Picture = tuple[int | None, str, str, str | None]


def panel(figures: Iterable[Figure | None], note: str = "") -> Panel:
    """A panel of the figures that are not None, with a legend of the rows that they do not name."""
    found = [figure for figure in figures if figure]
    return Panel(found, sorted({item for figure in found for item in figure.legend.items()}), note)


def title_of(col: Column) -> str:
    """The title of a column, with the sign of weak features where its numbers have it."""
    return f"{WEAK_SIGN} {col.title}" if col.is_weak else col.title


def cost_panel(table: Table, rows: Sequence[ShownRow]) -> Panel:
    """The first metric that has a better side against the cost of sampling and of training, a point a row.

    A row that pools budgets, or whose numbers do not compare with those of its budget, is on no front.
    """
    col = next((col for col in table.columns if col.better), None)
    if col is None:
        return panel([])
    budgets = {
        place: budget
        for budget, places in budget_groups(table.lines).items()
        if comparable([table.lines[place].rows for place in places], col.name)
        for place in places
    }
    figures = []
    for cost, title in COSTS.items():
        points = []
        for row in rows:
            everything = [range(len(row.line.rows))]
            x, y = (entries(row.line.rows, everything, name)[0].estimate for name in (cost, col.name))
            if x is not None and y is not None:
                # The standard deviation over seeds, else the interval over samples, else nothing.
                low, high = (y.mean - y.std, y.mean + y.std) if y.std else (y.low, y.high)
                ends = (y.mean, y.mean) if low is None or high is None else (low, high)
                points.append(Point(row.number, row.name, x.mean, y.mean, *ends, budgets.get(row.number)))
        figures.append(scatter_figure(points, x_title=title, y_title=title_of(col), better=col.better))
    return panel(figures)


def training_panel(rows: Sequence[ShownRow], kinds: Mapping[str, Kind]) -> Panel:
    """The curves of each logged loss, of bits per dimension and of each score during training, a line for
    each of the first rows; values of the validation images are dotted, in one figure with the loss of the
    training, and marked where they were chosen.

    kinds: of metrics, from the runs. The note says how many rows are shown, and which lines are unreadable.
    """
    lines: dict[str, list[Line]] = {}
    note = first_rows(len(rows), CURVES)
    for row in rows[:CURVES]:
        curves, damaged = run_folder.read_log(row.path)
        best = run_folder.best_images_seen(row.path)
        for name, (xs, ys) in curves.items():
            held_out = is_validation(name)
            line = Line(row.number, row.name, xs, ys, held_out, best if held_out else None)
            lines.setdefault(trained_loss(name, curves), []).append(line)
        if damaged:
            note += f" Unreadable in metrics.jsonl of {row.name}: line {', '.join(map(str, damaged))}."
    if any(line.is_validation for several in lines.values() for line in several):
        note += (
            " Dotted: averaged weights on the validation images, whose loss shares a figure with that of the "
            "training; a symbol marks the weights that validation chose (trainer.keep=best)."
        )
    figures = []
    for name in sorted(lines):
        metric = run_folder.metric_of(name)
        if metric is not None:
            col, name_of_it = column(metric, kinds), MetricName.parse(metric)
            where = "during training" if name.startswith("training/") else "in validations"
            title, y_title = f"{col.title} {where} ({name_of_it.basis})", f"{col.title} {col.arrow}".rstrip()
            figures.append(line_figure(lines[name], title=title, x_title="images seen", y_title=y_title))
        elif name == run_folder.BITS:
            title = "bits per dimension in validations"
            figures.append(line_figure(lines[name], title=title, x_title="images seen", y_title="bits/dim ↓"))
        else:
            figures.append(line_figure(lines[name], x_title="images seen", y_title=name, logarithmic_y=True))
    return panel(figures, note)


def matched_panels(found: Sequence[Matched]) -> list[tuple[Matched, Panel]]:
    """Each comparison of quality against diversity with its figure, whose legend names all rows."""
    return [(each, panel([matched_figure(each)])) for each in found]


def seconds_panel(rows: Sequence[ShownRow], kinds: Mapping[str, Kind]) -> Panel:
    """The curves of each score, and of bits per dimension, over the seconds of training, a line for each of
    the first rows with its name at its end; nothing of runs that logged no seconds beside them.
    """
    lines: dict[str, list[Line]] = {}
    for row in rows[:CURVES]:
        for name, (xs, ys) in run_folder.read_log(row.path, over="training_seconds")[0].items():
            if not name.endswith("/loss"):
                lines.setdefault(name, []).append(Line(row.number, row.name, xs, ys))
    figures = []
    for name in sorted(lines):
        metric = run_folder.metric_of(name)
        basis = "" if metric is None else f" ({MetricName.parse(metric).basis})"
        col = column("bits_per_dim" if metric is None else metric, kinds)
        where = "validation images" if is_validation(name) else "training images"
        title = f"{col.title} against the {where} over seconds of training{basis}"
        if metric is None:
            title = f"{col.title} of {where} over seconds of training"
        titles = {"x_title": "seconds of training", "y_title": f"{col.title} {col.arrow}".rstrip()}
        figures.append(named_line_figure(lines[name], title=title, **titles))
    return panel(figures, first_rows(len(rows), CURVES))


def trained_loss(name: str, names: Iterable[str]) -> str:
    """Return the loss of the training that one of the validation images stands beside: validation/gen/loss ->
    gen/loss, validation/loss -> the only loss among names; itself for all other values, and without such.
    """
    losses = [other for other in names if other.endswith("/loss") and not is_validation(other)]
    own = name.removeprefix(run_folder.VALIDATION)
    if not is_validation(name) or not name.endswith("/loss"):
        return name
    if own == "loss" and len(losses) == 1:
        return losses[0]
    return own if own in losses else name


def is_validation(name: str) -> bool:
    """True for the name of a value that was measured on the validation images."""
    return name.startswith(run_folder.VALIDATION)


def noise_panel(rows: Sequence[ShownRow]) -> Panel:
    """alpha_bar and log SNR = log(alpha_bar / (1 - alpha_bar)) against t of each noise schedule.

    Rows with the same schedule share a line in the colour of the first; log SNR is shown where it is finite.
    """
    levels: dict[tuple[float, ...], Line] = {}
    for row in rows[:CURVES]:
        if schedule := run_folder.noise_schedule(row.path):
            levels.setdefault(tuple(schedule[2]), Line(row.number, *schedule))
    ratios = []
    for line in levels.values():
        inside = [(t, math.log(y / (1 - y))) for t, y in zip(line.xs, line.ys, strict=True) if 0 < y < 1]
        ratios.append(line._replace(xs=[t for t, _ in inside], ys=[ratio for _, ratio in inside]))
    of_title = {"ᾱ": [*levels.values()], "log SNR = log(ᾱ / (1 − ᾱ))": ratios}
    return panel(line_figure(lines, x_title="t", y_title=title) for title, lines in of_title.items())


def pictures_by_kind(rows: Sequence[ShownRow], pictures: Pictures) -> dict[str, list[Picture]]:
    """The last pictures of each kind, one of each of the first rows; training images follow the samples.

    pictures: brings their files into the page, and records those that it refuses.
    """
    found: dict[str, list[Picture]] = {}
    for row in rows[:PICTURED]:
        there = pictures_of(row.path)
        sources = {kind: pictures.source(path, row.path) for kind, path in there.items()}
        for kind, source in sources.items():
            if source:
                still = sources.get(STILL) if kind == MOVING else None
                found.setdefault(kind, []).append((row.number, row.name, source, still))
    real = ((row.path / "samples" / "real.png", row.path) for row in rows if "samples" in found)
    images = (pictures.source(path, run) for path, run in real if os.path.lexists(path))
    if source := next(filter(None, images), None):
        found["samples"].append((None, "training images", source, None))
    return {kind: found[kind] for kind in sorted(found, key=rank)}


def first_rows(rows: int, shown: int) -> str:
    """Return a note where only some rows are shown, else an empty text."""
    return f" Only the first {shown} of {rows} rows are shown." if rows > shown else ""
