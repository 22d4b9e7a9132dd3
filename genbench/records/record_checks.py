"""Checks of the records of runs, which other people may have written, for what their readers need."""

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
    """Raise ValueError unless the content of a run.json has an identity, a status and a list of sessions.

    path: of the file, for the message.
    """
    check_kinds(record, RECORD, path)
    for session in record["sessions"]:
        if not isinstance(session, dict):
            raise ValueError(f"{path} has a session that is not an object: {REMEDY}")
        check_kinds(session, SESSION, path)


def checked_result(result: Mapping[str, Any], path: Path) -> Result:
    """Read the content of a result.json, which must be fit for a table and give an objective.

    Raises ValueError otherwise: values must be numbers, None, or the words for numbers that are not finite.
    path: of the file, for the message.
    """
    check_kinds(result, RESULT, path)
    for name, value in result["metrics"].items():
        if not is_number_or_word(value):
            raise ValueError(f"{path} has {repr(value)[:40]} as {name}, not a number: {REMEDY}")
    if not is_likelihood(result["likelihood"]):
        raise ValueError(
            f"{path} has a likelihood without bits per dimension or the kind of their bound: {REMEDY}"
        )
    rebuilt = result.get("reconstruction", {})
    if not isinstance(rebuilt, dict) or not is_number_or_word(rebuilt.get("mse")):
        raise ValueError(f"{path} has a reconstruction without a number as its mse: {REMEDY}")
    try:
        return Result.of(result)
    except ValueError as error:
        raise ValueError(f"{path} has a value that cannot be read ({error}): {REMEDY}") from error


def check_kinds(found: Mapping[str, Any], kinds: Mapping[str, type], path: Path) -> None:
    """Raise ValueError where an object in a file lacks a key, or holds a value of another kind under it."""
    for key, kind in kinds.items():
        if not isinstance(found.get(key), kind):
            raise ValueError(f"{path} has no {key} that is {WORDS[kind]}: {REMEDY}")


def is_number_or_word(value: object) -> bool:
    """True for a number, a word for one that is not finite, and None, which stands for what has no value."""
    is_numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return value is None or is_numeric or (isinstance(value, str) and value in NOT_FINITE)


def is_likelihood(found: Mapping[str, Any]) -> bool:
    """True for bits per dimension with the kind of their bound, and a gap and its error where a floor
    stands.
    """
    kinds = [found.get(key) for key in ("bound", "method")]
    besides = {"gap_bits_per_dim", "gap_se"} if found.get("floor_bits_per_dim") is not None else set[str]()
    change = found.get("solver_error_bits")
    return (
        found.keys() >= {"bits_per_dim", "bound"} | besides
        and is_number_or_word(found["bits_per_dim"])
        and all(kind is None or isinstance(kind, str) for kind in kinds)
        and (change is None or isinstance(change, int | float))
    )
