"""Output of the verbs of the console script: on stdout, to a file or into a folder, checked beforehand."""

from pathlib import Path
from typing import Annotated

import typer

from genbench.records.files import atomic_file
from genbench.runtime.disk import check_makable, check_writable, explain
from genbench.runtime.printable import printable

__all__ = ["OUT_HELP", "NewFolder", "check_new", "check_out", "check_whole", "deliver", "say"]

OUT_HELP = "Output file; replaces an existing file."
NewFolder = Annotated[Path, typer.Option(metavar="DIR", help="Output folder; must be new or empty.")]
"""The option --out of verbs that write several files."""


def say(text: str, *, nl: bool = True) -> None:
    """Print text on stdout, with control characters as escapes, since it may quote what a run's files hold.
    nl: end it with a line break.
    """
    typer.echo(printable(text), nl=nl)


def check_out(out: Path | None) -> None:
    """Raise ValueError where `out` is not a regular file or cannot be written, before any work is done.
    None stands for stdout, and is always accepted. The folder of the file need not exist yet.
    """
    if out is None:
        return
    check_whole(out)
    if out.exists() and not out.is_file():
        raise ValueError(f"--out {out} exists and is not a regular file: choose another path")
    check_folder(out, out.parent)


def check_new(folder: Path) -> None:
    """Raise ValueError where a folder that is to be written exists and is not empty, or cannot be made.
    Verbs that write several files check it before any work is done.
    """
    check_whole(folder)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ValueError(f"--out {folder} exists and is not an empty folder: choose another path")
    check_folder(folder, folder)


def check_whole(out: Path) -> None:
    """Raise ValueError on a path that begins with ~, which a shell expands only where a word begins, and on
    an address, which would become a folder of this name.
    """
    if str(out).startswith("~"):
        raise ValueError(f"--out is {out}; ~ stands for no home directory here: write the whole path")
    if out.parts and out.parts[0].endswith(":"):  # https://.., of which a path has one slash
        raise ValueError(f"--out is {out}; it must be a path on this machine, no address")


def check_folder(out: Path, folder: Path) -> None:
    """Raise ValueError where nothing can be written in the folder of `out`, or in the one to make it in."""
    try:
        check_makable(folder)
        check_writable(folder)
    except OSError as error:
        why = explain(error).rstrip(".")
        raise ValueError(f"{out} cannot be written: {why}. Choose another path for --out.") from error


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
