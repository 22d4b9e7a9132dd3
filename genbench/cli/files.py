"""What the verbs of the console script share: complaints, and files that are written with care."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import typer

from genbench.records.files import atomic_file
from genbench.runtime.disk import check_writable, explain
from genbench.runtime.printable import complain, flat, printable

__all__ = ["OUT_HELP", "Weights", "check_new", "check_out", "deliver", "say", "warnings_in_lines"]


class Weights(StrEnum):
    """Which weights of a run."""

    ema = "ema"
    raw = "raw"


OUT_HELP = "The file to write; a regular file of that name is replaced, anything else is refused."


def say(text: str, *, nl: bool = True) -> None:
    """Text on stdout, with control characters spelt out."""
    typer.echo(printable(text), nl=nl)


@contextmanager
def warnings_in_lines() -> Iterator[None]:
    """Each warning is one line on stderr."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            for warning in caught:
                complain(flat(str(warning.message)))


def check_out(out: Path | None) -> None:
    """Raise ValueError where `out` is no regular file or cannot be written, before any work is done."""
    if out is None:
        return
    if out.exists() and not out.is_file():
        raise ValueError(f"--out {out} is there and is no regular file: name a file")
    check_folder(out, out.parent)


def check_new(folder: Path) -> None:
    """Raise ValueError where there is something that writing into a folder could overwrite."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ValueError(f"--out {folder} is there and is no empty folder: name another")
    check_folder(folder, folder)


def check_folder(out: Path, folder: Path) -> None:
    """Raise ValueError where nothing can be written in the folder of `out`, or in the one to make it in."""
    try:
        check_writable(folder)
    except OSError as error:
        raise ValueError(f"{out} cannot be written: {explain(error)} --out names one.") from error


def deliver(text: str, out: Path | None) -> None:
    """Write text to the terminal, or to a file, and say so."""
    if out is None:
        say(text, nl=False)
        return
    with atomic_file(out) as file:
        file.write(text.encode())
    say(f"{out} is written")
