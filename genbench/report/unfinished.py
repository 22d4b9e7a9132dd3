"""Runs without a result: what each does now, by the files that it writes, and when it was last seen."""

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from genbench.records.files import read_json
from genbench.records.recorded_overrides import read_overrides
from genbench.records.run_position import budget_of, last_values, number, of_training
from genbench.records.sweep_ledger import duration
from genbench.report.runs import Runs

__all__ = ["RunAtWork", "at_work", "in_progress", "timestamp"]

SILENT_SECONDS = 900.0  # without a line in its log, after which a run no longer counts as in progress
LONGEST_SECONDS = 1e9  # of training, beyond which a record is damaged


class RunAtWork(NamedTuple):
    """A run whose run.json says that it is running, as text for a reader; "–" where that is not recorded."""

    name: str
    model: str
    progress: str  # training 12,000/60,000 images (20 %)
    loss: str  # disc/loss 0.482, gen/loss 1.87
    left: str  # of its training: 1:05
    seen: float  # when it last wrote, in seconds since 1970; 0 where that is not known
    is_silent: bool  # if that is long ago: killed, or in a long evaluation

    @property
    def last_seen(self) -> str:
        """The time when it last wrote, in UTC to the second."""
        return timestamp(self.seen) if self.seen else "–"


def in_progress(runs: Runs, now: float | None = None) -> str:
    """Return a sentence on the runs at work, "2 runs in progress."; empty where there is none.

    now: the time in seconds since 1970, by default the present.
    """
    count = sum(not run.is_silent for run in at_work(runs, now))
    return f"{count} {'run' if count == 1 else 'runs'} in progress." if count else ""


def at_work(runs: Runs, now: float | None = None) -> list[RunAtWork]:
    """Return the runs whose record says "running", those first that were seen last.

    runs: with the directories of the unfinished ones; now: the time in seconds since 1970, by default the
    present. Files that are missing or damaged raise nothing.
    """
    present = time.time() if now is None else now
    found = [run for name in runs.left_out if (run := state(name, runs.paths[name], present)) is not None]
    return sorted(found, key=lambda run: -run.seen)


def state(name: str, folder: Path, now: float) -> RunAtWork | None:
    """State of one run; None where its record does not say that it is running."""
    try:
        record = read_json(folder / "run.json") or {}
    except (OSError, ValueError):
        return None
    if record.get("status") != "running":
        return None
    last = last_values(folder)
    seen = max(last_session(record), number(last, "time") or 0.0)
    seen = seen if seen <= now + SILENT_SECONDS else 0.0  # of a clock that is wrong
    where = of_training(last, budget_of(record))
    share = f" ({100 * where.share:.0f} %)" if where.share and where.share < 1 else ""
    is_known = where.seconds_left is not None and 0 <= where.seconds_left < LONGEST_SECONDS
    left = duration(where.seconds_left or 0.0) if is_known else "–"
    is_silent = now - seen > SILENT_SECONDS
    return RunAtWork(name, model(folder), where.text + share, losses(last), left, seen, is_silent)


def last_session(record: Mapping[str, Any]) -> float:
    """Return the start of a run's last session, in seconds since 1970; 0 where its record does not say."""
    sessions = record.get("sessions")
    last = sessions[-1] if isinstance(sessions, list) and sessions else None
    started = last.get("started") if isinstance(last, dict) else None
    try:
        return datetime.fromisoformat(str(started)).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def model(folder: Path) -> str:
    """The model that a run was asked for, else the first word of its directory's name, which is the model."""
    try:
        words = [word for word in read_overrides(folder) if word.startswith("model=")]
    except (OSError, ValueError):
        words = []
    return words[-1].removeprefix("model=") if words else folder.name.partition("-")[0]


def losses(last: Mapping[str, Any]) -> str:
    """The newest losses by their names."""
    found = {name: number(last, name) for name in last if re.fullmatch(r"[\w.-]{1,40}/loss", name)}
    return ", ".join(f"{name} {value:.3g}" for name, value in found.items() if value is not None) or "–"


def timestamp(seconds: float) -> str:
    """Return a time in seconds since 1970 as text: 2026-11-30 01:08:25 UTC; "–" where no calendar has it."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return "–"
