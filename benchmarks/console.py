"""What the benchmarks ask and tell their users."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import pandas as pd
import typer
from rich.console import Console
from rich.markdown import Markdown

from genbench.cli.sample import listed
from genbench.report import frame_markdown

__all__ = ["Announcer", "Only", "Out", "Rounds", "Row", "Table", "Threads", "chosen", "show"]

Row = Mapping[str, str | float | None]
Out = Annotated[Path | None, typer.Option(help="A file that the tables are written to, as Markdown.")]
Rounds = Annotated[int, typer.Option(min=1, help="Turns of each that count; one more comes first.")]
Threads = Annotated[int, typer.Option(min=1, help="Of torch.")]
Only = Annotated[str, typer.Option(help="Some of them, with commas; without it, all.")]


class Table(NamedTuple):
    """What a benchmark found."""

    title: str
    rows: Sequence[Row]
    notes: Sequence[str] = ()

    def markdown(self) -> str:
        """Title, rows and notes."""
        titles = dict.fromkeys(title for row in self.rows for title in row)
        frame = pd.DataFrame([{t: row.get(t) for t in titles} for row in self.rows], dtype=object)
        notes = "".join(f"\n{note}\n" for note in self.notes)
        return f"### {self.title}\n\n{frame_markdown(frame) if self.rows else ''}{notes}"


def show(tables: Sequence[Table], out: Path | None = None) -> None:
    """Print tables, and write them to a file."""
    text, console = "\n".join(table.markdown() for table in tables), Console()
    if console.is_terminal:
        console.print(Markdown(text))
    else:
        typer.echo(text, nl=False)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text)


def chosen(only: str, legal: Sequence[str]) -> list[str]:
    """The names in a list with commas, or all where it is empty. Raises typer.BadParameter on others."""
    names = listed(only, str) or list(legal)
    if unknown := [name for name in names if name not in legal]:
        raise typer.BadParameter(f"{unknown[0]!r} is nobody here; legal are {', '.join(legal)}")
    return names


class Announcer:
    """A line on stderr before each of `total` pieces of work, with the time that is left."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.begun = total, 0, time.monotonic()

    def begin(self, name: str) -> None:
        """Say that the next piece begins."""
        typer.echo(f"[{self.done + 1}/{self.total}] {name}, {self.left()}", err=True)
        self.done += 1

    def left(self) -> str:
        """As long as those before took in the mean, for each that is not done."""
        if not self.done:
            return "ETA ?"
        each = (time.monotonic() - self.begun) / self.done
        return f"ETA {each * (self.total - self.done) / 60:.1f} min"
