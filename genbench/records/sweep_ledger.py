"""What became of the jobs of a sweep (imports no torch)."""

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from rich.table import Table
from rich.text import Text

from genbench.records.lines import append_line, parse_lines

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
        """Append one line. Raises OSError where the disk does not allow it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        append_line(outcome._asdict(), self.path)

    def outcomes(self) -> list[Outcome]:
        """Return the outcomes so far, by job; lines that hold none are passed over, with one warning."""
        lines = parse_lines(self.path.read_bytes() if self.path.exists() else b"")
        damaged, found = list(lines.damaged), {}
        for number, line in lines.objects.items():
            if (outcome := outcome_of(line)) is None:
                damaged.append(number)
            else:
                found[outcome.job] = outcome
        if damaged:
            numbers = ", ".join(map(str, sorted(damaged)))
            warnings.warn(f"{self.path}: line {numbers} is no outcome and passed over", stacklevel=2)
        return sorted(found.values(), key=lambda outcome: outcome.job)


def outcome_of(line: Mapping[str, Any]) -> Outcome | None:
    """Return one line of a ledger as an outcome, None where it is something else."""
    kinds = {"job": int, "status": str, "overrides": list, "run": str, "seconds": int | float, "note": str}
    if line.keys() != kinds.keys() or not all(isinstance(line[key], kinds[key]) for key in kinds):
        return None
    if line["status"] not in get_args(Status) or not math.isfinite(line["seconds"]):
        return None
    return Outcome(**line | {"overrides": tuple(map(str, line["overrides"]))})


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
    """The sweep in a line: 3 done, 1 failed; total run time 12:30."""
    statuses = [outcome.status for outcome in outcomes]
    counts = ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))
    return f"sweep: {counts}; total run time {duration(sum(outcome.seconds for outcome in outcomes))}"


def duration(seconds: float) -> str:
    """1:05, or 2:00:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
