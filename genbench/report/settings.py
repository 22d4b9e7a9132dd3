"""A run's resolved configuration -> flat settings, and its budget in words."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from genbench.records.later_keys import without_idle_keys

__all__ = ["UNTIL", "budget", "differing", "is_timed", "plain", "settings"]

UNTIL = " until "  # begins the words on the target of a budget

# Keys that are columns of their own, or that move no number.
ELSEWHERE = (
    *("name", "seed", "device", "precision", "runs_dir", "rerun", "image", "tracker", "conditional"),
    *("objective", "dry_run", "retry_failed"),
)
IMPLIED = ("_target_", "_partial_", "shape", "num_classes")  # follow from the choices and the data


def settings(config: Mapping[str, Any]) -> dict[str, str | float | None]:
    """Return each setting of a configuration under its dotted key: sampler.steps -> 50.

    Keys of later versions that do nothing are left out, since runs of earlier ones lack them; the factor on
    the learning rate, which a sweep varies, is 1 there.
    A copy of one group inside another (interpolations resolve to copies) is left out, lists are text as on
    the command line, and where a data set that can be downloaded lies is no setting.
    """
    config = without_idle_keys(config)
    if isinstance(rate := config.get("lr_schedule"), dict):
        config["lr_schedule"] = {"scale": 1.0, **rate}
    groups = {key: node for key, node in config.items() if key not in ELSEWHERE}
    parts = [node for node in groups.values() if isinstance(node, dict)]
    data = config.get("data")  # of a damaged record it may be anything
    is_download = isinstance(data, dict) and "download" in data
    return {
        key: value if value is None or isinstance(value, str | int | float) else json.dumps(value)
        for key, value in leaves(groups, parts)
        if not (is_download and key in ("data.root", "data.download"))
    }


def leaves(node: Mapping[str, Any], known: Sequence[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of a tree under their dotted keys, without copies of known parts below others."""
    for key, value in node.items():
        if key not in IMPLIED and not isinstance(value, dict):
            yield f"{prefix}{key}", value
        elif key not in IMPLIED and not (prefix and value in known):
            yield from leaves(value, known, f"{prefix}{key}.")


def differing(all_settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys in which runs differ, by name; a run without a key differs from those that have it.

    all_settings: the settings of each run. 1 and True differ, as they do in YAML, and so do 1 and 1.0.
    """
    # 1, 1.0 and True are equal and hash alike; repr tells them apart, and ".." from every value.
    written = [{key: repr(value) for key, value in settings.items()} for settings in all_settings]
    keys = {key for settings in written for key in settings}
    return sorted(key for key in keys if len({settings.get(key, "..") for settings in written}) > 1)


def budget(config: Mapping[str, Any], device: object = None) -> str | None:
    """Return the training budget of a run in words: 60,000 images; 600 seconds. None where it has none.

    device: as a result names it. Of several (8 x NVIDIA ..) the seconds of all of them count: 600 seconds
    are 4,800 device-seconds. With a target it is said too: 60,000 images until fid 20.
    """
    limits = config.get("budget")
    if not isinstance(limits, dict):
        return None
    several = re.match(r"(\d{1,6}) x ", str(device))
    if several and isinstance(limits.get("seconds"), int | float):
        limits = {**limits, "seconds": None, "device-seconds": limits["seconds"] * int(several[1])}
    numbers = {
        unit: x for unit, x in limits.items() if isinstance(x, int | float) and not isinstance(x, bool)
    }
    until = numbers.pop("until", None)
    words = [f"{x:,} {unit}" if x < 1e9 else f"{x:.4g} {unit}" for unit, x in numbers.items()]
    target = "" if until is None else f"{UNTIL}{limits.get('objective')} {until:g}"
    return f"{' or '.join(words)}{target}" if words else None


def is_timed(budget: object) -> bool:
    """True for a budget in words by which runs compare on one device alone: in seconds, or with a target,
    whose time is what they are compared by.
    """
    return "seconds" in str(budget) or UNTIL in str(budget)


def plain(value: str | float | None) -> str | float | None:
    """Return a setting as a reader writes it: a list, which `settings` holds as JSON, without brackets, and
    an object by the name of its class with its settings: FID, KID (subsets=100, subset_size=1000).

    Text that is no such list stays as it is, and so does what is nested deeper than an object in a list.
    """
    if not isinstance(value, str) or not value.startswith("["):
        return value
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return value
    is_flat = isinstance(found, list) and not any(isinstance(item, list) for item in found)
    return ", ".join(map(in_words, found)) if is_flat and found else value


def in_words(item: object) -> str:
    """An item of a list in words; an object by its class and the settings that are no objects themselves."""
    if not isinstance(item, dict):
        return item if isinstance(item, str) else json.dumps(item)
    kind = str(item.get("_target_", "")).rpartition(".")[2]
    more = [f"{key}={in_words(value)}" for key, value in item.items() if is_plain(key, value)]
    return f"{kind} ({', '.join(more)})".strip() if more else kind


def is_plain(key: str, value: object) -> bool:
    """True for a setting of an object that has room beside its name."""
    return key not in IMPLIED and not isinstance(value, dict | list)
