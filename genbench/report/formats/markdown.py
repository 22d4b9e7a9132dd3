"""Tables -> Markdown that can be read as it is."""

import re
from collections.abc import Sequence

from rich.cells import cell_len

from genbench.report.columns import Column
from genbench.report.compare import Comparison
from genbench.report.conclusion import conclusion
from genbench.report.data_frame import DataFrame
from genbench.report.footnotes import notes
from genbench.report.matched import Matched, matched
from genbench.report.numbers import written
from genbench.report.overview import overview
from genbench.report.pivot import Pivot, pivot_of
from genbench.report.stability import Stability, stability
from genbench.runtime.printable import printable

__all__ = ["frame_markdown", "head", "markdown", "note", "pivot_markdown", "raised", "rows_markdown"]

RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
ESCAPED_COMMAND = re.compile(r"\\`(genbench [\w .,=-]+)\\`")
"""A command in backticks after `escape`, of characters that mean nothing else in Markdown."""


def markdown(found: Comparison) -> str:
    """Return a comparison as Markdown: a table for each data set with its footnotes as a list.

    Texts of runs, which may come from anybody, stay in their cells, and control characters are spelt out.
    """
    lines = [f"{escape(words)}\n" for words in (overview(found), *found.beginning)]
    for table in found.tables:
        if len(found.tables) > 1 or table.is_conditional:
            lines.append(f"### {escape(table.title)}\n")
        if words := conclusion(table):
            lines.append(f"{escape(words)}\n")
        titles = [escape(head(col)) for col in table.columns]
        lines.append(grid(titles, table.texts(escape, "**{}**"), table.is_number))
        if (pivot := pivot_of(table)) is not None:
            lines.append(pivot_markdown(pivot))
        for each in matched(table, found.runs.paths):
            lines.append(matched_markdown(each))
        lines += [*map(note, notes(table)), ""]
    if (trials := stability(found.runs)) is not None:
        lines.append(matched_markdown(trials))
    return "\n".join([*lines, *map(note, found.ending)]).rstrip() + "\n"


def matched_markdown(found: Matched | Stability) -> str:
    """Return a table with a title, a basis and notes of its own as Markdown, with its texts escaped."""
    rows = [[escape(text) for text in row] for row in found.texts]
    table = grid([*map(escape, found.heads)], rows, found.are_numbers)
    notes = "\n".join(map(note, found.notes))
    return f"{escape(found.title)} ({escape(found.basis)})\n\n{table}\n{notes}\n"


def pivot_markdown(pivot: Pivot) -> str:
    """Return a pivot, see `report.pivot`, as a Markdown table below its title, with its texts escaped.

    Places that beat all others at 95 % are bold.
    """
    rows = []
    for i, (label, texts) in enumerate(pivot.rows):
        places = [f"**{escape(x)}**" if (i, j) in pivot.bold else escape(x) for j, x in enumerate(texts)]
        rows.append([escape(label), *places])
    titles = [escape(pivot.corner), *map(escape, pivot.heads)]
    return f"{escape(pivot.title)}\n\n{grid(titles, rows, [False] + [True] * len(pivot.heads))}"


def head(col: Column) -> str:
    """Return a column's title with the mark of its footnote and its arrow, as plain text: FID¹ ↓."""
    mark = str(col.mark).translate(RAISED) if col.mark else ""
    return f"{col.title}{mark} {col.arrow}".rstrip()


def note(text: str) -> str:
    """Return a footnote as a line of its own, escaped but for the commands in it, which stay code."""
    return "- " + ESCAPED_COMMAND.sub(r"`\1`", escape(raised(text)))


def raised(text: str) -> str:
    """Return a footnote with its mark as the head of a column has it: "[1] f,n=9: .." -> "¹ f,n=9: .."."""
    return re.sub(r"^\[(\d+)\]", lambda found: found[1].translate(RAISED), text)


def grid(titles: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    """Rows with their bars below one another; right: the columns of numbers."""
    widths = [max(3, *map(cell_len, column)) for column in zip(titles, *rows, strict=True)]
    rule = [f"{'-' * (w - 1)}:" if r else "-" * w for w, r in zip(widths, right, strict=True)]

    def padded(cell: str, size: int, right: bool) -> str:
        return f"{cell:{'>' if right else '<'}{size - cell_len(cell) + len(cell)}}"

    lines = [titles, rule, *rows]
    return "".join(f"| {' | '.join(map(padded, line, widths, right))} |\n" for line in lines)


def frame_markdown(shown: DataFrame) -> str:
    """Return any data frame as a Markdown table, its numbers to four figures, escaped as the others are."""
    titles = [escape(str(name)) for name in shown.columns]
    rows = [[escape(written(value)) for value in row] for row in shown.to_numpy(dtype=object).tolist()]
    return grid(titles, rows, [False] * len(titles))


def rows_markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows of text as a Markdown table, escaped as all others are; all but the first column stand at
    the right.
    """
    cells = [[escape(cell) for cell in row] for row in rows]
    return grid([*map(escape, heads)], cells, [False] + [True] * (len(heads) - 1))


def escape(cell: str) -> str:
    """Text that stays in its cell: no pipe, line break, tag, link, entity, style or control character."""
    special = r"[\\|`*~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?<=\])[(\[]"  # inside a word _ is itself
    escaped = re.sub(special, r"\\\g<0>", " ".join(cell.split()))
    # Only what would be read as an entity or a tag: fid<3 stays as it is. Some readers know no \< or \&.
    return printable(re.sub(r"<(?=[A-Za-z/!?])", "&lt;", re.sub(r"&(?=#?\w+;)", "&amp;", escaped)))
