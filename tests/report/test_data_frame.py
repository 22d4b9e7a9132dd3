"""Runs as a data frame: what a record holds stays as it is."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from genbench.report import Query
from genbench.report.compare import compare
from genbench.report.data_frame import cells, distinct, frame_of, groups
from genbench.report.formats.markdown import markdown

Write = Callable[..., Path]
EXACT = [1, 1.0, True, "1", "nan", math.nan, None, 2**63 + 1, 2**63 + 2]


def test_values_are_neither_converted_nor_taken_for_one_another() -> None:
    frame = frame_of([{"x": value} for value in EXACT])
    assert list(map(repr, cells(frame, "x"))) == list(map(repr, EXACT))
    assert groups(frame, ["x"]) == [[place] for place in range(len(EXACT))]
    assert len(distinct([*EXACT, *EXACT])) == len(EXACT)


def test_a_value_that_a_row_lacks_is_none_and_so_are_all_of_a_column_that_is_not_there() -> None:
    frame = frame_of([{"x": 1}, {"y": math.nan}])
    assert cells(frame, "x") == [1, None]
    assert cells(frame, "z") == [None, None]


def test_rows_that_are_alike_are_together_in_the_order_of_their_first_ones() -> None:
    frame = frame_of([{"x": x, "y": 0} for x in "bab"])
    assert groups(frame, ["x", "y"]) == [[0, 2], [1]]
    assert groups(frame, ["z"]) == groups(frame, []) == [[0, 1, 2]]
    assert groups(frame_of([]), ["x"]) == []


@pytest.mark.parametrize(
    ("value", "shown"), [(2**63 + 1, "9,223,372,036,854,775,809"), (True, "true"), (1.0, "1")]
)
def test_a_setting_is_shown_as_it_was_recorded(
    tmp_path: Path, write: Write, value: object, shown: str
) -> None:
    for name, other in (("a", value), ("b", "nan")):
        write(name, config={"model": {"size": other}})
    rows = [line.split(" | ")[0].strip("| ") for line in markdown(compare(tmp_path, Query())).splitlines()]
    assert {shown, "nan"} <= {*rows}
