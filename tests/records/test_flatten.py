"""Nested mappings as flat ones."""

from genbench.records.flatten import flatten


def test_flattening_joins_keys_by_dots_and_keeps_leaves() -> None:
    config = {"a": {"b": {"c": 1}, "d": [1, {"e": 2}]}, "f": None, "g": {}}
    assert flatten(config) == {"a.b.c": 1, "a.d": [1, {"e": 2}], "f": None, "g": {}}
