"""The console script `genbench VERB`: thin, and what a verb needs is imported when it runs."""

import sys
import warnings
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from genbench.run import atomic_file, version

__all__ = ["main"]

app = typer.Typer(
    help="Train, measure and compare families of generative image models under one protocol.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

OUT_HELP = "The file to write; a regular file of that name is replaced, anything else is refused."


class Format(StrEnum):
    """How a report is written."""

    md = "md"
    csv = "csv"
    json = "json"


def main() -> None:
    """Run a verb; what the user can mend is one line on stderr and exit code 2."""
    try:
        app(prog_name="genbench")
    except (ValueError, OSError) as error:
        complain(str(error))
        sys.exit(2)


def complain(message: str) -> None:
    """One line on stderr."""
    typer.echo(f"genbench: {' '.join(message.split())}", err=True)


def print_version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        typer.echo(f"genbench {version('genbench') or '(not installed)'}")
        raise typer.Exit


@app.callback()
def genbench(
    show_version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train, measure and compare families of generative image models under one protocol."""


@app.command()
def report(
    runs_dir: Annotated[Path, typer.Argument(help="The directory that holds the runs, at any depth.")],
    format: Annotated[
        Format | None, typer.Option(help="How the table is written; by default as --out ends, or md.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help=f"{OUT_HELP} Without it: the terminal.")] = None,
) -> None:
    """Compare all finished runs below a directory in one table."""
    check_out(out)
    from genbench.report import csv_text, json_text, load, markdown

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        runs = load(runs_dir)
    for warning in caught:
        complain(str(warning.message))
    write = {Format.md: markdown, Format.csv: csv_text, Format.json: json_text}
    deliver(write[format or format_of(out)](runs), out)


@app.command()
def schedules(
    out: Annotated[Path, typer.Option(help=f"{OUT_HELP} Its ending decides the format: png, pdf, svg.")],
    steps: Annotated[int, typer.Option("--T", min=1, help="Steps of the grid.")] = 1000,
) -> None:
    """Draw alpha_bar and log-SNR of every noise schedule."""
    check_out(out)
    from genbench.diffusion.schedule import Cosine, Geometric, Linear, Sigmoid
    from genbench.pictures import schedule_figure

    members = (Linear(steps), Cosine(steps), Geometric(steps), Sigmoid(steps))
    schedule_figure({type(member).__name__: member.table.numpy() for member in members}, out)


def format_of(out: Path | None) -> Format:
    """The format that a file's ending names; Markdown for any other."""
    ending = "" if out is None else out.suffix.lower().removeprefix(".")
    return Format(ending) if ending in Format.__members__ else Format.md


def check_out(out: Path | None) -> None:
    """Raise ValueError where `out` is there and is no regular file, before any work is done."""
    if out is not None and out.exists() and not out.is_file():
        raise ValueError(f"--out {out} is there and is no regular file: name a file")


def deliver(text: str, out: Path | None) -> None:
    """Write text to a file, or to the terminal."""
    if out is None:
        typer.echo(text, nl=False)
        return
    with atomic_file(out) as file:
        file.write(text.encode())
