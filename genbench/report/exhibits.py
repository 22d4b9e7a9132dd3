"""The figures and pictures of a table's rows."""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from genbench.records.metric_kinds import Kind
from genbench.records.metric_name import MetricName
from genbench.report import folder
from genbench.report.columns import Column, column
from genbench.report.entry import comparable
from genbench.report.figures import Dot, Figure, Series, line_figure, scatter_figure
from genbench.report.pictures import Pictures, pictures_of, rank
from genbench.report.table import Line, Table, budget_groups

__all__ = [
    "LINES",
    "SHOWN",
    "Shot",
    "Strip",
    "Subject",
    "noise_figures",
    "noise_levels",
    "strips",
    "trade_offs",
    "training",
]

COSTS = {"seconds_per_image": "seconds a sample", "training_seconds": "seconds of training"}
LINES = 16  # the most rows whose curves stand in one figure
FEW = 12  # up to how many pictures stand in their full size
SHOWN = 60  # the most rows whose pictures are in a page


class Subject(NamedTuple):
    """One row of a table and the run that is shown of it."""

    number: int
    name: str
    line: Line
    path: Path
    """The run's directory."""


class Shot(NamedTuple):
    """One picture in its place."""

    row: int | None
    """None of real images, which belong to no row."""
    name: str
    source: str


class Strip(NamedTuple):
    """The pictures of one kind, side by side."""

    title: str
    shots: list[Shot]

    @property
    def size(self) -> str:
        """How much room each takes: of many rows they are small, so that the page does not go on and on."""
        return "many" if len(self.shots) > FEW else "few"


def trade_offs(table: Table, subjects: Sequence[Subject]) -> list[Figure]:
    """The first metric against what sampling and what training cost."""
    col = next((col for col in table.columns if col.better), None)
    if col is None:
        return []
    league = {
        place: budget
        for budget, places in budget_groups(table.lines).items()
        if comparable([table.lines[place].rows for place in places], col.name)
        for place in places
    }
    return drawn(
        scatter_figure(
            [dot for s in subjects if (dot := point(s, cost, col, league.get(s.number)))],
            title=f"{col.title} against {title}",
            x_title=title,
            y_title=f"{col.title} {col.arrow}",
            better=col.better,
        )
        for cost, title in COSTS.items()
    )


def drawn(figures: Iterable[Figure | None]) -> list[Figure]:
    """Those that there is something to draw of."""
    return [figure for figure in figures if figure]


def point(subject: Subject, cost: str, col: Column, league: str | None) -> Dot | None:
    """A row by its cost and its quality, with the spread over seeds or the interval."""
    x, y = (subject.line.entry(name).estimate for name in (cost, col.name))
    if x is None or y is None:
        return None
    low, high = (y.mean - y.std, y.mean + y.std) if y.std else (y.low, y.high)
    ends = (y.mean, y.mean) if low is None or high is None else (low, high)
    return Dot(subject.number, subject.name, x.mean, y.mean, *ends, league)


def training(subjects: Sequence[Subject], kinds: Mapping[str, Kind]) -> list[Figure]:
    """The curves of each logged loss and of each score during training, a line a row."""
    series: dict[str, list[Series]] = {}
    for subject in subjects[:LINES]:
        for name, (xs, ys) in folder.curves(subject.path).items():
            series.setdefault(name, []).append(Series(subject.number, subject.name, xs, ys))
    return drawn(
        score_figure(column(metric, kinds), lines)
        if (metric := folder.score_of(name))
        else line_figure(lines, title=name, x_title="images seen", y_title=name, logarithmic_y=True)
        for name, lines in sorted(series.items())
    )


def unread(subjects: Sequence[Subject]) -> str:
    """Return a note on the lines of the logs behind the curves that cannot be read, empty where all can."""
    damaged = {subject.name: folder.log(subject.path).damaged for subject in subjects[:LINES]}
    told = [f"{name}, line {', '.join(map(str, lines))}" for name, lines in damaged.items() if lines]
    return f" Not read of metrics.jsonl: {'; '.join(told)}." if told else ""


def score_figure(col: Column, lines: Sequence[Series]) -> Figure | None:
    """A score against the images seen, on the number of samples that the title says."""
    title = f"{col.title} during training ({MetricName.parse(col.name).basis})"
    return line_figure(lines, title=title, x_title="images seen", y_title=f"{col.title} {col.arrow}".rstrip())


def noise_levels(subjects: Sequence[Subject]) -> list[Series]:
    """alpha_bar against t of each way to noise among the rows, in the colour of its first row."""
    found: dict[tuple[float, ...], Series] = {}
    for subject in subjects[:LINES]:
        if (noise := folder.noise(subject.path)) is not None:
            found.setdefault(tuple(noise.alpha_bar), Series(subject.number, *noise))
    return list(found.values())


def noise_figures(levels: Sequence[Series]) -> list[Figure]:
    """The same as figures: alpha_bar and its log SNR."""
    return drawn(
        line_figure(lines, title=name, x_title="t", y_title=name)
        for name, lines in (("ᾱ", levels), ("log SNR = log(ᾱ / (1 − ᾱ))", list(map(log_snr, levels))))
    )


def log_snr(line: Series) -> Series:
    """log(alpha_bar / (1 - alpha_bar)) where it is finite."""
    inside = [(x, y) for x, y in zip(line.xs, line.ys, strict=True) if 0 < y < 1]
    return line._replace(xs=[x for x, _ in inside], ys=[math.log(y / (1 - y)) for _, y in inside])


def strips(subjects: Sequence[Subject], pictures: Pictures) -> list[Strip]:
    """The last pictures of each kind, side by side; beside the samples, training images."""
    found: dict[str, list[Shot]] = {}
    for subject in subjects[:SHOWN]:
        for picture in pictures_of(subject.path):
            source = pictures.source(picture.path, subject.path)
            if source is not None:
                found.setdefault(picture.kind, []).append(Shot(subject.number, subject.name, source))
    there = ((s.path / "samples" / "real.png", s.path) for s in subjects if "samples" in found)
    sources = (pictures.source(path, run) for path, run in there if os.path.lexists(path))
    if source := next(filter(None, sources), None):
        found["samples"].append(Shot(None, "training images", source))
    return [Strip(kind, found[kind]) for kind in sorted(found, key=rank)]
