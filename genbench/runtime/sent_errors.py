"""Errors that one process sends another as plain data, which can execute nothing: type, message and cause
(imports no torch).
"""

from collections.abc import Mapping
from typing import Any, TypeGuard

from genbench.errors import (
    Busy,
    Damaged,
    Lost,
    MachineFault,
    MissingWeights,
    OutOfMemory,
    Unmeasured,
    UsageError,
)
from genbench.runtime.stop import Stopped

__all__ = ["describe_error", "is_rebuilt", "rebuild_error"]

REBUILT = "Another process of this run failed with this error, and knows where it was raised."
"""The note by which a rebuilt error is recognised, which tracebacks print."""

KINDS = (
    Busy,
    Damaged,
    FloatingPointError,
    Lost,
    MachineFault,
    MissingWeights,
    OSError,
    OutOfMemory,
    Stopped,
    TypeError,
    Unmeasured,
    UsageError,
    ValueError,
)
"""The types of errors that keep their type on the way; every other one arrives as a RuntimeError."""


def describe_error(error: BaseException) -> dict[str, Any]:
    """Describe an error as JSON can hold it: its type, the closest type that `rebuild_error` makes again, its
    message (of an OSError also number and path) and, in the same way, its cause.
    """
    # An OSError is rebuilt from number, text and path, since its remedy follows from the number.
    arguments: list[int | str | None] = [str(error)]
    if isinstance(error, OSError) and error.errno is not None:
        name = None if error.filename is None else str(error.filename)
        arguments = [error.errno, error.strerror, name]
    return {
        "kind": kind_of(error),
        "type": type(error).__name__,
        "arguments": arguments,
        "cause": None if error.__cause__ is None else describe_error(error.__cause__),
    }


def kind_of(error: BaseException) -> str | None:
    """The name of the closest type in KINDS, None where there is none."""
    return next((t.__name__ for t in type(error).__mro__ if t in KINDS), None)


def rebuild_error(record: object) -> Exception:
    """Make the error that a record of `describe_error` describes; a type that is not in KINDS becomes a
    RuntimeError that names it. It is marked, for `is_rebuilt`.
    Raises ValueError on anything that is no such record.
    """
    if not is_record(record):
        raise ValueError(f"{record!r} is not a record of an error")
    arguments, kind = record["arguments"], next((t for t in KINDS if t.__name__ == record["kind"]), None)
    found = RuntimeError(f"{record['type']}: {arguments[0]}") if kind is None else kind(*arguments)
    found.__cause__ = None if record["cause"] is None else rebuild_error(record["cause"])
    found.add_note(REBUILT)
    return found


def is_rebuilt(error: BaseException | None) -> bool:
    """True for an error that `rebuild_error` made, so that its traceback says nothing of where it arose; the
    process that raised the original has that one.
    """
    return REBUILT in getattr(error, "__notes__", ())


def is_record(record: object) -> TypeGuard[Mapping[str, Any]]:
    """True for what `describe_error` gives."""
    if not isinstance(record, Mapping) or set(record) != {"kind", "type", "arguments", "cause"}:
        return False
    arguments = record["arguments"]
    return (
        isinstance(arguments, list)
        and len(arguments) in (1, 3)
        and all(one is None or isinstance(one, int | str) for one in arguments)
    )
