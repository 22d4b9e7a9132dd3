"""A comparison -> everything that the page shows of it, in the order in which it is read."""

import re
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import NamedTuple

from genbench.report.columns import Column
from genbench.report.compare import Comparison
from genbench.report.footnotes import left_out as left_out_notes
from genbench.report.footnotes import not_shown, notes
from genbench.report.frame import Cell
from genbench.report.numbers import written
from genbench.report.page import figures, run_folder
from genbench.report.page.figures import Panel, Picture, Subject
from genbench.report.page.pictures import Pictures, Place
from genbench.report.table import Line, Table, differences

__all__ = ["Page", "page", "row_names"]

LATE = ("budget", "device", "seeds")  # columns that name a row only where no other one tells it apart
COMPARED = 8  # the most rows whose settings are listed side by side


class Section(NamedTuple):
    """The part of the page about one data set."""

    number: int
    table: Table
    heads: list[tuple[Column, bool, str]]
    """Of each column: whether it holds numbers, and the order of the rows by it, ascending or descending."""
    rows: list[Subject]
    commands: list[list[tuple[str, str | None, str]]]
    """Of each run of a row, that which is shown first: its seed, its command if recorded, its versions."""
    notes: list[tuple[str, str]]  # a mark, empty for none, and a text
    costs: Panel
    training: Panel
    noise: Panel
    pictures: dict[str, list[Picture]]  # by their kind
    pictures_note: str
    differences: list[tuple[str, list[str]]]
    """A setting in which the first rows differ, and its value in each of them."""


class Page(NamedTuple):
    """Everything on the page."""

    title: str
    sections: list[Section]
    left_out: list[tuple[str, str, str]]  # a run, the reason, and the images that it has seen
    beginning: list[str]
    ending: list[str]


def page(found: Comparison, *, place: Place, title: str) -> Page:
    """Collect the contents of the page; `place` turns the bytes of a PNG into its `src` in the page.

    Files of runs that cannot be shown are named, with the reason, at the end of the page.
    """
    pictures = Pictures(place)
    sections = [section(number, table, found, pictures) for number, table in enumerate(found.tables)]
    left_out = [
        (name, reason, written(run_folder.images_seen(found.runs.paths[name])))
        for name, reason in found.runs.left_out.items()
    ]
    ending = [*left_out_notes({}, found.runs.passed_over), *not_shown(pictures.refused)]
    return Page(title, sections, left_out, found.beginning, ending)


def section(number: int, table: Table, found: Comparison, pictures: Pictures) -> Section:
    """One data set's part of the page."""
    shown = shown_runs(table)
    subjects = [
        Subject(i, name, line, found.runs.paths[line.runs[place]])
        for i, (name, line, place) in enumerate(zip(row_names(table), table.lines, shown, strict=True))
    ]
    seeds = {line.cells("seed")[place] for line, place in zip(table.lines, shown, strict=True)}
    for subject in subjects:
        pictures.refused |= run_folder.unreadable_files(subject.path)
    return Section(
        number=number,
        table=table,
        heads=heads(table, found.query.sort),
        rows=subjects,
        commands=[commands(subject, found.runs.paths) for subject in subjects],
        notes=[split_mark(note) for note in notes(table)],
        costs=figures.cost_panel(table, subjects),
        training=figures.training_panel(subjects, table.runs.kinds),
        noise=figures.noise_panel(subjects),
        pictures=figures.pictures_by_kind(subjects, pictures),
        pictures_note=seeds_note(seeds) + figures.first_rows(len(subjects), figures.PICTURED),
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


def split_mark(note: str) -> tuple[str, str]:
    """A footnote -> its mark and its text: "[1] f,n=9" -> ("1", "f,n=9")."""
    match = re.fullmatch(r"\[(\d+)\] (.*)", note, re.DOTALL)
    return (match[1], match[2]) if match else ("", note)


def shown_runs(table: Table) -> list[int]:
    """Of each row the place of the run that is shown: of the seed that all rows have, else its first."""
    shared = sorted(set.intersection(*(set(line.seeds) for line in table.lines)), key=str)
    return [line.cells("seed").index(shared[0]) if shared else 0 for line in table.lines]


def seeds_note(seeds: Set[Cell]) -> str:
    """A sentence on whether pictures of runs of these seeds start from the same random numbers."""
    if len(seeds) > 1:
        return "Seeds differ: the pictures of each row start from other random numbers."
    return (
        f"All pictures are from seed {written(next(iter(seeds)))} and start from the same random numbers:"
        " models with the same noise shape use identical noise per position."
    )


def commands(subject: Subject, paths: Mapping[str, Path]) -> list[tuple[str, str | None, str]]:
    """See Section.commands. paths: the directories of all runs by their names."""
    found = []
    for run, seed in zip(subject.line.runs, subject.line.cells("seed"), strict=True):
        path = paths[run]
        command = written(seed), run_folder.command(path), run_folder.made_by(path)
        found.insert(0 if path == subject.path else len(found), command)
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
