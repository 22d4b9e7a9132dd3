"""Contents of a run's directory that the page shows: its command, its curves, its noise schedule."""

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeGuard

from genbench.config.option_folders import TRAIN
from genbench.records.files import read_json
from genbench.records.json_lines import parse_lines
from genbench.records.metric_name import MetricName, is_metric
from genbench.records.recorded_overrides import OVERRIDES, read_overrides
from genbench.records.untrusted_files import LOG_BYTES, YAML_BYTES, open_regular, read_regular
from genbench.report.columns import shown_metrics

__all__ = [
    "BITS",
    "VALIDATION",
    "best_images_seen",
    "command",
    "images_seen",
    "made_by",
    "metric_of",
    "noise_schedule",
    "prompts",
    "read_log",
    "unreadable_files",
]

Curves = dict[str, tuple[list[float], list[float]]]  # name of a logged value -> images seen, values
LOG = "metrics.jsonl"
PROMPTS = ("samples", "prompts.txt")
"""The captions of the rows of a run's grid, one a line."""
PROMPT_BYTES, MOST_PROMPTS, LONGEST_PROMPT = 2**20, 20, 200
VALIDATION = "validation/"
"""Begins the names of values that were measured on the validation images."""
BITS = f"{VALIDATION}bits_per_dim"
LAST = 10  # lines at the end of a log, one of which says how many images a run has seen
# What a later command may have asked for; Hydra notes the last one's words, whatever it did.
ONCE = ("dry_run=", "retry_failed=", "rerun=")
FOREIGN = ("-", "hydra")  # begin words that Hydra never notes: they may start another program


def command(folder: Path) -> str | None:
    """The shell command that makes a run again, from the overrides that Hydra recorded.

    None where they were not recorded, cannot be read, or hold a word that could start another program.
    """
    try:
        words = [word for word in read_overrides(folder) if not word.startswith(ONCE)]
    except (OSError, ValueError):
        return None
    if any(word.lstrip("+~").startswith(FOREIGN) for word in words):
        return None
    return f"{TRAIN} {shlex.join(words)}".rstrip()


def made_by(folder: Path) -> str:
    """The git commit and the versions of genbench and torch that run.json names.

    "commit 0123456789ab with changes, genbench 0.1.0, torch 2.8.0"; empty where it names none of them.
    """
    git, versions = objects(folder / "run.json", ("git", "versions"))
    words = [f"{name} {versions[name]}" for name in ("genbench", "torch") if versions.get(name)]
    if git.get("commit"):
        words.insert(0, f"commit {str(git['commit'])[:12]}{' with changes' if git.get('dirty') else ''}")
    return ", ".join(words)


def objects(path: Path, names: Sequence[str]) -> list[dict[str, Any]]:
    """The objects under some names in a JSON file; an empty one in the place of all else."""
    try:
        record = read_json(path) or {}
    except (OSError, ValueError):
        record = {}
    return [node if isinstance(node := record.get(name), dict) else {} for name in names]


def read_log(folder: Path, *, over: str = "images_seen") -> tuple[Curves, Sequence[int]]:
    """Read every loss, every score of EMA weights and every validation that a run has logged, nothing without
    a log.

    Returns the curves over another logged value, and the numbers of the lines that hold no event, which are
    passed over, as events without that value are.
    """
    objects, damaged = parse_lines(log_bytes(folder))
    curves: Curves = {}
    for event in objects.values():
        for name, value in event.items():
            is_curve = re.fullmatch(".*/loss", name) or name == BITS or metric_of(name)
            if is_curve and {type(value), type(event.get(over))} <= {int, float}:  # no bool
                xs, ys = curves.setdefault(name, ([], []))
                xs.append(event[over])
                ys.append(value)
    return curves, damaged


def metric_of(name: str) -> str | None:
    """The metric whose value during training is logged under a name, if tables show it; else None.

    training/fid[f,n=200,ref=train,ema] -> fid[f,n=200,ref=train,ema]; of validations likewise.
    """
    metric = name.removeprefix("training/").removeprefix(VALIDATION)
    if metric == name or not is_metric(metric) or MetricName.parse(metric).spread:
        return None
    return next(iter(shown_metrics([metric])), None)


def images_seen(folder: Path) -> int | None:
    """Number of training images that an unfinished run has seen, by the last events of its log.

    The very last line may be partial; None where none of the last ten says a number.
    """
    last = log_bytes(folder).splitlines()[-LAST:]
    counts = [event.get("images_seen") for event in parse_lines(b"\n".join(last)).objects.values()]
    return next((count for count in reversed(counts) if type(count) is int), None)


def best_images_seen(folder: Path) -> int | None:
    """Number of training images up to the weights that validation chose, as the result of a run has it; None
    where they were not retained.
    """
    (best,) = objects(folder / "result.json", ("best",))
    count = best.get("images_seen")
    return count if type(count) is int else None


def log_bytes(folder: Path) -> bytes:
    """The content of a run's log; nothing where it cannot be read."""
    try:
        return read_regular(folder / LOG, at_most=LOG_BYTES, inside=folder)
    except (OSError, ValueError):
        return b""


def prompts(folder: Path) -> list[str]:
    """Read the captions that the rows of a run's grid of samples are drawn to, the first 20, each cut after
    200 characters; none of a model that takes no text, or where the file cannot be read.
    """
    try:
        content = read_regular(folder.joinpath(*PROMPTS), at_most=PROMPT_BYTES, inside=folder)
    except (OSError, ValueError):
        return []
    lines = content.decode(errors="replace").split("\n")[:MOST_PROMPTS]
    return [shortened(line) for line in lines if line.strip()]


def shortened(text: str) -> str:
    """Return a text up to the length that a page shows, with dots in the place of its end."""
    return text if len(text) <= LONGEST_PROMPT else f"{text[:LONGEST_PROMPT]} .."


def noise_schedule(folder: Path) -> tuple[str, list[float], list[float]] | None:
    """The name of a run's noise schedule, or of its model, with t and alpha_bar(t), as its result holds them.

    None where the lists are no numbers from 0 to 1, or have different lengths.
    """
    curve, choices = objects(folder / "result.json", ("noise", "choices"))
    t, alpha_bar = curve.get("t"), curve.get("alpha_bar")
    if not (is_shares(t) and is_shares(alpha_bar) and len(t) == len(alpha_bar)):
        return None
    return str(choices.get("schedule", choices.get("model", "noise"))), t, alpha_bar


def is_shares(values: object) -> TypeGuard[list[float]]:
    """True for a list of two or more numbers from 0 to 1."""
    if not isinstance(values, list) or len(values) < 2:
        return False
    return all(isinstance(value, int | float) and 0 <= value <= 1 for value in values)


def unreadable_files(folder: Path) -> dict[Path, str]:
    """The files behind a run's command and its curves that exist but cannot be read -> reason.

    Such are links that lead out of the run, pipes, and files beyond the limits of `records.untrusted`.
    """
    found = {}
    for name, at_most in ((OVERRIDES, YAML_BYTES), (LOG, LOG_BYTES)):
        path = folder / name
        try:
            if os.path.lexists(path):
                open_regular(path, at_most=at_most, inside=folder).close()
        except (OSError, ValueError) as error:
            found[path] = str(error)
    return found
