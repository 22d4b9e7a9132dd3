"""Options, progress lines and tables that the benchmarks share."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import pandas as pd
import typer
from rich.console import Console
from rich.markdown import Markdown

from genbench.cli.sampling_options import listed
from genbench.report import frame_markdown

__all__ = [
    "Announcer",
    "Only",
    "Out",
    "Precision",
    "Rounds",
    "Row",
    "Table",
    "Threads",
    "chosen",
    "counts",
    "show",
]

Row = Mapping[str, str | float | None]
Out = Annotated[Path | None, typer.Option(help="Output file, as Markdown.")]
Rounds = Annotated[int, typer.Option(min=1, help="Timed turns of each contender, after one turn of warm-up.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads of torch.")]
Precision = Annotated[str, typer.Option(help="Of ours: fp32, bf16 or auto. The peers train in fp32.")]
Only = Annotated[str, typer.Option(help="Comma-separated names; default: all.")]


class Table(NamedTuple):
    """The result of a benchmark: a title, rows of columns and foot-notes."""

    title: str
    rows: Sequence[Row]
    notes: Sequence[str] = ()

    def markdown(self) -> str:
        """The table as Markdown, with the union of all rows' columns; a missing value is n/a."""
        titles = dict.fromkeys(title for row in self.rows for title in row)
        frame = pd.DataFrame([{t: row.get(t) for t in titles} for row in self.rows], dtype=object)
        notes = "".join(f"\n{note}\n" for note in self.notes)
        return f"### {self.title}\n\n{frame_markdown(frame) if self.rows else ''}{notes}"


def show(tables: Sequence[Table], out: Path | None = None) -> None:
    """Print tables, formatted where stdout is a terminal, and write them to a file where one is given."""
    text, console = "\n".join(table.markdown() for table in tables), Console()
    if console.is_terminal:
        console.print(Markdown(text))
    else:
        typer.echo(text, nl=False)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text)


def chosen(text: str, legal: Sequence[str], option: str = "--only") -> list[str]:
    """Return the names in a comma-separated list, all legal ones where it is empty.

    option: its name, for messages. Raises typer.BadParameter on a name that is not legal, is missing, or
    stands there twice.
    """
    try:
        names = listed(text, str, option) or list(legal)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
    if unknown := [name for name in names if name not in legal]:
        message = f"{unknown[0]!r} is unknown; choose from {', '.join(legal)}"
        raise typer.BadParameter(message, param_hint=option)
    return names


def counts(text: str, option: str) -> list[int]:
    """Return the numbers in a comma-separated list, at least one of them and each at least 1.

    option: its name, for messages. Raises typer.BadParameter on anything else, and on a number that stands
    there twice.
    """
    try:
        numbers = listed(text, int, option)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
    if min(numbers, default=0) < 1:
        message = f"{option} is {text!r}; it must be whole numbers of at least 1, separated by commas"
        raise typer.BadParameter(message, param_hint=option)
    return numbers


class Announcer:
    """A line on stderr before each of `total` steps of a benchmark, with an estimate of the time left."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.begun = total, 0, time.monotonic()

    def begin(self, name: str) -> None:
        """Print the line of the next step, which has a name."""
        typer.echo(f"[{self.done + 1}/{self.total}] {name}, {self.left()}", err=True)
        self.done += 1

    def left(self) -> str:
        """The estimate in minutes: the mean time of the steps before, for each step that is not done."""
        if not self.done:
            return "ETA ?"
        each = (time.monotonic() - self.begun) / self.done
        return f"ETA {each * (self.total - self.done) / 60:.1f} min"
