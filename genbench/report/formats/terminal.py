"""Tables -> the terminal, as wide as it is."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from genbench.report.compare import Comparison
from genbench.report.conclusion import conclusion
from genbench.report.footnotes import notes
from genbench.report.formats.markdown import head, pivot_markdown, raised
from genbench.report.matched import Matched, matched
from genbench.report.numbers import whole
from genbench.report.overview import overview
from genbench.report.pivot import Pivot, pivot_of
from genbench.report.stability import Stability, stability
from genbench.report.table import Table
from genbench.runtime.printable import in_one_line, printable

__all__ = ["print_comparison", "print_pivot"]

BETWEEN = 2  # letters between two columns


class Shown(NamedTuple):
    """One column as it is printed."""

    title: str
    cells: list[Text]  # one a row
    is_number: bool


def print_comparison(found: Comparison, console: Console) -> None:
    """Print all tables with their footnotes; what is too wide for one block goes on in another below it.

    found: a comparison, whose texts may come from anybody: control characters are spelt out.
    """
    for note in (overview(found), *found.beginning):
        console.print(wrapped(note, console.width), end="\n\n", soft_wrap=True)
    for table in found.tables:
        if len(found.tables) > 1 or table.is_conditional:
            console.print(Text(in_one_line(table.title), style="bold"))
        if words := conclusion(table):
            console.print(wrapped(words, console.width, indent=""), end="\n\n", soft_wrap=True)
        for block in blocks(shown(table), console.width):
            console.print(grid(block), "", sep="\n")
        if (pivot := pivot_of(table)) is not None:
            print_pivot(pivot, console)
        for each in matched(table, found.runs.paths):
            print_matched(each, console)
        for note in notes(table):
            console.print(wrapped(raised(note), console.width), soft_wrap=True)
        console.print()
    if (trials := stability(found.runs)) is not None:
        print_matched(trials, console)
    for note in found.ending:
        console.print(wrapped(note, console.width), soft_wrap=True)


def print_pivot(pivot: Pivot, console: Console) -> None:
    """Print a pivot, see `report.pivot`, as wide as the terminal, or as Markdown where there is none.

    Columns that do not fit go on in a further block, each with the values of the rows in front; an empty line
    follows.
    """
    if not console.is_terminal:
        console.print(pivot_markdown(pivot), soft_wrap=True, highlight=False, markup=False)
        return
    labels = Shown(in_one_line(pivot.corner), [Text(in_one_line(label)) for label, _ in pivot.rows], False)
    columns = [
        Shown(
            in_one_line(head),
            [
                Text(in_one_line(texts[j]), style="bold" if (i, j) in pivot.bold else "")
                for i, (_, texts) in enumerate(pivot.rows)
            ],
            True,
        )
        for j, head in enumerate(pivot.heads)
    ]
    console.print(wrapped(pivot.title, console.width), style="bold", soft_wrap=True)
    for block in blocks([labels, labels, *columns], console.width):
        console.print(grid(block), "", sep="\n")


def print_matched(found: Matched | Stability, console: Console) -> None:
    """Print a table with a title, a basis and notes of its own, such as the ranking of curves of quality
    against diversity, as wide as the terminal.
    """
    console.print(wrapped(f"{found.title} ({found.basis})", console.width), style="bold", soft_wrap=True)
    columns = [
        Shown(in_one_line(head), [Text(in_one_line(row[i])) for row in found.texts], is_number)
        for i, (head, is_number) in enumerate(zip(found.heads, found.are_numbers, strict=True))
    ]
    numbers = Shown("#", [Text(str(i)) for i in range(1, len(found.rows) + 1)], True)
    for block in blocks([numbers, *columns], console.width):
        console.print(grid(block), "", sep="\n")
    for note in found.notes:
        console.print(wrapped(note, console.width), soft_wrap=True)
    console.print()


def wrapped(note: str, width: int, indent: str = "  ") -> Text:
    """A note in lines that break between words; indent: what all but the first begin with."""
    wrapper = textwrap.TextWrapper(
        width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return Text(wrapper.fill(printable(note)))


def shown(table: Table) -> list[Shown]:
    """The numbers of the rows, then the columns of a table."""
    found = [Shown("#", [Text(str(i)) for i in range(1, len(table.lines) + 1)], True)]
    for col, is_number, entries in zip(table.columns, table.is_number, table.entries, strict=True):
        cells = [Text(in_one_line(whole(x, col.name)), style="bold" if x.is_best else "") for x in entries]
        found.append(Shown(in_one_line(head(col)), cells, is_number))
    return found


def blocks(columns: Sequence[Shown], width: int) -> Iterator[list[Shown]]:
    """Columns in blocks no wider than the terminal, each with what tells the rows apart in front.

    columns: the rows' numbers first, which stand in for text that is too wide to repeat: they are left out
    where all fits, or what tells rows apart takes no more than half of the width. A single row that is too
    wide stands upright, a column a line.
    """
    if len(columns[0].cells) == 1 and room(columns[1:]) > width:
        titles, values = zip(*((title, cells[0]) for title, cells, _ in columns[1:]), strict=True)
        yield [Shown("", [Text(title) for title in titles], False), Shown("", [*values], False)]
        return
    front, rest = [columns[0]], [*columns[1:]]
    labels, numbers = ([col for col in rest if col.is_number == flag] for flag in (False, True))
    widest = max((room([col]) for col in numbers), default=0)
    if room(rest) <= width or (labels and room(labels) <= min(width // 2, width - widest)):
        front, rest = labels, numbers
    elif labels and labels[0] is not columns[0] and room(labels[:1]) <= width // 3:
        front, rest = [columns[0], labels[0]], [*labels[1:], *numbers]
    block = [*front]
    front = [column for column in front if column.title != "seeds"]  # which need not be repeated
    for column in rest:
        if len(block) > len(front) and room([*block, column]) > width:
            yield block
            block = [*front]
        block.append(column)
    yield block


def room(columns: Sequence[Shown]) -> int:
    """Width of some columns side by side, in letters; nothing follows the last one."""
    sizes = (max(map(cell_len, (title, *(cell.plain for cell in cells)))) for title, cells, _ in columns)
    return sum(sizes) + BETWEEN * max(len(columns) - 1, 0)


def grid(block: Sequence[Shown]) -> Grid:
    """A block of columns as rich prints it."""
    has_titles = any(title for title, _, _ in block)  # a single row that stands upright has none
    style = box.SIMPLE_HEAD if has_titles else None
    made = Grid(
        box=style, show_header=has_titles, show_edge=False, pad_edge=False, padding=(0, BETWEEN - 1, 0, 0)
    )
    for title, _, is_number in block:
        # Numbers are never broken; what is longer than the terminal can only be text.
        made.add_column(Text(title), justify="right" if is_number else "left", no_wrap=is_number)
    for row in zip(*(cells for _, cells, _ in block), strict=True):
        made.add_row(*row)
    return made
