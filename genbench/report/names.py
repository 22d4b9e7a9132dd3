"""Lists of names as they stand in a sentence."""

from collections.abc import Sequence

__all__ = ["NAMED", "some"]

NAMED = 8
"""Columns or runs that are named before they are counted."""


def some(names: Sequence[str], between: str = ", ") -> str:
    """Return the first of some names, and the number of the others: "a, b and 3 more"."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{between.join(names[:NAMED])}{more}"
