"""A result is the same object after it was written and read, and earlier ones are read."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest

from genbench.records.metric_kinds import Kind
from genbench.records.result import VERSION, Best, Cost, Likelihood, Reconstruction, Result
from genbench.records.run_directory import Run

EARLIER = sorted((Path(__file__).parents[1] / "earlier_runs").glob("*/result.json"))
KIND = Kind("mine", "my score", -1)
WHOLE = Result(
    genbench="0.1.0",
    group="g",
    run="r",
    status="done",
    identity="abc",
    data_key="def",
    choices={"model": "vae"},
    seed=3,
    config={"model": {"width": 8}},
    metrics={"fid[f,n=1,ref=train,ema]": 1.5, "mine[f,n=1,ema]": math.inf},
    likelihood=Likelihood(
        bits_per_dim=3.5,
        bound="lower",
        method="elbo",
        n=9,
        floor_bits_per_dim=1.0,
        gap_bits_per_dim=2.5,
        gap_se=0.1,
    ),
    reconstruction=Reconstruction(mse=0.1, n=9),
    cost=Cost(device="cpu", parameters=7, skipped_batches=2),
    samples={"grid": "samples/a.png"},
    noise={"t": [0.0, 1.0], "alpha_bar": [1.0, 0.0]},
    kinds={"mine": KIND},
    best=Best(images_seen=3, by="loss", value=0.5),
    best_likelihood=Likelihood(bits_per_dim=3.25, bound="lower", method="elbo", n=9),
)


def test_a_result_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.begin("abc", {}, "cpu", 3)
    run.write_result(WHOLE)
    assert run.finished_result() is None
    run.end("done")
    assert run.finished_result() == WHOLE


def test_a_record_has_a_version_and_rare_keys_only_where_a_run_has_them() -> None:
    record, plain = WHOLE.to_record(), Result().to_record()
    assert record["version"] == plain["version"] == VERSION
    assert record["kinds"]["mine"]["title"] == "my score"
    assert record["best"] == {"images_seen": 3, "by": "loss", "value": 0.5}
    assert record["best_likelihood"]["bits_per_dim"] == 3.25
    assert not {"kinds", "best", "best_likelihood"} & plain.keys()
    assert record["cost"]["skipped_batches"] == 2
    assert "skipped_batches" not in plain["cost"]
    assert "solver_error_bits" not in record["likelihood"]
    assert plain["likelihood"] == dict.fromkeys(("bits_per_dim", "bound", "method", "n"))


@pytest.mark.parametrize("path", EARLIER, ids=[path.parent.name.partition("-")[0] for path in EARLIER])
def test_results_of_earlier_versions_are_read_without_loss(path: Path) -> None:
    record = json.loads(path.read_text())
    result = Result.of(record)
    assert result.version == 1
    assert result.to_record() == record | {"version": 1}


def test_what_another_version_recorded_is_carried_along() -> None:
    record = WHOLE.to_record()
    record["cost"]["new_cost"] = 5
    assert Result.of(record).cost.more == {"new_cost": 5}
    assert Result.of(record).to_record()["cost"] == record["cost"]


def test_bounds_of_flows_have_todays_names() -> None:
    read = Likelihood.of({"bits_per_dim": 1.0, "bound": "exact", "method": "uniform dequantization"})
    assert (read.bound, read.method) == ("lower", "one draw of uniform dequantization")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metrics": [1]}, "metrics holds a list, not an object"),
        ({"cost": None}, "cost holds a NoneType, not an object"),
        ({"metrics": {"fid[f,n=1,ema]": "low"}}, r"fid\[f,n=1,ema\] is 'low', not a number"),
        ({"cost": {"parameters": True}}, "parameters is 'True', not a number"),
        ({"cost": {"device": {"name": "cpu"}}}, "device holds a dict, not one value"),
        ({"likelihood": {"bound": 3}}, "bound holds a int, not one value"),
        ({"seed": [1]}, r"seed is '\[1\]', not a number"),
        ({"kinds": {"mine": {"title": "x" * 99}}}, "longer than 40"),
    ],
)
def test_a_record_that_is_none_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Result.of(WHOLE.to_record() | change)


def test_nothing_of_a_result_is_changed_afterwards() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        WHOLE.seed = 4  # ty: ignore
