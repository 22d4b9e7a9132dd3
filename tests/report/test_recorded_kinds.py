"""Scores that genbench does not ship: their titles and directions come from the results, as data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genbench.report import Query, load
from genbench.report.columns import column
from genbench.report.compare import compare
from genbench.report.formats.markdown import markdown

Write = Callable[..., Path]
OWN = "own[f,n=9,ref=train,ema]"


def kind(title: str = "my score", better: int = -1, **more: object) -> dict[str, Any]:
    return {"own": {"title": title, "better": better, **more}}


def heads(folder: Path) -> str:
    lines = markdown(compare(folder, Query())).splitlines()
    return next(line for line in lines if line.startswith("|"))


def test_a_recorded_kind_gives_a_column_its_title_and_arrow_and_names_it_for_users(
    tmp_path: Path, write: Write
) -> None:
    for name, value in (("a", 2.0), ("b", 1.0)):
        write(name, metrics={OWN: value}, kinds=kind(), choices={"model": name})
    assert "my score¹ ↓" in heads(tmp_path)
    shown = markdown(compare(tmp_path, Query(columns=["my score"], sort="my score")))
    assert [line.split()[1] for line in shown.splitlines() if line[:3] in ("| a", "| b")] == ["b", "a"]


def test_a_score_of_which_no_run_recorded_the_kind_has_its_key_for_a_title(
    tmp_path: Path, write: Write
) -> None:
    write("a", metrics={OWN: 2.0, "Own kind! [f,n=9,ema]": 1.0})
    assert "own¹ " in heads(tmp_path)
    assert "Own kind! ¹ " in heads(tmp_path)
    assert column("fid_low[f,n=9,ema]").title == "fid_low"


def test_nothing_is_ranked_by_a_kind_on_which_runs_disagree(tmp_path: Path, write: Write) -> None:
    write("a", metrics={OWN: 2.0}, kinds=kind())
    write("b", metrics={OWN: 1.0}, kinds=kind(better=1))
    assert "own¹ |" in " ".join(heads(tmp_path).split())


def test_a_kind_that_is_left_out_of_tables_stands_in_the_data_alone(tmp_path: Path, write: Write) -> None:
    write("a", metrics={OWN: 2.0, "fid[f,n=9,ref=train,ema]": 1.0}, kinds=kind(in_tables=False))
    assert "my score" not in heads(tmp_path)
    assert OWN in load(tmp_path)


@pytest.mark.parametrize(
    "kinds",
    [kind(title="x" * 41), kind(title="a\nb"), kind(better=2), {"own": 1}, {"OWN": {"title": "x"}}, []],
    ids=range(6),
)
def test_a_run_with_a_kind_that_is_none_is_named_in_one_message(
    tmp_path: Path, write: Write, kinds: object
) -> None:
    write("good")
    write("bad", kinds=kinds)
    with pytest.warns(UserWarning, match=r"bad is .*damaged: result\.json: .*kind"):
        assert list(load(tmp_path)["run"]) == ["good"]


def test_an_evaluation_brings_the_kinds_of_its_scores(
    tmp_path: Path, write: Write, evaluated: Callable[..., None]
) -> None:
    evaluated(
        write("a"), {"metrics": {OWN: 2.0}, "kinds": kind()}, {"metrics": {OWN: 3.0}, "kinds": kind(better=9)}
    )
    assert "my score" in heads(tmp_path)
    assert compare(tmp_path, Query()).runs.passed_over == {"a": "evaluations.jsonl, line 2"}
