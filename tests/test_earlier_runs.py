"""Runs that were recorded before classes moved load, are found by their command, are evaluated and reported.

Those in `earlier_runs/` were made on 6cdffad, each by the command in its run.json: a guided DDPM, a VAE, a
GAN and a flow, on 128 digits.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir

from genbench import app, report
from genbench.cli.main import main as verb
from genbench.records.moved import MOVED

ROOT = Path(__file__).resolve().parents[1]
RUNS = sorted((ROOT / "tests" / "earlier_runs").iterdir())
NAMES = [run.name.partition("-")[0] for run in RUNS]


def record_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "run.json").read_text())


@pytest.mark.parametrize("run", RUNS, ids=NAMES)
def test_it_draws_samples(run: Path) -> None:
    model = app.load(run, device="cpu")
    y = torch.tensor([3, 7]) if model.num_classes else None
    x = model.sample(2, y, rng=torch.Generator().manual_seed(0))
    assert x.shape == (2, 1, 8, 8)
    assert x.isfinite().all()


@pytest.mark.parametrize("run", RUNS, ids=NAMES)
def test_its_command_finds_it(run: Path) -> None:
    """Identities, from which directories follow, are made of the first paths of classes."""
    words = [word for word in record_of(run)["command"] if "=" in word]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("config", overrides=words)
    assert app.identity(cfg) == record_of(run)["identity"]


def test_a_report_has_all_of_them() -> None:
    frame = report.load(ROOT / "tests" / "earlier_runs")
    assert sorted(frame["model"]) == NAMES
    assert frame["fid[digits-cnn-v1,n=64,ref=train,ema]"].notna().all()


@pytest.mark.parametrize("name", ["ddpm", "vae"])
def test_an_evaluation_finds_the_scores_that_it_recorded(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To within 1 %, for another CPU rounds in another order."""
    run = shutil.copytree(RUNS[NAMES.index(name)], tmp_path / "run")
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "argv", ["genbench", "evaluate", str(run), "--device", "cpu"])
    with pytest.raises(SystemExit) as left:
        verb()
    assert left.value.code == 0
    found = json.loads((run / "evaluations.jsonl").read_text())["metrics"]
    recorded = json.loads((run / "result.json").read_text())["metrics"]
    compared = [key for key in recorded if key.startswith(("fid[", "is[", "kid[")) and key.endswith(",ema]")]
    assert len(compared) >= 4
    for key in compared:
        assert found[key] == pytest.approx(recorded[key], rel=0.01)


def test_every_class_that_moved_is_where_the_table_says() -> None:
    for path in MOVED.values():
        module, _, name = path.rpartition(".")
        assert hasattr(__import__(module, fromlist=[name]), name)
