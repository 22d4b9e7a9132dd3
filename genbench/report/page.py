"""A comparison -> what the page shows of it, in the order in which it is read."""

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from genbench.report import exhibits, folder
from genbench.report.columns import Column
from genbench.report.compare import Comparison
from genbench.report.entry import Entry
from genbench.report.exhibits import Strip, Subject
from genbench.report.figures import COLOURS, Figure, symbol
from genbench.report.footnotes import left_out as left_out_notes
from genbench.report.footnotes import not_shown, notes
from genbench.report.numbers import parts, written
from genbench.report.pictures import Pictures, Place
from genbench.report.runs import Runs
from genbench.report.table import Line, Table
from genbench.report.table import differences as table_differences

Row = dict

__all__ = ["Page", "page"]

LATE = ("budget", "device", "seeds")  # columns that name a row where no other one does
DIFFERENCES = 8  # the most rows that the table of settings compares


class Cell(NamedTuple):
    """One place of the leaderboard."""

    value: str
    spread: str
    key: str
    """What it is sorted by: a number, or text; empty for nothing."""
    is_best: bool


class Command(NamedTuple):
    """How one run is made again."""

    seed: str
    text: str | None
    """None where it was not recorded."""
    made_by: str


class Item(NamedTuple):
    """One row of the leaderboard."""

    number: int
    name: str
    colour: int
    symbol: str
    cells: list[Cell]
    words: str
    """What the filter looks at."""
    commands: list[Command]
    """Of the run that is shown, then of the others."""


class Head(NamedTuple):
    """The head of a column."""

    column: Column
    is_number: bool
    order: str
    """How the rows stand by it: ascending, descending, or empty."""


class Section(NamedTuple):
    """What the page says of one data set."""

    number: int
    title: str
    heads: list[Head]
    items: list[Item]
    notes: list[tuple[str, str]]
    """Each with its mark, empty for none."""
    figures: list[Figure]
    numbered: list[Item]
    """The rows whose points in the figures have a number for a name."""
    curves: list[Figure]
    curves_of: list[Item]
    """The rows that the curves are of."""
    schedules: list[Figure]
    schedule_names: list[tuple[str, int]]
    """Which line is which: its name, and the row whose colour it has."""
    strips: list[Strip]
    note: str
    """On the seeds behind the pictures."""
    curves_note: str
    compared: list[str]
    differences: list[tuple[str, list[str]]]
    """A line a setting: its key, and its value in each of the compared rows."""


class Unfinished(NamedTuple):
    """A run that is in no table."""

    name: str
    why: str
    images_seen: str


class Page(NamedTuple):
    """Everything on the page."""

    title: str
    sections: list[Section]
    left_out: list[Unfinished]
    beginning: list[str]
    ending: list[str]


def page(found: Comparison, *, place: Place, title: str) -> Page:
    """The page of a comparison; `place` brings the pictures in."""
    pictures = Pictures(place)
    sections = [section(number, table, found, pictures) for number, table in enumerate(found.tables)]
    left_out = [
        Unfinished(name, why, written(folder.images_seen(found.runs.paths[name])))
        for name, why in found.runs.left_out.items()
    ]
    ending = [*left_out_notes({}, found.runs.passed_over), *not_shown(pictures.refused)]
    return Page(title, sections, left_out, found.beginning, ending)


def section(number: int, table: Table, found: Comparison, pictures: Pictures) -> Section:
    """One data set's part of the page."""
    rows = chosen(table)
    subjects = [
        Subject(i, name, line, found.runs.paths[str(row["run"])])
        for i, (name, line, row) in enumerate(zip(names(table), table.lines, rows, strict=True))
    ]
    strips, levels = exhibits.strips(subjects, pictures), exhibits.noise_levels(subjects)
    for subject in subjects:
        pictures.refused |= folder.faults(subject.path)
    items = [item(*pair, table, found.runs) for pair in zip(subjects, rows, strict=True)]
    figures, curves = exhibits.trade_offs(table, subjects), exhibits.training(subjects, found.runs.kinds)
    return Section(
        number=number,
        title=table.title or "Runs",
        heads=heads(table, found.query.sort),
        items=items,
        notes=[mark_apart(note) for note in notes(table)],
        figures=figures,
        numbered=of_rows(items, [row for f in figures for row in f.numbered]),
        curves=curves,
        curves_of=of_rows(items, [line.row for f in curves for line in f.lines]),
        schedules=exhibits.noise_figures(levels),
        schedule_names=[(line.name, line.row) for line in levels],
        strips=strips,
        note=seeds(rows) + first(len(rows), exhibits.SHOWN) if strips else "",
        curves_note=first(len(rows), exhibits.LINES) + exhibits.unread(subjects),
        compared=[subject.name for subject in subjects[:DIFFERENCES]],
        differences=differences(table),
    )


