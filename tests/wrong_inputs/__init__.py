"""Tables of wrong inputs: a command, the files that it is given, and what its one message must hold."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

__all__ = ["Wrong"]


def nothing(folder: Path) -> None:
    """Give a command no files."""


class Wrong(NamedTuple):
    """One command that cannot be carried out as asked.

    command: its words, of `main KEY=VALUE ..` or `genbench VERB ..`, as a shell splits them; it runs in an
    empty folder. says: texts that its message holds: the value that was received, the legal ones, the remedy.
    given: writes the files that the command reads into that folder. code: 2 for the user's fault, 1 for the
    machine's or a damaged file. env: variables of its environment, beside those of every test.
    """

    command: str
    says: tuple[str, ...]
    given: Callable[[Path], object] = nothing
    code: int = 2
    env: tuple[tuple[str, str], ...] = ()
