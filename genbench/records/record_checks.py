"""Records of runs that other people may have written, held to what their readers need."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genbench.records.result import NOT_FINITE, Result

__all__ = ["check_record", "checked_result"]

RECORD = {"identity": str, "status": str, "sessions": list}
SESSION = {"started": str, "status": str}
RESULT = {
    "group": str,
    "run": str,
    "seed": int,
    "choices": dict,
    "metrics": dict,
    "likelihood": dict,
    "cost": dict,
}
WORDS = {str: "text", int: "a whole number", list: "a list", dict: "an object"}
REMEDY = "restore it, or move its directory away"


def check_record(record: Mapping[str, Any], path: Path) -> None:
    """Raise ValueError unless the content of a run.json says who the run is, and what became of it."""
    check_kinds(record, RECORD, path)
    for session in record["sessions"]:
        if not isinstance(session, dict):
            raise ValueError(f"{path} has a session that is no object: {REMEDY}")
        check_kinds(session, SESSION, path)


def checked_result(result: Mapping[str, Any], path: Path) -> Result:
    """Read the content of a result.json. Raises ValueError unless it can be shown, and gives an objective."""
    check_kinds(result, RESULT, path)
    for name, value in result["metrics"].items():
        if not is_measured(value):
            raise ValueError(f"{path} has {repr(value)[:40]} as {name}, not a number: {REMEDY}")
    if not is_likelihood(result["likelihood"]):
        raise ValueError(f"{path} has a likelihood that is none: {REMEDY}")
    rebuilt = result.get("reconstruction", {})
    if not isinstance(rebuilt, dict) or not is_measured(rebuilt.get("mse")):
        raise ValueError(f"{path} has a reconstruction that is none: {REMEDY}")
    try:
        return Result.of(result)
    except ValueError as error:
        raise ValueError(f"{path} has a value that is none ({error}): {REMEDY}") from error


def check_kinds(found: Mapping[str, Any], kinds: Mapping[str, type], path: Path) -> None:
    """Raise ValueError where an object in a file lacks a key, or holds a value of another kind under it."""
    for key, kind in kinds.items():
        if not isinstance(found.get(key), kind):
            raise ValueError(f"{path} has no {key} that is {WORDS[kind]}: {REMEDY}")


def is_measured(value: object) -> bool:
    """True for a number, a word for one that is not finite, and None, which stands for what has no value."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value is None or is_number or (isinstance(value, str) and value in NOT_FINITE)


def is_likelihood(found: Mapping[str, Any]) -> bool:
    """True for bits per dimension with the kind of their number, and what was found besides, if it was."""
    kinds = [found.get(key) for key in ("bound", "method")]
    besides = {"gap_bits_per_dim", "gap_se"} if found.get("floor_bits_per_dim") is not None else set[str]()
    change = found.get("solver_error_bits")
    return (
        found.keys() >= {"bits_per_dim", "bound"} | besides
        and is_measured(found["bits_per_dim"])
        and all(kind is None or isinstance(kind, str) for kind in kinds)
        and (change is None or isinstance(change, int | float))
    )
