"""Progress of long work on the terminal: bars with the time left, or plain lines every few seconds where
there is no terminal.
"""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.segment import Segment

from genbench.runtime.printable import printable
from genbench.runtime.streams import open_streams

__all__ = ["Bar", "Progress", "terminal"]

PLAIN_SECONDS = 5.0  # between two plain lines where no terminal redraws a bar
PLAIN_WIDTH = 120  # columns of tables where no terminal says how wide it is


class PlainConsole(Console):
    """A console to which text is text: no markup or emoji codes in it, and no escape sequences.

    All that is printed passes `render`, whoever made the text; what rich itself sends to the terminal passes.
    """

    def __init__(
        self, *, stderr: bool = False, width: int | None = None, is_terminal: bool | None = None
    ) -> None:
        super().__init__(stderr=stderr, width=width, force_terminal=is_terminal, markup=False, emoji=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Spell out control characters in the segments of what is printed."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))


class Lines(PlainConsole):
    """A console of plain lines, each preceded by the name of one process of several, if it has one."""

    def __init__(self, whose: str = "") -> None:
        super().__init__(width=PLAIN_WIDTH, is_terminal=False)
        self.whose = whose


def terminal(whose: str = "", *, stderr: bool = False) -> Console:
    """The terminal, or plain lines where there is none, or where several processes share it.

    whose: what stands before each line of progress, and says that the terminal is shared. stderr: print there
    instead, as the verbs of the console script do with their progress. A program without standard streams
    gets the null device.
    """
    open_streams()
    if stderr:
        return PlainConsole(stderr=True)
    return PlainConsole() if sys.stdout.isatty() and not whose else Lines(whose)


class Bar:
    """One piece of work of known length, shown as a line every few seconds; `advance` is cheap enough to be
    called every step. What it counts (images, seconds) is the caller's affair.
    """

    def __init__(self, title: str, total: int, console: Console | None) -> None:
        self.title, self.total, self.console = title, total, console
        self.done, self.note = 0, ""
        self.started = self.printed = time.monotonic()
        self.first: int | None = None  # `done` at the first report: a resumed run's ETA counts from it

    def advance(self, done: int, note: str = "") -> None:
        """Report that `done` units in all are finished; `note`, such as a rate, is shown behind the bar until
        the next one replaces it.
        """
        if self.first is None:
            self.first = self.done
        self.done, self.note = done, note or self.note
        if self.console is not None and time.monotonic() - self.printed >= PLAIN_SECONDS:
            self.print_line()

    def print_line(self) -> None:
        """Print one plain line: how far, how long still, and the note."""
        self.printed = time.monotonic()
        gained = self.done - (self.first or 0)
        left = (self.printed - self.started) * max(self.total - self.done, 0) / max(gained, 1)
        # The first units carry the start of the work: what they took says nothing of the rest.
        eta = f"ETA {left:.0f} s" if gained * 100 >= self.total else "ETA ?"
        line = f"{self.title} {self.done:,}/{self.total:,} {eta} {self.note}"
        assert self.console is not None
        self.console.print(line.rstrip(), highlight=False, markup=False, soft_wrap=True)


class TerminalBar(Bar):
    """The same, drawn and redrawn by rich."""

    def __init__(self, title: str, total: int, display: RichProgress) -> None:
        super().__init__(title, total, None)
        self.display = display
        self.task = display.add_task(title, total=total, note="")

    def advance(self, done: int, note: str = "") -> None:
        super().advance(done, note)
        self.display.update(self.task, completed=done, note=self.note)


class Progress:
    """The place where progress is shown: bars of work and single lines on a console; `Progress(None)` shows
    nothing, as in all processes of a run but the first.
    """

    def __init__(self, console: Console | None) -> None:
        self.console = console

    def say(self, sentences: Iterable[str]) -> None:
        """Print sentences, a line each, where progress is shown, without markup or wrapping; nothing in a
        Progress that is silent.
        """
        if self.console is None:
            return
        for sentence in sentences:
            self.console.print(sentence, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Bar]:
        """Show one bar for the length of a `with` block and yield it, to be advanced; total: the length of
        the work in its own unit.
        """
        if self.console is None or not self.console.is_terminal:
            whose = self.console.whose if isinstance(self.console, Lines) else ""
            yield Bar(f"{whose}{title}", total, self.console)
            return
        with RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=self.console,
        ) as display:
            yield TerminalBar(title, total, display)
