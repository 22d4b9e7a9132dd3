"""The ledger of a sweep: the outcome of each of its jobs, and the table of them."""

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from rich.table import Table
from rich.text import Text

from genbench.records.json_lines import append_line, parse_lines

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
GIVEN = ("conditional=true", "guidance", "+guidance", "model.guidance", "model.prompts")
COLOURS = {"done": "green", "stopped": "yellow", "busy": "yellow", "not started": "yellow"}
BAD = {"refused", "failed", "unmended", "running"}  # red; a job that "runs" when all has ended was killed


class Outcome(NamedTuple):
    """The outcome of one job of a sweep: a line of its ledger, and a row of its table."""

    job: int
    """The number of the job in the sweep, from 0."""
    status: Status
    overrides: tuple[str, ...]
    run: str
    """The directory of its run."""
    seconds: float
    """The seconds that it took, or is estimated to take."""
    note: str
    """The headline of the result, or the reason why there is none."""

    @property
    def bad(self) -> bool:
        """True where the user has to act: the job was refused, failed, or was killed."""
        return self.status in BAD


class Ledger:
    """A file of outcomes as JSON lines, which all processes of a sweep append to.

    Of several outcomes of one job the last one counts.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def add(self, outcome: Outcome) -> None:
        """Append an outcome, in one write that other processes cannot split.

        Raises OSError where the disk does not allow it.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        append_line(outcome._asdict(), self.path)

    def outcomes(self) -> list[Outcome]:
        """Return the latest outcome of each job so far, sorted by job.

        Lines that hold no outcome are skipped, with one warning for all of them.
        """
        lines = parse_lines(self.path.read_bytes() if self.path.exists() else b"")
        damaged, found = list(lines.damaged), {}
        for number, line in lines.objects.items():
            if (outcome := outcome_of(line)) is None:
                damaged.append(number)
            else:
                found[outcome.job] = outcome
        if damaged:
            numbers = ", ".join(map(str, sorted(damaged)))
            warnings.warn(f"{self.path}: line {numbers} is no outcome and is skipped", stacklevel=2)
        return sorted(found.values(), key=lambda outcome: outcome.job)


def outcome_of(line: Mapping[str, Any]) -> Outcome | None:
    """Return the object of a line as an outcome; None where it has other keys or values than an outcome
    has.
    """
    kinds = {"job": int, "status": str, "overrides": list, "run": str, "seconds": int | float, "note": str}
    if line.keys() != kinds.keys() or not all(isinstance(line[key], kinds[key]) for key in kinds):
        return None
    if line["status"] not in get_args(Status) or not math.isfinite(line["seconds"]):
        return None
    return Outcome(**dict(line) | {"overrides": tuple(map(str, line["overrides"]))})


def outcome_table(outcomes: Sequence[Outcome]) -> Table:
    """Make a table of outcomes, one row a job; overrides that all jobs share are left out.

    Bad outcomes are red and carry the directory of their run.
    """
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
    """Describe a sweep in a line: "3 done, 1 failed; total run time 12:30"."""
    statuses = [outcome.status for outcome in outcomes]
    counts = ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))
    total = duration(sum(outcome.seconds for outcome in outcomes))
    # No job may look unconditional since all are not: what all share has no column.
    shared = [set(outcome.overrides) for outcome in outcomes]
    found = sorted(word for word in set.intersection(*shared) if word.startswith(GIVEN)) if shared else []
    also = f"; all with {' '.join(found)}" if found else ""
    return f"sweep: {counts}; total run time {total}{also}"


def duration(seconds: float) -> str:
    """Write seconds as minutes and seconds, 1:05, or as hours too, 2:00:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
