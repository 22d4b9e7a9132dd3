"""A run's resolved configuration -> flat settings, and its budget in words."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["budget", "differing", "settings"]

ELSEWHERE = ("name", "seed", "device", "precision", "runs_dir", "rerun", "image", "tracker", "conditional")
"""Keys that are columns of their own, or that move no number."""
IMPLIED = ("_target_", "_partial_", "shape", "num_classes")  # what the choices and the data say


def settings(config: Mapping[str, Any]) -> dict[str, str | float | None]:
    """Each setting under its key: sampler.steps -> 50. What a group repeats of another is left out."""
    groups = {key: node for key, node in config.items() if key not in ELSEWHERE}
    parts = [node for node in groups.values() if isinstance(node, dict)]
    flat = {key: leaf(value) for key, value in leaves(groups, parts)}
    if "download" in (config.get("data") or {}):  # such a set is the same wherever it lies
        flat = {key: value for key, value in flat.items() if key not in ("data.root", "data.download")}
    return flat


def leaves(node: Mapping[str, Any], known: Sequence[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a tree under their dotted keys, without copies of known parts below others."""
    for key, value in node.items():
        name = f"{prefix}{key}"
        if key in IMPLIED:
            continue
        if not isinstance(value, dict):
            yield name, value
        elif not (prefix and value in known):
            yield from leaves(value, known, f"{name}.")


def leaf(value: object) -> str | float | None:
    """One value of a table: a list as it is written on the command line."""
    return value if value is None or isinstance(value, str | int | float) else json.dumps(value)


def differing(all_settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys in which runs differ, by name; a run that lacks a key differs from those that have it."""
    keys = dict.fromkeys(key for settings in all_settings for key in settings)
    absent = object()
    # 1 and True, 1 and 1.0 are equal and hash alike; repr tells the first two apart, which YAML does too.
    return sorted(
        key for key in keys if len({repr(settings.get(key, absent)) for settings in all_settings}) > 1
    )


def budget(config: Mapping[str, Any], device: object = None) -> str | None:
    """What a run was allowed, in words: 60,000 images; 600 seconds. None where its record does not say.

    device: as a result tells it; of several (8 x NVIDIA ..) the seconds of all of them count: 600 seconds
    are 4,800 device-seconds.
    """
    limits = config.get("budget")
    if not isinstance(limits, dict):
        return None
    several = re.match(r"(\d{1,6}) x ", str(device))
    if several and isinstance(limits.get("seconds"), int | float):
        limits = {**limits, "seconds": None, "device-seconds": limits["seconds"] * int(several[1])}
    words = [
        f"{value:,} {unit}" if value < 1e9 else f"{value:.4g} {unit}"
        for unit, value in limits.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    return " or ".join(words) or None
