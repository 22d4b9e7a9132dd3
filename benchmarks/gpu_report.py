"""Tables of the GPU benchmark, written after each row, so that a killed run leaves what it measured."""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
import typer

from benchmarks.console import Row, Table
from genbench.records.files import atomic_file

__all__ = ["Part", "Report", "attempt"]

LETTERS = 160  # of the reason why a row failed


@dataclass(frozen=True)
class Part:
    """A table of the benchmark: its name in --parts, its title, what makes its rows one by one, and notes."""

    name: str
    title: str
    rows: Callable[[], Iterator[Row]]
    notes: Sequence[str] = ()


@dataclass
class Report:
    """The tables so far, and the time that is left for more.

    out: the file that is written after each row; None for none. minutes: after which no row is begun.
    """

    out: Path | None
    minutes: float
    tables: list[Table] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)

    def add(self, part: Part) -> None:
        """Measure a part, row by row, and write each; a failure of the part itself becomes a row."""
        rows: list[Row] = []
        self.tables.append(Table(part.title, rows, part.notes))
        source = part.rows()
        while self.minutes_left() > 0:
            try:
                row = next(source, None)
            except Exception as error:
                row, source = failed(part.name, error), iter(())
            if row is None:
                break
            rows.append(row)
            self.write(row)
        else:
            self.tables[-1] = Table(part.title, rows, (*part.notes, "Cut short: the time was spent."))
        self.write()
        typer.echo(self.tables[-1].markdown())

    def minutes_left(self) -> float:
        """Return the minutes before no further row is begun; below 0 once they are over."""
        return self.minutes - (time.monotonic() - self.begun) / 60

    def write(self, row: Row | None = None) -> None:
        """Write all tables to the file, which is whole at any moment, and say a new row on stderr."""
        if row is not None:
            shown = ", ".join(f"{key}: {value}" for key, value in row.items())
            typer.echo(f"{self.minutes_left():.1f} min left; {shown}", err=True)
        if self.out is not None:
            with atomic_file(self.out) as file:
                file.write("\n".join(table.markdown() for table in self.tables).encode())


def attempt(name: str, work: Callable[[], Row]) -> Row:
    """Return the row of some work under a name, or the reason why it failed: too little memory, a compiler's
    error, a library that is not installed. Memory is given back before and after it.
    """
    free_memory()
    try:
        return {"who": name, **work()}
    except Exception as error:
        return failed(name, error)
    finally:
        free_memory()


def failed(name: str, error: Exception) -> Row:
    """Return a row that says why there are no numbers."""
    lines = str(error).strip().splitlines() or [""]
    return {"who": name, "failed": f"{type(error).__name__}: {lines[0]}"[:LETTERS].replace("|", "/")}


def free_memory() -> None:
    """Give back what nobody refers to any more, on the GPU as well."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
