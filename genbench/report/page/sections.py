"""A comparison -> everything that the page shows of it, in the order in which it is read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from genbench.report.columns import Column
from genbench.report.compare import Comparison
from genbench.report.footnotes import notes
from genbench.report.numbers import written
from genbench.report.page import figures, run_folder
from genbench.report.page.figures import Panel, Picture, ShownRow
from genbench.report.page.pictures import Pictures
from genbench.report.table import Line, Table, differences

__all__ = ["Section", "row_names", "section"]

LATE = ("budget", "device", "seeds")  # columns that name a row only where no other one tells it apart
COMPARED = 8  # the most rows whose settings are listed side by side


class Section(NamedTuple):
    """The part of the page about one data set."""

    number: int
    table: Table
    heads: list[tuple[Column, bool, str]]
    """Of each column: whether it holds numbers, and the order of the rows by it, ascending or descending."""
    rows: list[ShownRow]
    commands: list[list[tuple[str, str | None, str]]]
    """Of each run of a row, that which is shown first: its seed, its command if recorded, its versions."""
    notes: list[str]
    costs: Panel
    training: Panel
    noise: Panel
    pictures: dict[str, list[Picture]]  # by their kind
    pictures_note: str
    seeds: list[str]  # different ones of the runs that are shown
    differences: list[tuple[str, list[str]]]
    """A setting in which the first rows differ, and its value in each of them."""


def section(number: int, table: Table, found: Comparison, pictures: Pictures) -> Section:
    """Collect what the page shows of one table of a comparison, from the table and from its runs' files.

    pictures: brings the pictures into the page, and records which files of the runs cannot be shown, and why.
    """
    shown = shown_runs(table)
    rows = [
        ShownRow(i, name, line, found.runs.paths[line.runs[place]])
        for i, (name, line, place) in enumerate(zip(row_names(table), table.lines, shown, strict=True))
    ]
    for row in rows:
        pictures.refused |= run_folder.unreadable_files(row.path)
    return Section(
        number=number,
        table=table,
        heads=heads(table, found.query.sort),
        rows=rows,
        commands=[commands(row, found.runs.paths) for row in rows],
        notes=notes(table),
        costs=figures.cost_panel(table, rows),
        training=figures.training_panel(rows, table.runs.kinds),
        noise=figures.noise_panel(rows),
        pictures=figures.pictures_by_kind(rows, pictures),
        pictures_note=figures.first_rows(len(rows), figures.PICTURED),
        seeds=sorted(
            {written(row.line.cells("seed")[place]) for row, place in zip(rows, shown, strict=True)}
        ),
        differences=differences(table, COMPARED),
    )


def heads(table: Table, sort: str) -> list[tuple[Column, bool, str]]:
    """See Section.heads. sort: the column that the user named, else rows are sorted by the first metric."""
    first = next((col for col in table.columns if col.better), None)
    orders = {-1: "ascending", 1: "descending"}
    found = []
    for place, col in enumerate(table.columns):
        is_number = any(isinstance(line.entries[place].value, int | float) for line in table.lines)
        found.append((col, is_number, orders[col.better] if first is col and not sort else ""))
    return found


def shown_runs(table: Table) -> list[int]:
    """Of each row the place of the run that is shown: of the seed that all rows have, else its first."""
    shared = sorted(set.intersection(*(set(line.seeds) for line in table.lines)), key=str)
    return [line.cells("seed").index(shared[0]) if shared else 0 for line in table.lines]


def commands(shown: ShownRow, paths: Mapping[str, Path]) -> list[tuple[str, str | None, str]]:
    """See Section.commands. paths: the directories of all runs by their names."""
    found = []
    for run, seed in zip(shown.line.runs, shown.line.cells("seed"), strict=True):
        path = paths[run]
        command = written(seed), run_folder.command(path), run_folder.made_by(path)
        found.insert(0 if path == shown.path else len(found), command)
    return found


def row_names(table: Table) -> list[str]:
    """The choices that tell each row from the others: ddpm · cosine · l2.

    Budgets, then devices, then numbers of seeds are named where rows differ in nothing before them.
    """
    texts = [choices(line, table.columns) for line in table.lines]
    names = [" · ".join(text for name, text in row.items() if name not in LATE) for row in texts]
    for late in LATE:
        twins: dict[str, set[str]] = {}
        for name, row in zip(names, texts, strict=True):
            twins.setdefault(name, set()).add(row.get(late, ""))
        names = [
            " · ".join(filter(None, (name, row.get(late, "") if len(twins[name]) > 1 else "")))
            for name, row in zip(names, texts, strict=True)
        ]
    return [name or line.runs[0] for name, line in zip(names, table.lines, strict=True)]


def choices(line: Line, columns: Sequence[Column]) -> dict[str, str]:
    """A row's choices by the names of their columns; a number follows its column's title: optim.lr 0.001."""
    return {
        col.name: f"{'' if isinstance(entry.value, str) else f'{col.title} '}{written(entry.value)}"
        for entry, col in zip(line.entries, columns, strict=True)
        if entry.estimate is None and entry.value is not None
    }
