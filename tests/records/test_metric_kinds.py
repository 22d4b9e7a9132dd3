"""The table of kinds, and kinds that a run records because genbench does not ship their score."""

import json
from typing import Any

import pytest

from genbench.records.metric_kinds import KINDS, Kind, merged, recorded_kinds, to_record

OWN = Kind("mean_gap", "mean gap", -1, interval="none")


def test_each_kind_of_the_table_stands_under_its_key_with_a_title_of_its_own() -> None:
    assert all(kind.key == key for key, kind in KINDS.items())
    assert len({kind.title for kind in KINDS.values()}) == len(KINDS)


def test_kinds_of_other_scores_are_recorded_and_read_back_and_those_of_the_table_are_not() -> None:
    record = json.loads(json.dumps({"kinds": to_record([KINDS["fid"], OWN])}))
    assert recorded_kinds(record) == {"mean_gap": OWN}
    assert to_record(KINDS.values()) == {}
    assert recorded_kinds({}) == {}


def test_no_record_changes_a_kind_of_the_table() -> None:
    record = {"kinds": {"fid": {"title": "mine", "better": 1}}}
    assert merged([recorded_kinds(record)]) == KINDS


def test_nothing_is_ranked_by_a_kind_on_which_runs_disagree() -> None:
    other = Kind("mean_gap", "mean gap", 1)
    assert merged([{"mean_gap": OWN}, {"mean_gap": OWN}])["mean_gap"] == OWN
    found = merged([{"mean_gap": OWN}, {"mean_gap": other}, {"mean_gap": OWN}])["mean_gap"]
    assert (found.title, found.better) == ("mean_gap", 0)


@pytest.mark.parametrize(
    "kinds",
    [
        [],
        {"x": "title"},
        {"x": {}},
        {"x": {"title": ""}},
        {"x": {"title": "two\nlines"}},
        {"x": {"title": "\x1b[2J"}},
        {"x": {"title": "\u202eDIF"}},
        {"x": {"title": "x" * 41}},
        {"x": {"title": 3}},
        {"x": {"title": "x", "better": 2}},
        {"x": {"title": "x", "better": True}},
        {"x": {"title": "x", "better": -1.0}},
        {"x": {"title": "x", "better": [1]}},
        {"x": {"title": "x", "interval": "often"}},
        {"x": {"title": "x", "interval": []}},
        {"x": {"title": "x", "in_tables": 1}},
        {"x[a": {"title": "x"}},
        {"x_low": {"title": "x"}},
        {"": {"title": "x"}},
        {"x" * 41: {"title": "x"}},
        {f"x{i}": {"title": "x"} for i in range(101)},
    ],
)
def test_what_is_no_kind_is_refused(kinds: Any) -> None:
    with pytest.raises(ValueError, match=r"kind"):
        recorded_kinds({"kinds": kinds})
