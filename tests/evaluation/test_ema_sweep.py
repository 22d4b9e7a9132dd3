"""One model over the length of the average of its weights: `genbench ema`."""

import shutil
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import pytest
import torch

from genbench import app
from genbench.cli import main as cli
from genbench.evaluation.kept_average import kept_folder
from genbench.records.result import Cost, Result
from genbench.records.run_directory import Run
from genbench.report import load
from genbench.training.snapshots import Snapshots, set_average
from tests.conftest import Command, Make

DDPM = ("network.width=8", "network.blocks=1", "sampler=ddim", "sampler.steps=2", "metrics.samples=32")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def with_snapshots(run: Path, folder: Path) -> Path:
    """A copy of a run of 64 images, with snapshots of its EMA weights on their way to its raw ones."""
    shutil.copytree(run, folder)
    model, raw = app.load(folder, device="cpu"), app.load(folder, device="cpu", weights="raw")
    snapshots = Snapshots(model, 4, folder / "checkpoints")
    for k in range(1, 9):
        with torch.no_grad():
            for mine, its in zip(model.parameters(), raw.parameters(), strict=True):
                mine.lerp_(its + 0.05 * k, k / 8)
        snapshots.step(8 * k, k / 8, finished=k == 8, pause=nullcontext)
    return folder


def test_a_row_for_each_length_beside_the_usual_average_and_raw_weights_and_a_picture(
    made: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = with_snapshots(made(*DDPM, "scores=[fid]"), tmp_path / "run"), tmp_path / "e"
    words = ("ema", run, "--std", "0.2,0.05", "--n", "20", "--out", out, "--device", "cpu")
    cli.app([*map(str, words)], standalone_mode=False)
    table = pd.read_csv(out / "table.csv")
    assert table["of"].tolist() == ["power", "power", "ema", "raw"]
    assert table["std"].tolist()[:2] == [0.2, 0.05]
    fid, raw = (f"fid[digits-cnn-v1,n=20,ref=train,{of}]" for of in ("ema", "raw"))
    assert table[fid].notna().tolist() == [True, True, True, False]
    assert table[raw].notna().tolist() == [False, False, False, True]
    assert table[fid].nunique() == 3
    assert table["profile_error"][1] < 1e-6 < table["profile_error"][0]
    assert (out / "ema.png").stat().st_size > 1000
    shown, said = capsys.readouterr()
    assert ("from the average of --std 0.2, " in said) == (table["profile_error"][0] > 0.05)
    assert "from the average of --std 0.05" not in said
    rows = [line.split("|")[1].strip() for line in shown.splitlines() if line.startswith("|")]
    assert rows[2:] == ["std 0.05", "std 0.2", "EMA of the training", "raw weights"]
    assert shown.count("★") == 1
    assert "held-out images (reference for a perfect model): " in shown
    assert max(map(len, shown.splitlines())) <= max(80, len(str(tmp_path)) + 80)


def finished(run: Path) -> Path:
    """Have a run its result, as one that has ended."""
    record = Run(run).record()
    assert record is not None
    choices = {"model": "ddpm", "data": "digits"}
    facts = {"genbench": "0", "group": "g", "run": run.name, "status": "done", "identity": "identity"}
    cost = Cost(images_seen=64, training_seconds=1.5)
    Run(run).write_result(
        Result(**facts, data_key="images", choices=choices, seed=0, config=record["config"], cost=cost)
    )
    Run(run).end("done")
    return run


def test_an_average_that_is_retained_is_a_run_of_its_own_and_the_first_is_as_it_was(
    made: Make, verb: Command, tmp_path: Path
) -> None:
    run = finished(with_snapshots(made(*DDPM, "scores=[fid]"), tmp_path / "run"))
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    words = ("ema", run, "--n", "20", "--device", "cpu", "--keep", "--std")
    done = verb(*words, "0.1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"{run}-ema0.1: a run with this average\n")
    kept = tmp_path / "run-ema0.1"
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before

    expected, found = app.load(run, device="cpu"), app.load(kept, device="cpu")
    set_average(expected, run / "checkpoints", 0.1)
    weights = found.state_dict()
    learned = dict(expected.named_parameters())
    assert all(torch.equal(weights[name], value) for name, value in learned.items())
    raw = [app.load(path, device="cpu", weights="raw").state_dict() for path in (run, kept)]
    assert all(torch.equal(raw[1][name], value) for name, value in raw[0].items())

    rows = load(tmp_path).set_index("run")
    assert rows["weights"].to_dict() == {"run": None, "run-ema0.1": "ema_0.1"}
    assert rows["identity"].nunique() == 2
    assert rows["training_seconds"].tolist() == [1.5, 1.5]
    score = rows.loc["run-ema0.1", "fid[digits-cnn-v1,n=20,ref=train,ema]"]
    assert f"{score:.4g}" in done.stdout
    assert rows.loc["run-ema0.1", "fid[digits-cnn-v1,n=20,ref=train,test]"] > 0
    result = Run(kept).finished_result()
    assert result is not None
    assert result.feature_networks.keys() == {"digits-cnn-v1"}
    assert "the snapshots are " not in done.stderr
    assert verb("sample", kept, "--n", "2", "--out", tmp_path / "images").returncode == 0

    for more, said in (("0.1", "-ema0.1 is there already"), ("0.1,0.2", "--keep retains one average")):
        again = verb(*words, more)
        assert again.returncode == 2
        assert said in again.stderr
    of_kept = verb("ema", kept, "--keep", "--std", "0.2")
    assert "holds an average of another run: give that run" in of_kept.stderr


def test_a_run_without_a_result_retains_no_average_and_a_table_needs_a_folder(
    made: Make, verb: Command, tmp_path: Path
) -> None:
    run = with_snapshots(made(*DDPM, "scores=[fid]"), tmp_path / "run")
    too_long = verb("ema", run, "--std", "0.5", "--keep")
    assert "a standard deviation is 0.5; it must be above 0" in too_long.stderr
    refused = verb("ema", run, "--std", "0.1", "--keep")
    assert "has no result yet: --keep needs a run whose training has ended" in refused.stderr
    assert "--out is missing" in verb("ema", run, "--std", "0.1").stderr
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_the_folder_of_an_average_has_the_name_of_its_run_however_the_run_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = tmp_path / "mine" / "checkpoints"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    assert kept_folder(Path(".."), 0.1) == kept_folder(tmp_path / "mine", 0.1) == tmp_path / "mine-ema0.1"
