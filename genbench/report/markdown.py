"""Tables -> Markdown that can be read as it is."""

import re
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from genbench.report.columns import Column
from genbench.report.notes import notes
from genbench.report.table import Line, Table
from genbench.report.written import whole, written
from genbench.runtime.printable import printable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["frame_markdown", "markdown"]

RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def markdown(tables: Sequence[Table], ending: Sequence[str], beginning: Sequence[str] = ()) -> str:
    """A Markdown table a data set with its foot-notes; before and after them what holds for all."""
    parts = [part for table in tables for part in section(table, with_title=len(tables) > 1)]
    lead = [f"{escape(words)}\n" for words in beginning]
    return printable("\n".join([*lead, *parts, *map(note, ending)]).rstrip() + "\n")


def section(table: Table, *, with_title: bool) -> list[str]:
    """One data set's heading, rows and foot-notes."""
    titles = [head(col) for col in table.columns]
    rows = [[text(line, place, col) for place, col in enumerate(table.columns)] for line in table.lines]
    right = [any(line.entries[i].estimate for line in table.lines) for i in range(len(titles))]
    heading = [f"### {escape(table.title)}\n"] if with_title else []
    return [*heading, grid(titles, rows, right), *map(note, notes(table)), ""]


def head(col: Column) -> str:
    """A column's title: FID¹ ↓."""
    mark = str(col.mark).translate(RAISED) if col.mark else ""
    return f"{escape(col.title)}{mark} {col.arrow}".rstrip()


def text(line: Line, place: int, col: Column) -> str:
    """One place of the table."""
    entry = line.entries[place]
    shown = escape(whole(entry, col.name))
    return f"**{shown}**" if entry.is_best else shown


def note(text: str) -> str:
    """A foot-note as a line of its own."""
    return "- " + escape(raised(text))


def raised(text: str) -> str:
    """A foot-note with its mark as the head of a column has it."""
    return re.sub(r"^\[(\d+)\]", lambda found: found[1].translate(RAISED), text)


def grid(titles: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    """Rows with their bars below one another, numbers to the right."""
    widths = [max(3, *map(width, column)) for column in zip(titles, *rows, strict=True)]
    rule = [f"{'-' * (w - 1)}:" if r else "-" * w for w, r in zip(widths, right, strict=True)]
    lines = [titles, rule, *rows]
    return "".join(f"| {' | '.join(map(padded, line, widths, right))} |\n" for line in lines)


def padded(cell: str, size: int, right: bool) -> str:
    """A cell filled up to its column's width."""
    space = " " * (size - width(cell))
    return f"{space}{cell}" if right else f"{cell}{space}"


def width(cell: str) -> int:
    """Columns of a terminal that a text takes."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in cell)
    return len(cell) + wide - sum(unicodedata.combining(letter) > 0 for letter in cell)


def frame_markdown(shown: "pd.DataFrame") -> str:
    """Any data frame as Markdown, numbers to four figures."""
    titles = [escape(str(name)) for name in shown.columns]
    rows = [[escape(written(value)) for value in row] for row in shown.to_numpy(dtype=object).tolist()]
    return printable(grid(titles, rows, [False] * len(titles)))


def escape(cell: str) -> str:
    """Text that stays in its cell: no bare pipe, line break, tag, link, picture or entity, and no style."""
    special = r"[\\|`*~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?<=\])[(\[]"  # inside a word _ is itself
    told = re.sub(special, r"\\\g<0>", " ".join(cell.split()))
    return re.sub(r"&(?=#?\w+;)", "&amp;", told).replace("<", "&lt;")
