"""What the benchmarks ask and tell their users."""

import time
from collections.abc import Sequence

import typer

from genbench.cli import listed

__all__ = ["Announcer", "chosen"]


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
