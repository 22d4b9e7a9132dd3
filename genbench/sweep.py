"""What became of the jobs of a sweep (imports no torch)."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from rich.table import Table
from rich.text import Text

from genbench.untrusted import open_to_append

__all__ = ["BAD", "Ledger", "Outcome", "Status", "duration", "outcome_table"]

Status = Literal[
    "not started",
    "running",
    "done",
    "skipped",
    "estimated",
    "busy",
    "refused",
    "failed",
    "unmended",
    "stopped",
]
COLOURS = {"done": "green", "stopped": "yellow", "busy": "yellow", "not started": "yellow"}
BAD = {"refused", "failed", "unmended", "running"}  # red; who is at work when all has ended was killed


class Outcome(NamedTuple):
    """What became of one job."""

    job: int
    """Its number in the sweep."""
    status: Status
    overrides: tuple[str, ...]
    run: str
    """Its directory."""
    seconds: float
    """That it took, or is estimated to take."""
    note: str
    """The result's headline, or why there is none."""

    @property
    def bad(self) -> bool:
        """Whether somebody has to look at it."""
        return self.status in BAD


class Ledger:
    """A file of outcomes, JSON lines, that the processes of a sweep add to; the last one of a job counts."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def add(self, outcome: Outcome) -> None:
        """Append by a single write, which other processes cannot split."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = open_to_append(self.path)
        try:
            os.write(file, f"{json.dumps(outcome._asdict())}\n".encode())
        finally:
            os.close(file)

    def outcomes(self) -> list[Outcome]:
        """What is there so far, by job."""
        if not self.path.exists():
            return []
        lines = [json.loads(line) for line in self.path.read_text().splitlines()]
        found = {line["job"]: Outcome(**line | {"overrides": tuple(line["overrides"])}) for line in lines}
        return sorted(found.values(), key=lambda outcome: outcome.job)


def outcome_table(outcomes: Sequence[Outcome]) -> Table:
    """One line a job; overrides that all of them share are left out."""
    shared = set.intersection(*(set(outcome.overrides) for outcome in outcomes)) if outcomes[1:] else set()
    grid = Table(title=Text(title(outcomes)), title_justify="left")
    for name in ("job", "status", "overrides", "time", "result"):
        grid.add_column(name, justify="right" if name in ("job", "time") else "left", overflow="fold")
    for outcome in outcomes:
        own = " ".join(word for word in outcome.overrides if word not in shared)
        status = Text(outcome.status, style="red" if outcome.bad else COLOURS.get(outcome.status, ""))
        note = f"{outcome.note}\n{outcome.run}".rstrip() if outcome.bad else outcome.note
        grid.add_row(str(outcome.job), status, Text(own), Text(duration(outcome.seconds)), Text(note))
    return grid


def title(outcomes: Sequence[Outcome]) -> str:
    """The sweep in a line: 3 done, 1 failed; 12:30."""
    statuses = [outcome.status for outcome in outcomes]
    counts = ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))
    return f"sweep: {counts}; {duration(sum(outcome.seconds for outcome in outcomes))} of work"


def duration(seconds: float) -> str:
    """1:05, or 2:00:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
