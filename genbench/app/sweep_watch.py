"""Progress of a sweep whose jobs run at the same time: a live region on a terminal, plain lines elsewhere.

It reads the sweep's ledger and the files of the runs, so that it also sees jobs on other machines.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from genbench.records.run_position import Position, position
from genbench.records.sweep_ledger import (
    Ledger,
    Outcome,
    Status,
    duration,
    job_line,
    seconds_left,
    settings_of,
)

__all__ = ["plan_line", "start_line", "watching"]

LOOK_SECONDS = 1.0
"""Between two looks at the files."""
SUMMARY_SECONDS = 30.0
"""Between two summaries in plain lines, at least."""
ROWS = 16
"""Running jobs that the live region and a summary show; of the others it says how many there are."""


@contextmanager
def watching(record: Ledger, console: Console) -> Iterator[None]:
    """Show the progress of a sweep's jobs while other processes run them, inside a `with` block.
    record: its ledger, in which all jobs stand already. What ended by the end of the block is printed too.
    """
    watch, over = Watch(record, console), threading.Event()
    thread = threading.Thread(target=watch.follow, args=[over], name="genbench-sweep", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Watch:
    """Jobs of a sweep as they were at the last look. A line is printed when a job starts or ends."""

    def __init__(self, record: Ledger, console: Console) -> None:
        self.record, self.console = record, console
        self.began = self.summed = time.monotonic()
        self.starts: dict[int, float] = {}  # when each job was seen first, on this machine's clock
        self.positions: dict[int, Position] = {}
        self.outcomes: Sequence[Outcome] = record.outcomes()
        self.settings = settings_of(self.outcomes)
        self.known: dict[int, Status] = {each.job: each.status for each in self.outcomes}

    def follow(self, over: threading.Event) -> None:
        """Look and print until the sweep is over; a file that cannot be read is looked at again later."""
        if not self.console.is_terminal:
            while not over.wait(LOOK_SECONDS):
                self.look()
                if self.positions and time.monotonic() - self.summed >= SUMMARY_SECONDS:
                    self.summed = time.monotonic()
                    self.console.print(self.summary(), soft_wrap=True, highlight=False)
            self.look()
            return
        with Live(console=self.console, auto_refresh=False, transient=True, redirect_stderr=False) as live:
            while not over.wait(LOOK_SECONDS):
                self.look()
                live.update(self.region(), refresh=True)
            self.look()

    def look(self) -> None:
        """Read the ledger and the positions of the running jobs, and print what started and ended since."""
        try:
            self.outcomes = self.record.outcomes()
        except OSError:
            return
        running = [each for each in self.outcomes if each.status == "running"]
        for each in running:
            self.starts.setdefault(each.job, time.monotonic())
        self.positions = {each.job: position(Path(each.run)) for each in running}
        for each in self.outcomes:
            if each.status != self.known.get(each.job, "not started"):
                self.known[each.job] = each.status
                self.report(each)

    def report(self, outcome: Outcome) -> None:
        """Print that a job started, which a live region shows by itself, or how it ended."""
        name, settings = job_line(self.outcomes, outcome.job), self.settings.get(outcome.job, "")
        if outcome.status == "running":
            line = f"{name} started: {settings}"
            if self.console.is_terminal:
                return
        else:
            line = f"{name} {outcome.status} after {duration(outcome.seconds)}: {settings}: {outcome.note}"
        self.console.print(line, soft_wrap=True, highlight=False)

    def headline(self) -> str:
        """Return how many jobs are done, run and wait, the time so far, and the time left if it is known."""
        running, total = len(self.positions), len(self.outcomes)
        waiting = sum(each.status == "not started" for each in self.outcomes)
        spent = duration(time.monotonic() - self.began)
        now = time.monotonic()
        elapsed = {job: (now - self.starts[job], where.share) for job, where in self.positions.items()}
        return (
            f"sweep: {total - running - waiting} of {total} jobs ended, {running} running, {waiting} to go; "
            f"{spent} so far{left(seconds_left(self.outcomes, elapsed))}"
        )

    def summary(self) -> str:
        """Return the headline and the position of each running job in one line."""
        jobs = [f"job {job + 1} {where.text}" for job, where in self.positions.items()]
        more = [f"and {len(jobs) - ROWS} more"] if len(jobs) > ROWS else []
        return f"{self.headline()}; {', '.join(jobs[:ROWS] + more)}"

    def region(self) -> Group:
        """Return what a terminal shows: the headline, and a row for each running job."""
        grid, now = Table.grid(padding=(0, 2)), time.monotonic()
        for column in ("right", "left", "right", "left"):
            grid.add_column(
                justify="right" if column == "right" else "left", no_wrap=True, overflow="ellipsis"
            )
        for job, where in list(self.positions.items())[:ROWS]:
            seconds = Text(duration(now - self.starts[job]), style="dim")
            grid.add_row(
                f"job {job + 1}", Text(where.text, style="cyan"), seconds, Text(self.settings.get(job, ""))
            )
        more = len(self.positions) - ROWS
        return Group(Text(self.headline()), grid, *([Text(f"and {more} more")] if more > 0 else []))


def plan_line(jobs: int, folder: Path) -> str:
    """Return the first line of a sweep: how many jobs follow, and the folder of their runs."""
    return f"sweep: {jobs} {'job' if jobs == 1 else 'jobs'}, runs in {folder}"


def start_line(outcomes: Sequence[Outcome], name: str, job: int) -> str:
    """Return the line with which a job begins that runs alone: its name, its settings, and the time left.
    outcomes: of all jobs so far, with that of this job among them.
    """
    about = left(seconds_left(outcomes, {job: (0.0, None)}))
    return f"{name}: {settings_of(outcomes).get(job, '')}{about}"


def left(seconds: float | None) -> str:
    """Return the time that a sweep still takes, as the end of a sentence; "" where it is not known."""
    return "" if seconds is None else f", about {duration(seconds)} left"
