"""Nested mappings, such as a run's configuration: their single values, and all of them as one flat mapping
(imports no torch).
"""

from collections.abc import Mapping
from typing import Any

__all__ = ["VALUES", "flatten"]

VALUES = (str, int, float, bool, type(None))
"""Types of single values, of which most of a configuration consists: they are looked at first."""


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return all values of nested mappings under their dotted keys: {"optim": {"lr": 1}} -> {"optim.lr": 1}.

    Lists and empty mappings are values like numbers and text; the order of keys stays. prefix: what stands
    before each key, with its dot.
    """
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        is_nested = isinstance(value, Mapping) and len(value) > 0
        flat |= flatten(value, f"{prefix}{key}.") if is_nested else {f"{prefix}{key}": value}
    return flat
