"""Functions and texts that verbs of the console script share: output, warnings, checks of --out."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import typer

from genbench.records.files import atomic_file
from genbench.runtime.disk import check_writable, explain
from genbench.runtime.printable import complain, flat, printable

__all__ = [
    "DEVICE_HELP",
    "NEW_FOLDER_HELP",
    "OUT_HELP",
    "Weights",
    "check_new",
    "check_out",
    "deliver",
    "say",
    "warnings_in_lines",
]


class Weights(StrEnum):
    """Weights of a run: `ema`, the exponential moving average over its training, or `raw`, of its last step.
    Their names stand in metric names too, as in fid[..,ema].
    """

    ema = "ema"
    raw = "raw"


OUT_HELP = "Output file; replaces an existing file."
NEW_FOLDER_HELP = "Output folder; must be new or empty."
DEVICE_HELP = "auto, cpu or cuda."


def say(text: str, *, nl: bool = True) -> None:
    """Print text on stdout, with control characters as escapes, since it may quote what a run's files hold.
    nl: end it with a line break.
    """
    typer.echo(printable(text), nl=nl)


@contextmanager
def warnings_in_lines() -> Iterator[None]:
    """Print each warning of the block as one line on stderr, without its place in the code.
    They appear at the end of the block, also where it raises.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            for warning in caught:
                complain(flat(str(warning.message)))


def check_out(out: Path | None) -> None:
    """Raise ValueError where `out` is not a regular file or cannot be written, before any work is done.
    None stands for stdout, and is always accepted. The folder of the file need not exist yet.
    """
    if out is None:
        return
    if out.exists() and not out.is_file():
        raise ValueError(f"--out {out} exists and is not a regular file: choose another path")
    check_folder(out, out.parent)


def check_new(folder: Path) -> None:
    """Raise ValueError where a folder that is to be written exists and is not empty, or cannot be made.
    Verbs that write several files check it before any work is done.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ValueError(f"--out {folder} exists and is not an empty folder: choose another path")
    check_folder(folder, folder)


def check_folder(out: Path, folder: Path) -> None:
    """Raise ValueError where nothing can be written in the folder of `out`, or in the one to make it in."""
    try:
        check_writable(folder)
    except OSError as error:
        raise ValueError(
            f"{out} cannot be written: {explain(error)} Choose another path for --out."
        ) from error


def deliver(text: str, out: Path | None) -> None:
    """Write text to stdout, or whole to the file `out`, whose path is then printed.
    A failure half-way leaves the earlier file as it was. Raises OSError where the disk does not allow it.
    """
    if out is None:
        say(text, nl=False)
        return
    with atomic_file(out) as file:
        file.write(text.encode())
    say(f"{out} is written")
