"""Trained models from the directories of their runs: what is told of runs that are not as they should be."""

import json
import shutil
import warnings
from pathlib import Path

import pytest
import torch

from genbench import app
from genbench.training.checkpoint import CheckpointStore
from tests.conftest import Make

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