def of_rows(items: Sequence[Item], numbers: Collection[int]) -> list[Item]:
    """Some of the rows, in the order of the table."""
    return [items[number] for number in sorted(set(numbers))]


def heads(table: Table, sort: str) -> list[Head]:
    """The heads of all columns; unless asked otherwise, rows stand by the first that has a better side."""
    first = next((col for col in table.columns if col.better), None)
    orders = {-1: "ascending", 1: "descending"}
    return [
        Head(
            col,
            any(isinstance(line.entries[place].value, int | float) for line in table.lines),
            orders[col.better] if first is col and not sort else "",
        )
        for place, col in enumerate(table.columns)
    ]


def mark_apart(note: str) -> tuple[str, str]:
    """A foot-note's mark and its text."""
    match = re.fullmatch(r"\[(\d+)\] (.*)", note, re.DOTALL)
    return (match[1], match[2]) if match else ("", note)


def rows_of(line: Line) -> list[Row]:
    """Runs of a line with their seeds."""
    return [{"run": r, "seed": s} for r, s in zip(line.cells("run"), line.cells("seed"), strict=True)]


def chosen(table: Table) -> list[Row]:
    """The run that stands for each row of a table: of the seed that all rows have, else of its first."""
    seeds = [set(line.seeds) for line in table.lines]
    shared = sorted(set.intersection(*seeds), key=str)
    return [
        next((row for row in rows_of(line) if shared and row.get("seed") == shared[0]), rows_of(line)[0])
        for line in table.lines
    ]


def seeds(rows: Sequence[Row]) -> str:
    """Whether the pictures begin from the same random numbers."""
    different = {row.get("seed") for row in rows}
    if len(different) > 1:
        return "Seeds differ: each row's pictures begin from its own random numbers."
    return (
        f"All from seed {written(different.pop())}: pictures begin from the same random numbers, so models"
        " with the same shape of noise show the same draw in the same place."
    )


def first(rows: int, shown: int) -> str:
    """That only some rows are shown, where it is so."""
    return f" Shown are the first {shown} of {rows} rows." if rows > shown else ""


def item(subject: Subject, row: Row, table: Table, runs: Runs) -> Item:
    """One row of the leaderboard, with the commands of its runs."""
    line = subject.line
    words = [subject.name, *line.runs, *map(str, table.constants.values())]
    return Item(
        number=subject.number,
        name=subject.name,
        colour=subject.number % COLOURS,
        symbol=symbol(subject.number, 8, 8),
        cells=[cell(entry, col) for entry, col in zip(line.entries, table.columns, strict=True)],
        words=" ".join(words).lower(),
        commands=[
            command(other, runs) for other in sorted(rows_of(line), key=lambda r: r["run"] != row["run"])
        ],
    )


def command(row: Row, runs: Runs) -> Command:
    """How one run is made again."""
    path = runs.paths[str(row["run"])]
    return Command(written(row.get("seed")), folder.command(path), folder.made_by(path))


def names(table: Table) -> list[str]:
    """What tells each row from the others: ddpm · cosine · l2.

    Budgets, then devices, then numbers of seeds are named where rows differ in nothing before them.
    """
    told = [col.name not in LATE for col in table.columns]
    found = [name_of(line, table.columns, told) for line in table.lines]
    for late in LATE:
        only = [col.name == late for col in table.columns]
        words = [name_of(line, table.columns, only) for line in table.lines]
        several = {name: {w for n, w in zip(found, words, strict=True) if n == name} for name in set(found)}
        found = [
            " · ".join(filter(None, (name, word if len(several[name]) > 1 else "")))
            for name, word in zip(found, words, strict=True)
        ]
    return [name or line.runs[0] for name, line in zip(found, table.lines, strict=True)]


def name_of(line: Line, columns: Sequence[Column], told: Sequence[bool]) -> str:
    """Some of a row's choices in words."""
    return " · ".join(
        written(entry.value) if isinstance(entry.value, str) else f"{col.title} {written(entry.value)}"
        for entry, col, is_told in zip(line.entries, columns, told, strict=True)
        if is_told and entry.estimate is None and entry.value is not None
    )


def cell(entry: Entry, col: Column) -> Cell:
    """One place of the leaderboard."""
    value, spread = parts(entry, col.name)
    known = entry.value is not None and entry.value == entry.value
    return Cell(value, spread, str(entry.value) if known else "", entry.is_best)


def differences(table: Table) -> list[tuple[str, list[str]]]:
    """The choices and settings in which the first rows differ: a line a key, a column a row."""
    return table_differences(table, DIFFERENCES)
