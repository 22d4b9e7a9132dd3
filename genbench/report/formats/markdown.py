"""Tables -> Markdown that can be read as it is."""

import re
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from genbench.report.columns import Column
from genbench.report.compare import Comparison
from genbench.report.footnotes import notes
from genbench.report.numbers import whole, written
from genbench.report.table import Table
from genbench.runtime.printable import printable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["frame_markdown", "head", "markdown", "raised"]

RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def markdown(found: Comparison) -> str:
    """Return a comparison as Markdown: a table for each data set with its footnotes as a list.

    Texts of runs, which may come from anybody, stay in their cells, and control characters are spelt out.
    """
    parts = [part for table in found.tables for part in section(table, with_title=len(found.tables) > 1)]
    lead = [f"{escape(words)}\n" for words in found.beginning]
    return printable("\n".join([*lead, *parts, *map(note, found.ending)]).rstrip() + "\n")


def section(table: Table, *, with_title: bool) -> list[str]:
    """One data set's heading, rows and footnotes."""
    rows = []
    for line in table.lines:
        texts = [escape(whole(x, col.name)) for x, col in zip(line.entries, table.columns, strict=True)]
        rows.append([f"**{t}**" if x.is_best else t for t, x in zip(texts, line.entries, strict=True)])
    right = [
        any(x.estimate for x in col) for col in zip(*(line.entries for line in table.lines), strict=True)
    ]
    heading = [f"### {escape(table.title)}\n"] if with_title else []
    titles = [escape(head(col)) for col in table.columns]
    return [*heading, grid(titles, rows, right), *map(note, notes(table)), ""]


def head(col: Column) -> str:
    """Return a column's title with the mark of its footnote and its arrow, as plain text: FID¹ ↓."""
    mark = str(col.mark).translate(RAISED) if col.mark else ""
    return f"{col.title}{mark} {col.arrow}".rstrip()


def note(text: str) -> str:
    """A footnote as a line of its own."""
    return "- " + escape(raised(text))


def raised(text: str) -> str:
    """Return a footnote with its mark as the head of a column has it: "[1] f,n=9: .." -> "¹ f,n=9: .."."""
    return re.sub(r"^\[(\d+)\]", lambda found: found[1].translate(RAISED), text)


def grid(titles: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    """Rows with their bars below one another; right: the columns of numbers."""
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
    """Return any data frame as a Markdown table, its numbers to four figures, escaped as the others are."""
    titles = [escape(str(name)) for name in shown.columns]
    rows = [[escape(written(value)) for value in row] for row in shown.to_numpy(dtype=object).tolist()]
    return printable(grid(titles, rows, [False] * len(titles)))


def escape(cell: str) -> str:
    """Text that stays in its cell: no bare pipe, line break, tag, link, picture or entity, and no style."""
    special = r"[\\|`*~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?<=\])[(\[]"  # inside a word _ is itself
    escaped = re.sub(special, r"\\\g<0>", " ".join(cell.split()))
    return re.sub(r"&(?=#?\w+;)", "&amp;", escaped).replace("<", "&lt;")
