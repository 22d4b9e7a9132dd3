"""Position of a run in its work, read from the files that it writes anyway, also by another machine."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from genbench.records.json_lines import parse_lines
from genbench.records.run_directory import Run

__all__ = ["Position", "position"]

TAIL_BYTES = 1 << 16
"""Bytes at the end of metrics.jsonl that are read, in which at least one line of values stands."""


class Position(NamedTuple):
    """Position of a run. text: for a reader, as in "training 12,000/60,000"; share: of its training that is
    done, from 0 to 1, None where the files do not say.
    """

    text: str
    share: float | None


STARTING = Position("starting", 0.0)


def position(run_dir: Path) -> Position:
    """Return the position of a run at work, from its run.json and the end of its metrics.jsonl.
    run_dir: its directory, which may not exist yet. Files that are missing or damaged raise nothing: such a
    run counts as starting.
    """
    try:
        record = Run(run_dir).record() or {}
        values = last_values(Path(run_dir) / "metrics.jsonl")
    except (OSError, ValueError):
        return STARTING
    if record.get("status") != "running":  # what an earlier session of the run left
        return STARTING
    config: Any = record.get("config")
    budget: Any = config.get("budget") if isinstance(config, Mapping) else None
    return of_training(values, budget if isinstance(budget, Mapping) else {})


def of_training(values: Mapping[str, Any], budget: Mapping[str, Any]) -> Position:
    """Return the position of a training from its last logged values and the limits of its budget.
    values: images_seen and training_seconds; budget: images and seconds, None where there is no such limit.
    """
    seen, seconds = number(values, "images_seen"), number(values, "training_seconds")
    if seen is None:
        return STARTING
    images, limit = number(budget, "images"), number(budget, "seconds")
    found = [Position(f"training {seen:,.0f}/{images:,.0f} images", seen / images)] if images else []
    if limit and seconds is not None:
        found.append(Position(f"training {seconds:.0f}/{limit:.0f} s", seconds / limit))
    if not found:  # a budget of operations, whose images the run alone knows
        return Position(f"training {seen:,.0f} images", None)
    nearest = max(found, key=lambda each: each.share or 0.0)
    return Position("evaluating", 1.0) if (nearest.share or 0.0) >= 1 else nearest


def number(values: Mapping[str, Any], key: str) -> float | None:
    """Return the number under a key, None where there is none."""
    value = values.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def last_values(path: Path) -> Mapping[str, Any]:
    """Return the last line of metrics.jsonl that has the seconds of the training; empty where none has."""
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(file.tell() - TAIL_BYTES, 0))
        lines = parse_lines(file.read()).objects
    return next((line for line in reversed(lines.values()) if "training_seconds" in line), {})
