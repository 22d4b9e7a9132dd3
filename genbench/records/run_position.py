"""Position of a run in its work, read from the files that it writes anyway, also by another machine."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from genbench.records.json_lines import parse_lines
from genbench.records.run_directory import Run
from genbench.records.untrusted_files import open_regular

__all__ = ["Position", "budget_of", "last_values", "number", "of_training", "position"]

TAIL_BYTES = 1 << 16
"""Bytes at the end of metrics.jsonl that are read, in which at least one line of values stands."""
LAST = 10
"""Lines at the end of a log: the newest losses, images and rates stand there."""
GREATEST = 1e18
"""Beyond this a number of a log is damaged."""


class Position(NamedTuple):
    """Position of a run. text: for a reader, as in "training 12,000/60,000 images"; share: of its training
    that is done, from 0 to 1; seconds_left: of its training. None where the files do not say.
    """

    text: str
    share: float | None
    seconds_left: float | None = None


STARTING = Position("starting", 0.0)


def position(run_dir: Path) -> Position:
    """Return the position of a run at work, from its run.json and the end of its metrics.jsonl.

    run_dir: its directory, which may not exist yet. Files that are missing or damaged raise nothing: such a
    run counts as starting.
    """
    try:
        record = Run(run_dir).record() or {}
    except (OSError, ValueError):
        return STARTING
    if record.get("status") != "running":  # what an earlier session of the run left
        return STARTING
    return of_training(last_values(Path(run_dir)), budget_of(record))


def budget_of(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the limits of a training from run.json; empty where it is damaged or names none."""
    config = record.get("config")
    budget = config.get("budget") if isinstance(config, Mapping) else None
    return budget if isinstance(budget, Mapping) else {}


def of_training(values: Mapping[str, Any], budget: Mapping[str, Any]) -> Position:
    """Return the position of a training from its last logged values and the limits of its budget.

    values: images_seen, training_seconds, images_per_second; budget: images and seconds, None where there is
    no such limit.
    """
    seen, spent, rate = (number(values, x) for x in ("images_seen", "training_seconds", "images_per_second"))
    images, seconds = number(budget, "images"), number(budget, "seconds")
    if seen is None:
        return STARTING
    found, left = list[Position](), list[float]()
    if images:
        found.append(Position(f"training {seen:,.0f}/{images:,.0f} images", seen / images))
        left += [(images - seen) / rate] if rate else []
    if seconds and spent is not None:
        found.append(Position(f"training {spent:,.0f}/{seconds:,.0f} s", spent / seconds))
        left.append(seconds - spent)
    if not found:  # a budget of operations, whose images the run alone knows
        return Position(f"training {seen:,.0f} images", None)
    nearest = max(found, key=lambda each: each.share or 0.0)
    if (nearest.share or 0.0) >= 1:
        return Position("evaluating", 1.0)
    return nearest._replace(seconds_left=min(left, default=None))


def number(values: Mapping[str, Any], key: str) -> float | None:
    """Return the finite number under a key, None where there is none."""
    value = values.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < GREATEST:
        return None
    return float(value)


def last_values(run_dir: Path) -> dict[str, Any]:
    """Return the newest value under each name at the end of a run's metrics.jsonl; empty where it cannot be
    read. The run may be a stranger's: nothing but a regular file inside its directory is opened.
    """
    try:
        with open_regular(Path(run_dir) / "metrics.jsonl", inside=Path(run_dir)) as file:
            file.seek(max(file.seek(0, os.SEEK_END) - TAIL_BYTES, 0))
            lines = [*parse_lines(file.read(TAIL_BYTES)).objects.values()]
    except (OSError, ValueError):
        return {}
    # Behind the last line of values many pictures may stand.
    values: dict[str, Any] = next((line for line in reversed(lines) if "training_seconds" in line), {})
    # A damaged line that says images_seen=true hides no number of another.
    kept = (values, *lines[-LAST:])
    return {key: value for line in kept for key, value in line.items() if not isinstance(value, bool)}
