"""Progress of long work on the terminal: bars with the time left, or plain lines every few seconds where
there is no terminal.
"""

import sys
import textwrap
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.segment import Segment
from rich.text import Text

from genbench.runtime.printable import printable
from genbench.runtime.streams import open_streams

__all__ = ["Bar", "Progress", "terminal"]

PLAIN_SECONDS = 5.0  # between two plain lines where no terminal redraws a bar
PLAIN_WIDTH = 120  # columns of tables where no terminal says how wide it is
WIDE, NORMAL = 140, 80  # columns of a terminal, from which on
WIDEST, MIDDLE, NARROWEST = 24, 10, 6  # columns of the drawn part of a bar
ARROW = "->\x00"  # an arrow with a space at which no line ends
TIMES = len(" 0:00:00 ETA 0:00:00 ")  # elapsed and left, as rich writes them


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
    called every step. unit: of what it counts, as it is printed.
    """

    def __init__(self, title: str, total: int, unit: str, console: Console | None) -> None:
        self.title, self.total, self.unit, self.console = title, total, unit, console
        self.done, self.note = 0, ""
        self.started = self.printed = self.advanced = time.monotonic()
        self.first = 0  # units that were done before: a resumed run's ETA counts from it

    def begin(self, done: int) -> None:
        """Begin at `done` units, which an earlier session of the same work finished."""
        self.first = done
        self.advance(done)

    def advance(self, done: int, note: str = "") -> None:
        """Report that `done` units in all are finished; `note`, such as a rate, is shown behind the bar until
        the next one replaces it.
        """
        self.done, self.note, self.advanced = done, note or self.note, time.monotonic()
        if self.console is not None and time.monotonic() - self.printed >= PLAIN_SECONDS:
            self.print_line()

    @property
    def seconds_left(self) -> float | None:
        """Seconds that the rest takes at the mean rate so far; None within the first hundredth."""
        gained = self.done - self.first
        # The first units carry the start of the work: what they took says nothing of the rest.
        if gained <= 0 or gained * 100 < self.total:
            return None
        left = (self.advanced - self.started) * max(self.total - self.done, 0) / gained
        return max(left - (time.monotonic() - self.advanced), 0.0)

    def print_line(self) -> None:
        """Print one plain line: how far, how long still, and the note."""
        self.printed = time.monotonic()
        eta = "ETA ?" if (left := self.seconds_left) is None else f"ETA {left:.0f} s"
        line = f"{self.title} {self.done:,}/{self.total:,} {self.unit} {eta} {self.note}"
        assert self.console is not None
        self.console.print(line.rstrip(), highlight=False, markup=False, soft_wrap=True)


class Layout(NamedTuple):
    """Parts of a bar as they fit a terminal: the title, columns of the drawn bar, and the note."""

    title: str
    bar: int
    note: str


def layout(title: str, total: str, note: str, width: int) -> Layout:
    """Fit a bar to a terminal of `width` columns. Count, time and ETA always have room, and the drawn bar has
    the same width whatever stands beside it; of the note its first parts, losses, are left out first and its
    last, the rate, last; then the title is cut.

    total: units in all, with their name, "60,000 images"; note: parts, with two spaces between them.
    """
    bar = WIDEST if width >= WIDE else MIDDLE if width >= NORMAL else NARROWEST
    needed = TIMES + len(total.partition(" ")[0]) + 1 + len(total) + bar + 1  # all but title and note
    room = width - needed
    parts = note.split("  ")
    while parts and len(title) + 1 + len("  ".join(parts)) > room:
        parts.pop(0)
    short = title if len(title) < room else f"{title[: max(room - 3, 1)]}.."
    return Layout(short, bar, "  ".join(parts))


class TimeLeft(TimeRemainingColumn):
    """Time left as rich finds it, or at the mean rate so far: rich has no rate after a single advance."""

    def render(self, task: Task) -> Text:
        """Write the time, or dashes where no rate is known."""
        bar: TerminalBar | None = task.fields.get("bar")
        if task.time_remaining is not None or bar is None or (left := bar.seconds_left) is None:
            return super().render(task)
        minutes, seconds = divmod(round(left), 60)
        return Text(f"{minutes // 60}:{minutes % 60:02}:{seconds:02}", style="progress.remaining")


class TerminalBar(Bar):
    """The same, drawn and redrawn by rich, as wide as the terminal is at that moment."""

    def __init__(self, title: str, total: int, unit: str, display: RichProgress, bar: BarColumn) -> None:
        super().__init__(title, total, unit, None)
        self.display, self.bar = display, bar
        self.task = display.add_task(title, total=total, note="", unit=unit, bar=self)
        self.fit()

    def advance(self, done: int, note: str = "") -> None:
        super().advance(done, note)
        self.fit()

    def fit(self) -> None:
        """Redraw the bar with what fits beside count, time and ETA."""
        total = f"{self.total:,} {self.unit}"
        fitted = layout(self.title, total, self.note, self.display.console.width)
        self.bar.bar_width = fitted.bar
        self.display.update(self.task, completed=self.done, description=fitted.title, note=fitted.note)


def wrapped(sentence: str, width: int) -> str:
    """Break a sentence between words into lines of at most `width` letters, indented from the second on; an
    arrow stands in the line of what it points to.
    """
    words = sentence.replace("-> ", ARROW)
    text = textwrap.fill(words, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return text.replace(ARROW, "-> ")


class Progress:
    """The place where progress is shown: bars of work and single lines on a console; `Progress(None)` shows
    nothing, as in all processes of a run but the first.
    """

    def __init__(self, console: Console | None) -> None:
        self.console = console

    def say(self, sentences: Iterable[str]) -> None:
        """Print sentences, a line each, where progress is shown, without markup; nothing in a Progress that
        is silent. On a terminal long ones continue below, broken between words, so that paths remain whole.
        """
        if self.console is None:
            return
        for sentence in sentences:
            text = wrapped(sentence, self.console.width) if self.is_drawn else sentence
            self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    @property
    def is_drawn(self) -> bool:
        """True where a terminal can be redrawn; not while its console is quiet, as in a silent Python call,
        when rich would swallow warnings too.
        """
        return self.console is not None and self.console.is_terminal and not self.console.quiet

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Show a turning sign beside `what` on a terminal for the length of a `with` block, and remove it
        however the block ends; elsewhere, in a pipe or a notebook, nothing is shown.
        """
        if self.console is None or not self.is_drawn:
            yield
            return
        with self.console.status(Text(what)):
            yield

    @contextmanager
    def bar(self, title: str, total: int, unit: str = "images") -> Iterator[Bar]:
        """Show one bar for the length of a `with` block and yield it, to be advanced; total: the length of
        the work in its unit, which is printed beside it.
        """
        if self.console is None or not self.is_drawn:
            whose = self.console.whose if isinstance(self.console, Lines) else ""
            yield Bar(f"{whose}{title}", total, unit, self.console)
            return
        drawn, count = (
            BarColumn(bar_width=WIDEST),
            "{task.completed:,.0f}/{task.total:,.0f} {task.fields[unit]}",
        )
        with RichProgress(
            TextColumn("{task.description}", markup=False),
            drawn,
            TextColumn(count, style="progress.download", markup=False),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeLeft(),
            TextColumn("{task.fields[note]}", markup=False),
            console=self.console,
        ) as display:
            yield TerminalBar(title, total, unit, display, drawn)
