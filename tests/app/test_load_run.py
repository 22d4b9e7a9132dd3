"""Trained models from the directories of their runs: what is told of runs that are not as they should be."""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from genbench import app
from genbench.training.checkpoint import CheckpointStore
from tests.conftest import Command, Make

SMALL = ("model=vae", "network.encoder.width=8", "network.decoder.width=8", "budget.images=640")


@pytest.fixture
def run(made: Make, tmp_path: Path) -> Path:
    """A run of its own, with random weights."""
    return Path(shutil.copytree(made(*SMALL), tmp_path / "run"))


@pytest.mark.parametrize("finished", [False, True])
def test_a_training_that_has_not_ended_is_told_with_how_far_it_came(run: Path, finished: bool) -> None:
    store = CheckpointStore(run / "checkpoints")
    state = torch.load(run / "checkpoints" / "last.pt", weights_only=True)
    store.save({**state, "finished": finished})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        app.load(run, device="cpu")
    said = [str(one.message) for one in caught if "has not ended" in str(one.message)]
    expected = f"the training of {run} has not ended: its last checkpoint is used, after 64 of 640 images"
    assert said == ([] if finished else [expected])


def test_a_node_that_no_run_records_is_refused_rather_than_ignored(run: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    record["config"]["hydra"] = {"mode": "RUN"}
    (run / "run.json").write_text(json.dumps(record))
    for read in (app.load, lambda path: app.measuring(of_run=path)):
        with pytest.raises(ValueError, match=r"run.json has a node hydra, which no run writes: take it out"):
            read(run)


def test_a_file_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileNotFoundError, match=r"file is not a directory: give the directory of a run"):
        app.load(tmp_path / "file")


def with_best(run: Path, **more: object) -> dict:
    """Write the best weights of a run, all 0.5; returns what the file holds."""
    state = torch.load(run / "checkpoints" / "last.pt", weights_only=True)
    state["ema"] = {name: torch.full_like(value, 0.5) for name, value in state["ema"].items()}
    best = {"value": 1.0, "images_seen": 32, "waiting": 0, "ended_early": None}
    CheckpointStore(run / "checkpoints").save_best({**state, "images_seen": 32, "best": best, **more})
    return state


def test_the_best_weights_are_those_of_their_own_file(run: Path) -> None:
    state = with_best(run)
    found = app.load(run, device="cpu", weights="best").state_dict()
    assert all(torch.equal(value, state["ema"][name]) for name, value in found.items())
    last = app.load(run, device="cpu").state_dict()
    assert not all(torch.equal(value, last[name]) for name, value in found.items())


def test_a_run_without_best_weights_says_how_to_get_some(run: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"has no best weights \(best.pt\): take its ema or raw"):
        app.load(run, device="cpu", weights="best")
    with pytest.raises(ValueError, match="weights is 'worst'; it must be ema, best or raw"):
        app.load(run, device="cpu", weights="worst")


def test_the_best_weights_are_sampled_exported_and_evaluated_by_their_name(
    run: Path, verb: Command, tmp_path: Path
) -> None:
    with_best(run)
    for weights in ("ema", "best"):
        done = verb(
            "sample", run, "--out", tmp_path / weights, "--n", 2, "--weights", weights, "--device", "cpu"
        )
        assert done.returncode == 0, done.stderr
    one, other = (np.load(tmp_path / name / "samples.npz")["samples"] for name in ("ema", "best"))
    assert (one != other).any()
    out = tmp_path / "model"
    assert verb("export", run, "--out", out, "--weights", "best", "--device", "cpu").returncode == 0
    assert all(bool((value == 0.5).all()) for value in app.load(out, device="cpu").parameters())
    scores = ("--set", "scores=[fid]", "--set", "metrics.samples=24", "--set", "metrics.likelihood_samples=0")
    done = verb("evaluate", run, "--weights", "best", "--device", "cpu", *scores)
    assert done.returncode == 0, done.stderr
    record = json.loads((run / "evaluations.jsonl").read_text())
    assert record["weights"] == "best"
    assert [
        name for name in record["metrics"] if name.endswith("ref=train,best]") and name.startswith("fid[")
    ]
