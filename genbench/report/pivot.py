"""Pivots: one measure of rows that differ in exactly two settings, as a table axis x axis, the best marked.

`pivot_of(table)` makes one of a table of a report, whose formats show it below that table by themselves;
`pivot_of_frame(frame, "sampler", "steps", name)` makes one of any data frame, such as that of a sweep over
samplers. `formats.terminal.print_pivot(pivot, console)` prints either, as Markdown where that is no terminal.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from genbench.records.metric_name import is_metric
from genbench.report.columns import COSTS, MEASURES, Column, column
from genbench.report.data_frame import Cell, DataFrame, cells, distinct
from genbench.report.numbers import shared_decimals, whole, written
from genbench.report.query import sort_key
from genbench.report.statistics import estimate
from genbench.report.table import Table
from genbench.report.table_cell import GUIDED, NOT_MEASURED, Entry, comparable

__all__ = ["BEST", "Pivot", "pivot_of", "pivot_of_frame"]

BEST = "★"
FILLED = 2 / 3  # share of the places that must have a row: fewer are no sweep over two axes

Places = Mapping[tuple[Cell, Cell], Entry]


class Pivot(NamedTuple):
    """A table axis x axis of one measure, as text."""

    title: str  # FID ↓ by sampler (rows) and steps (columns); ★: lowest
    corner: str  # name of the axis along the rows
    heads: list[str]  # values of the other axis
    rows: list[tuple[str, list[str]]]  # value along the rows, with the texts of its places
    bold: set[tuple[int, int]]  # places that are better than all others at 95 %, see `table.ranked`


def pivot_of(table: Table) -> Pivot | None:
    """Return the pivot of a table whose rows differ in exactly two settings, of its first metric with a
    better side; None of all other tables, and where more than a third of the places would be empty.

    Where budgets differ or numbers are of several kinds, nothing is marked, as in the table.
    """
    axes = [i for i, col in enumerate(table.columns) if is_axis(col)]
    first = next((i for i, col in enumerate(table.columns) if col.better), None)
    if len(axes) != 2 or first is None:
        return None
    keys = [(line.entries[axes[0]].value, line.entries[axes[1]].value) for line in table.lines]
    marks = [GUIDED if line.is_guided else "" for line in table.lines]
    places = {
        key: line.entries[first]._replace(mark=mark)
        for key, line, mark in zip(keys, table.lines, marks, strict=True)
    }
    if len(places) < len(keys):  # rows that differ in something else too
        return None
    names = (table.columns[axes[0]].title, table.columns[axes[1]].title)
    col = table.columns[first]
    is_ranked = len(table.budgets) < 2 and comparable([table.runs.frame], col.name)
    return pivot(names, places, col, is_ranked=is_ranked)


def pivot_of_frame(frame: DataFrame, rows: str, columns: str, value: str) -> Pivot | None:
    """Return the pivot of one column of a data frame over two others; None where it fills too few places.

    frame: a row a measurement; several with the same place are averaged as seeds are. rows, columns: names of
    the two axes, which stand as text in the pivot. value: a metric by its full name, or another measure. Its
    decimals are shared, its best mean is marked, and nothing is in bold. Raises ValueError where the frame
    lacks one of the three columns.
    """
    for name in (rows, columns, value):
        if name not in frame.columns:
            raise ValueError(f"the data frame has no column {name!r}: choose from {', '.join(frame.columns)}")
    found: dict[tuple[Cell, Cell], list[float]] = {}
    for row, col, number in zip(*(cells(frame, name) for name in (rows, columns, value)), strict=True):
        numbers = found.setdefault((row, col), [])
        if isinstance(number, int | float) and number == number:
            numbers.append(float(number))
    known = {key: estimate(numbers) for key, numbers in found.items() if numbers}
    digits = shared_decimals([*known.values()])
    places = {
        key: Entry(known[key].mean, known[key], runs=len(numbers), digits=digits)
        if numbers
        else Entry(None, sign=NOT_MEASURED)
        for key, numbers in found.items()
    }
    return pivot((rows, columns), places, column(value), keep_order=True)


def is_axis(col: Column) -> bool:
    """True for a column that tells rows apart: no measure, and no number of seeds."""
    return not (is_metric(col.name) or col.name in MEASURES or col.name in COSTS or col.name == "seeds")


def pivot(
    names: tuple[str, str], places: Places, col: Column, *, is_ranked: bool = True, keep_order: bool = False
) -> Pivot | None:
    """Lay out places of two axes, with the best marked if `is_ranked`; see `ordered` for `keep_order`."""
    along = [distinct(key[i] for key in places) for i in (0, 1)]
    if min(map(len, along)) < 2 or len(places) < FILLED * len(along[0]) * len(along[1]):
        return None
    if not keep_order and is_turned(*along):
        names, along = (names[1], names[0]), along[::-1]
        places = {(b, a): entry for (a, b), entry in places.items()}
    down, across = (ordered(axis, keep_order=keep_order) for axis in along)
    best = best_of(places, col.better) if is_ranked else None
    found = [[places.get((a, b)) for b in across] for a in down]
    texts = [[text_of(x, col, is_best=x is not None and x is best) for x in row] for row in found]
    bold = {(i, j) for i, row in enumerate(found) for j, x in enumerate(row) if x is not None and x.is_best}
    title = f"{col.title} {col.arrow}".rstrip() + f" by {names[0]} (rows) and {names[1]} (columns)"
    mark = f"; {BEST}: {'lowest' if col.better < 0 else 'highest'}" if best else ""
    labels = [*zip(map(written, down), texts, strict=True)]
    return Pivot(title + mark, names[0], [written(x) for x in across], labels, bold)


def is_turned(down: Sequence[Cell], across: Sequence[Cell]) -> bool:
    """True where two axes read better the other way: numbers from left to right, many values downwards."""
    if has_numbers(down) or has_numbers(across):
        return has_numbers(down) and not has_numbers(across)
    return len(down) < len(across)


def ordered(axis: Sequence[Cell], *, keep_order: bool) -> list[Cell]:
    """Values along an axis by size, or by name; text as it was given with `keep_order`."""
    return [*axis] if keep_order and not has_numbers(axis) else sorted(axis, key=key_of)


def has_numbers(axis: Sequence[Cell]) -> bool:
    """True for an axis of numbers alone, to which true and false do not belong."""
    return all(isinstance(x, int | float) and not isinstance(x, bool) for x in axis)


def key_of(value: Cell) -> tuple[bool, float, str]:
    """Sort key of a value along an axis: numbers first, budgets such as "60,000 images" by their number."""
    number = str(value).partition(" ")[0].replace(",", "")
    return (False, float(number), str(value)) if number.isdecimal() else sort_key(value)


def best_of(places: Places, better: int) -> Entry | None:
    """Entry with the best mean of those that have all runs of their row; None where no way is better."""
    means = {key: better * x.estimate.mean for key, x in places.items() if x.estimate and not x.is_partial}
    known = {key: mean for key, mean in means.items() if mean == mean}
    return places[max(known, key=lambda key: known[key])] if better and len(known) > 1 else None


def text_of(entry: Entry | None, col: Column, *, is_best: bool) -> str:
    """Text of one place, with BEST before the best; NOT_MEASURED where no row has the two values."""
    text = NOT_MEASURED if entry is None else whole(entry, col.name)
    return f"{BEST} {text}" if is_best else text
