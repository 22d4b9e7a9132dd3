"""Contents of a run's directory that the page shows: its command, its curves, its noise."""

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from genbench.records.composition import OVERRIDES, read_overrides
from genbench.records.lines import Lines, parse_lines
from genbench.records.metric_name import MetricName, is_metric
from genbench.records.untrusted import (
    LOG_BYTES,
    RECORD_BYTES,
    YAML_BYTES,
    open_regular,
    parse_json,
    read_regular,
)
from genbench.report.columns import shown_metrics

__all__ = [
    "Noise",
    "command",
    "curves",
    "faults",
    "images_seen",
    "log",
    "made_by",
    "noise",
    "score_of",
]

LOSS = re.compile(r".*/loss")
TRAINING = "training/"
LAST = 10  # lines of a log among which one says how far a run is
ONCE = ("dry_run=", "retry_failed=", "rerun=")
"""What a later command may have asked for; Hydra notes the last one's words, whatever it did."""
FOREIGN = ("-", "hydra")
"""First letters of words that Hydra never notes there: a command with them may start another program."""


class Noise(NamedTuple):
    """What a model leaves of the data over time."""

    name: str
    t: list[float]
    alpha_bar: list[float]


def command(folder: Path) -> str | None:
    """What to type to get the run again, as its own composition recorded it; None where nothing did."""
    try:
        words = [word for word in read_overrides(folder) if not word.startswith(ONCE)]
    except (OSError, ValueError):
        return None
    if any(word.lstrip("+~").startswith(FOREIGN) for word in words):
        return None
    return shlex.join(["python", "main.py", *words])


def made_by(folder: Path) -> str:
    """The state of the code and the versions that a run was made with, as far as it says."""
    record = json_object(folder / "run.json")
    git, versions = record.get("git"), record.get("versions")
    words = []
    if isinstance(git, dict) and git.get("commit"):
        words.append(f"commit {str(git['commit'])[:12]}{' with changes' if git.get('dirty') else ''}")
    if isinstance(versions, dict):
        words += [f"{name} {versions[name]}" for name in ("genbench", "torch") if versions.get(name)]
    return ", ".join(words)


def json_object(path: Path) -> Mapping[str, Any]:
    """The object in a file, an empty one where there is none."""
    try:
        content = parse_json(read_regular(path, at_most=RECORD_BYTES, inside=path.parent))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def curves(folder: Path) -> dict[str, tuple[list[float], list[float]]]:
    """Every logged loss, and every score of EMA weights: name -> images seen, values.

    Lines that cannot be read are passed over.
    """
    found: dict[str, tuple[list[float], list[float]]] = {}
    for event in log(folder).objects.values():
        for name in filter(is_curve, event):
            if is_number(event[name]) and is_number(event.get("images_seen")):
                xs, ys = found.setdefault(name, ([], []))
                xs.append(event["images_seen"])
                ys.append(event[name])
    return found


def log(folder: Path) -> Lines:
    """Return the events of a run's log, and the numbers of lines that hold none; nothing without a log."""
    return parse_lines(log_bytes(folder))


def is_curve(name: str) -> bool:
    """Whether a logged value is a loss, or a score during training."""
    return LOSS.fullmatch(name) is not None or score_of(name) is not None


def score_of(name: str) -> str | None:
    """The metric that a value logged during training is of, of those with room in a table; else None.

    training/fid[f,n=200,ref=train,ema] -> fid[f,n=200,ref=train,ema]
    """
    metric = name.removeprefix(TRAINING)
    if metric == name or not is_metric(metric) or MetricName.parse(metric).spread:
        return None
    return next(iter(shown_metrics([metric])), None)


def images_seen(folder: Path) -> int | None:
    """Return the images that a run has seen, by its last events, of which the very last may be torn."""
    last = log_bytes(folder).splitlines()[-LAST:]
    counts = [event.get("images_seen") for event in parse_lines(b"\n".join(last)).objects.values()]
    return next((count for count in reversed(counts) if type(count) is int), None)


def log_bytes(folder: Path) -> bytes:
    """The content of a run's log; nothing where it cannot be read."""
    try:
        return read_regular(folder / "metrics.jsonl", at_most=LOG_BYTES, inside=folder)
    except (OSError, ValueError):
        return b""


def is_number(value: object) -> bool:
    """Whether a value can be drawn."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def noise(folder: Path) -> Noise | None:
    """The way to noise that a run has recorded, if it has one."""
    record = json_object(folder / "result.json")
    curve, choices = (
        node if isinstance(node := record.get(key), dict) else {} for key in ("noise", "choices")
    )
    t, alpha_bar = share(curve.get("t")), share(curve.get("alpha_bar"))
    if len(t) < 2 or len(t) != len(alpha_bar):
        return None
    return Noise(str(choices.get("schedule", choices.get("model", "noise"))), t, alpha_bar)


def share(values: object) -> list[float]:
    """Numbers from 0 to 1; none where one of them is not."""
    listed = values if isinstance(values, list) else []
    return listed if all(isinstance(value, int | float) and 0 <= value <= 1 for value in listed) else []


def faults(folder: Path) -> dict[Path, str]:
    """The files behind a run's command and its curves that are there and not read -> why."""
    found = {}
    for name, at_most in ((OVERRIDES, YAML_BYTES), ("metrics.jsonl", LOG_BYTES)):
        path = folder / name
        try:
            if os.path.lexists(path):
                open_regular(path, at_most=at_most, inside=folder).close()
        except (OSError, ValueError) as error:
            found[path] = str(error)
    return found
