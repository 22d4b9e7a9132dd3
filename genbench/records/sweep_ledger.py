"""The ledger of a sweep: the outcome of each of its jobs, and the table of them."""

import math
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from rich.table import Table
from rich.text import Text

from genbench.records.json_lines import append_line, parse_lines

__all__ = [
    "BAD",
    "Ledger",
    "Outcome",
    "Status",
    "duration",
    "job_line",
    "outcome_table",
    "seconds_left",
    "settings_of",
]

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

SOONEST = 0.02
"""Share of a training from which its seconds are extrapolated: the first steps take longer."""


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
    objective: float | None = None
    """The objective of a finished run, which is to be as low as possible; None where it was not measured."""

    @property
    def bad(self) -> bool:
        """True where the user has to act: the job was refused, failed, or was killed."""
        return self.status in BAD

    @property
    def number(self) -> int:
        """The number of the job for users, from 1."""
        return self.job + 1


class Ledger:
    """A file of outcomes as JSON lines, which all processes of a sweep append to.

    Of several outcomes of one job the last one counts. Lines are parsed once: a thousand jobs that each look
    at the outcomes of all others would otherwise parse a million.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.forget()

    def forget(self) -> None:
        """Begin with an empty memory of the file."""
        self.parsed, self.lines = 0, 0  # bytes and lines at the beginning of the file that are remembered
        self.found, self.damaged = dict[int, Outcome](), list[int]()

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
        content = self.path.read_bytes() if self.path.exists() else b""
        if len(content) < self.parsed:  # another file
            self.forget()
        rest = content[self.parsed :]
        whole = rest[: rest.rfind(b"\n") + 1]
        found, damaged = self.added(whole)
        self.parsed, self.lines = self.parsed + len(whole), self.lines + len(whole.splitlines())
        self.found, self.damaged = found, damaged
        found, damaged = self.added(rest[len(whole) :])  # a line that is still being written
        if damaged:
            numbers = ", ".join(map(str, sorted(damaged)))
            warnings.warn(
                f"{self.path}: line {numbers} is not the outcome of a job and is skipped", stacklevel=2
            )
        return sorted(found.values(), key=lambda outcome: outcome.job)

    def added(self, content: bytes) -> tuple[dict[int, Outcome], list[int]]:
        """Return the outcomes that are remembered with those of further lines, and the damaged lines."""
        lines = parse_lines(content)
        found, damaged = dict(self.found), [*self.damaged, *(self.lines + n for n in lines.damaged)]
        for number, line in lines.objects.items():
            if (outcome := outcome_of(line)) is None:
                damaged.append(self.lines + number)
            else:
                found[outcome.job] = outcome
        return found, damaged


def outcome_of(line: Mapping[str, Any]) -> Outcome | None:
    """Return the object of a line as an outcome; None where it has other keys or values than an outcome
    has. Lines of earlier versions have no objective.
    """
    kinds = {"job": int, "status": str, "overrides": list, "run": str, "seconds": int | float, "note": str}
    if line.keys() - {"objective"} != kinds.keys():
        return None
    if not all(isinstance(line[key], kinds[key]) for key in kinds):
        return None
    if line["status"] not in get_args(Status) or not math.isfinite(line["seconds"]):
        return None
    objective = line.get("objective")
    is_number = isinstance(objective, int | float) and not isinstance(objective, bool)
    overrides = tuple(map(str, line["overrides"]))
    return Outcome(**{**line, "overrides": overrides, "objective": objective if is_number else None})


def outcome_table(outcomes: Sequence[Outcome]) -> Table:
    """Make a table of outcomes, one row a job: the lowest objective first, marked as the best unless several
    seeds were run, of which it may be but the luckiest; then what has none, failed, and was not started.
    Settings that all jobs share are left out.

    Bad outcomes are red and carry the directory of their run.
    """
    settings, (first, *others) = settings_of(outcomes), sorted(outcomes, key=place)
    has_best = sum(each.objective is not None for each in outcomes) > 1 and not has_several_seeds(outcomes)
    grid = Table(title=Text(title(outcomes)), title_justify="left")
    for name in ("job", "status", "settings", "time", "result"):
        grid.add_column(name, justify="right" if name in ("job", "time") else "left", overflow="fold")
    for outcome in (first, *others):
        status = Text(outcome.status, style="red" if outcome.bad else COLOURS.get(outcome.status, ""))
        note = f"{outcome.note}\n{outcome.run}".rstrip() if outcome.bad else outcome.note
        result = Text(f"{note} (best)", style="bold green") if outcome is first and has_best else Text(note)
        time = Text(duration(outcome.seconds))
        grid.add_row(str(outcome.number), status, Text(settings[outcome.job]), time, result)
    return grid


def has_several_seeds(outcomes: Sequence[Outcome]) -> bool:
    """Return True where two jobs differ in their seed alone."""
    jobs = {frozenset(each.overrides) for each in outcomes}
    return len({frozenset(word for word in job if not word.startswith("seed=")) for job in jobs}) < len(jobs)


def place(outcome: Outcome) -> tuple[int, float, int]:
    """Return the key by which jobs are sorted in their table."""
    group = {"done": 1, "skipped": 1, "estimated": 1, "not started": 4}.get(outcome.status, 2 + outcome.bad)
    if outcome.objective is None:
        return group, 0.0, outcome.job
    return 0, outcome.objective, outcome.job


def settings_of(outcomes: Sequence[Outcome]) -> dict[int, str]:
    """Return the settings in which each job differs from others, in short names: width=8 lr=0.001.
    A name is shortened to its last part, network.width to width, where no other setting has the same. Of a
    single job, all settings are returned.
    """
    shared = set.intersection(*(set(outcome.overrides) for outcome in outcomes)) if outcomes[1:] else set()
    own = {each.job: [word for word in each.overrides if word not in shared] for each in outcomes}
    keys = {word.partition("=")[0] for words in own.values() for word in words}
    last = Counter(key.rpartition(".")[2] for key in keys)
    short = {key: key.rpartition(".")[2] if last[key.rpartition(".")[2]] == 1 else key for key in keys}
    return {
        job: " ".join(short[word.partition("=")[0]] + "".join(word.partition("=")[1:]) for word in words)
        for job, words in own.items()
    }


def job_line(outcomes: Sequence[Outcome], job: int, *, total: bool = True) -> str:
    """Return the number of a job among all: "job 3 of 27", or "job 3" in a search, whose end is not known."""
    is_known = total and job < len(outcomes)
    return f"job {job + 1} of {len(outcomes)}" if is_known else f"job {job + 1}"


def seconds_left(
    outcomes: Sequence[Outcome], elapsed: Mapping[int, tuple[float, float | None]]
) -> float | None:
    """Estimate the seconds that a sweep still takes, from the mean time of its finished jobs.

    elapsed: of each running job its seconds so far and the share of its training that is done; where no job
    is finished yet, the mean is extrapolated from these. As many jobs run at the same time as run now.
    None where nothing says how long a job takes.
    """
    took = [each.seconds for each in outcomes if each.status == "done"]
    took = took or [seconds / share for seconds, share in elapsed.values() if share and share >= SOONEST]
    if not took:
        return None
    mean = sum(took) / len(took)
    running = sum(max(mean - seconds, 0.0) for seconds, _ in elapsed.values())
    waiting = sum(each.status == "not started" for each in outcomes)
    return (running + mean * waiting) / max(len(elapsed), 1)


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
    """Write seconds as minutes and seconds, 1:05, as hours too, 2:00:05, or as days and hours, 8 d 14 h."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 24:
        return "{} d {} h".format(*divmod(round(seconds / 3600), 24))
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
