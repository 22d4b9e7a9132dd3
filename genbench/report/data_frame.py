"""Runs as a pandas data frame of objects: what a record holds stays as it is, 2**63 + 1 and True alike.

A missing value is None; nan is a measured value that is not a number.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import DataFrame
else:  # pandas is imported only where runs are read
    DataFrame = object

__all__ = ["Cell", "DataFrame", "cells", "distinct", "exact", "frame_of", "groups", "present"]

Cell = str | float | None


def frame_of(rows: Sequence[Mapping[str, Cell]]) -> DataFrame:
    """Return rows as a data frame of objects with every column that some row has, in order of appearance.

    A value that a row lacks is None; pandas takes no text for a number and makes no integer a float.
    """
    import pandas as pd

    names = list(dict.fromkeys(name for row in rows for name in row))
    content = [[row.get(name) for name in names] for row in rows]
    return pd.DataFrame(content, columns=pd.Index(names, dtype=object), dtype=object)


def cells(frame: DataFrame, name: str) -> list[Cell]:
    """Return the values of a column as Python objects, one a row.

    Where the frame has no such column all of them are None, as of a column that no run has a value in.
    """
    return frame[name].tolist() if name in frame.columns else [None] * len(frame)


def present(values: Iterable[Cell]) -> list[Cell]:
    """Return values without the missing ones, which are None; nan was measured and stays."""
    return [value for value in values if value is not None]


def distinct(values: Iterable[Cell]) -> list[Cell]:
    """Return the different ones of some values, as they appear; 1, 1.0 and True differ, all nan are one."""
    return list({repr(value): value for value in values}.values())


def exact(frame: DataFrame, names: Iterable[str]) -> DataFrame:
    """Return some columns as text that is equal only where type and value are: pandas takes 1 for True."""
    return frame[[name for name in names if name in frame.columns]].map(repr)


def groups(frame: DataFrame, by: Sequence[str]) -> list[list[int]]:
    """Return the places of rows that are alike in the columns `by`, a list a group, by their first ones."""
    # Text keys: pandas would put 1 and True into one group, and drop rows whose key is None.
    found: dict[tuple[str, ...], list[int]] = {}
    for place, key in enumerate(exact(frame, by).itertuples(index=False, name=None)):
        found.setdefault(key, []).append(place)
    return list(found.values())
