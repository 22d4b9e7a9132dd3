"""The figures and pictures that a page shows of a table's rows."""

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from genbench.report.columns import Column, column, protocol
from genbench.report.page import run_folder
from genbench.report.page.pictures import Pictures, pictures_of, rank
from genbench.report.page.svg import Figure, Line, Point, line_figure, scatter_figure
from genbench.report.table import Line as Row
from genbench.report.table import Table, comparable, entry, leagues

__all__ = ["CURVES", "Panel", "Strip", "Subject", "cost_panel", "noise_panel", "strips", "training_panel"]

COSTS = {"seconds_per_image": "seconds per sample", "training_seconds": "seconds of training"}
CURVES = 16  # the most rows whose curves stand in one figure
FULL_SIZE = 12  # up to how many pictures of one kind are shown in full size
PICTURED = 60  # the most rows whose pictures are in a page


class Subject(NamedTuple):
    """One row of a table and the run that is shown of it."""

    number: int
    name: str
    line: Row
    path: Path
    """The run's directory."""


class Panel(NamedTuple):
    """Figures side by side with one legend."""

    figures: list[Figure]
    legend: list[tuple[int, str]]
    """The number of a row, whose colour and symbol are shown, and a name."""
    note: str = ""


class Picture(NamedTuple):
    """One picture of a strip."""

    row: int | None
    """None of real images, which belong to no row."""
    name: str
    source: str


class Strip(NamedTuple):
    """The pictures of one kind, side by side."""

    title: str
    pictures: list[Picture]

    @property
    def size(self) -> str:
        """CSS class: those of many rows are small, so that the page stays short."""
        return "many" if len(self.pictures) > FULL_SIZE else "few"


def panel(figures: Iterable[Figure | None], subjects: Sequence[Subject], note: str = "") -> Panel:
    """A panel of the figures that are not None, with a legend of the rows that they do not name."""
    found = [figure for figure in figures if figure]
    rows = sorted({row for figure in found for row in figure.rows})
    return Panel(found, [(row, subjects[row].name) for row in rows], note)


def cost_panel(table: Table, subjects: Sequence[Subject]) -> Panel:
    """The first metric that has a better side against the cost of sampling and of training, a point a row."""
    col = next((col for col in table.columns if col.better), None)
    if col is None:
        return Panel([], [])
    budgets = {
        place: budget
        for budget, places in leagues(table.lines).items()
        if comparable([table.lines[place] for place in places], col.name)
        for place in places
    }
    figures = [
        scatter_figure(
            [point for s in subjects if (point := point_of(s, cost, col, budgets.get(s.number)))],
            title=f"{col.title} against {title}",
            x_title=title,
            y_title=f"{col.title} {col.arrow}",
            better=col.better,
        )
        for cost, title in COSTS.items()
    ]
    return panel(figures, subjects)


def point_of(subject: Subject, cost: str, col: Column, budget: str | None) -> Point | None:
    """A row by its cost and its quality +- the standard deviation over seeds, else with its interval."""
    x, y = (entry(subject.line.group, name).estimate for name in (cost, col.name))
    if x is None or y is None:
        return None
    low, high = (y.mean - y.std, y.mean + y.std) if y.std else (y.low, y.high)
    ends = (y.mean, y.mean) if low is None or high is None else (low, high)
    return Point(subject.number, subject.name, x.mean, y.mean, *ends, budget)


def training_panel(subjects: Sequence[Subject]) -> Panel:
    """The curves of each logged loss and of each score during training, a line for each of the first rows."""
    lines: dict[str, list[Line]] = {}
    unreadable = []
    for subject in subjects[:CURVES]:
        curves, damaged = run_folder.read_log(subject.path)
        for name, (xs, ys) in curves.items():
            lines.setdefault(name, []).append(Line(subject.number, subject.name, xs, ys))
        if damaged:
            unreadable.append(f"{subject.name}, line {', '.join(map(str, damaged))}")
    note = first_rows(len(subjects), CURVES)
    note += f" Unreadable in metrics.jsonl: {'; '.join(unreadable)}." if unreadable else ""
    return panel([training_figure(name, lines[name]) for name in sorted(lines)], subjects, note)


def training_figure(name: str, lines: Sequence[Line]) -> Figure | None:
    """A loss on a logarithmic axis, or a score, whose title says on how many samples it was measured."""
    metric = run_folder.metric_of(name)
    if metric is None:
        return line_figure(lines, title=name, x_title="images seen", y_title=name, logarithmic_y=True)
    col = column(metric)
    title = f"{col.title} during training ({protocol(metric)})"
    return line_figure(lines, title=title, x_title="images seen", y_title=f"{col.title} {col.arrow}".rstrip())


def noise_panel(subjects: Sequence[Subject]) -> Panel:
    """alpha_bar and log SNR against t of each noise schedule, in the colour of the first row that has it."""
    levels: dict[tuple[float, ...], Line] = {}
    for subject in subjects[:CURVES]:
        if (noise := run_folder.noise_schedule(subject.path)) is not None:
            levels.setdefault(tuple(noise.alpha_bar), Line(subject.number, *noise))
    ratios = [log_snr(line) for line in levels.values()]
    figures = [
        line_figure(lines, title=title, x_title="t", y_title=title)
        for title, lines in (("ᾱ", [*levels.values()]), ("log SNR = log(ᾱ / (1 − ᾱ))", ratios))
    ]
    return Panel([f for f in figures if f], [(line.row, line.name) for line in levels.values()])


def log_snr(line: Line) -> Line:
    """Alpha_bar -> log(alpha_bar / (1 - alpha_bar)), where that is finite."""
    inside = [(x, y) for x, y in zip(line.xs, line.ys, strict=True) if 0 < y < 1]
    return line._replace(xs=[x for x, _ in inside], ys=[math.log(y / (1 - y)) for _, y in inside])


def strips(subjects: Sequence[Subject], pictures: Pictures) -> list[Strip]:
    """The last pictures of each kind, side by side; training images follow the samples."""
    found: dict[str, list[Picture]] = {}
    for subject in subjects[:PICTURED]:
        for kind, path in pictures_of(subject.path).items():
            if source := pictures.source(path, subject.path):
                found.setdefault(kind, []).append(Picture(subject.number, subject.name, source))
    there = ((s.path / "samples" / "real.png", s.path) for s in subjects if "samples" in found)
    sources = (pictures.source(path, run) for path, run in there if os.path.lexists(path))
    if source := next(filter(None, sources), None):
        found["samples"].append(Picture(None, "training images", source))
    return [Strip(kind, found[kind]) for kind in sorted(found, key=rank)]


def first_rows(rows: int, shown: int) -> str:
    """Return a note where only some rows are shown, else an empty text."""
    return f" Only the first {shown} of {rows} rows are shown." if rows > shown else ""
