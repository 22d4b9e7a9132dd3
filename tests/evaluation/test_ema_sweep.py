"""One model over the length of the average of its weights: `genbench ema`."""

import shutil
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import pytest
import torch

from genbench import app
from genbench.cli import main as cli
from genbench.training.snapshots import Snapshots
from tests.conftest import Make

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
    shown = capsys.readouterr().out
    rows = [line.split("|")[1].strip() for line in shown.splitlines() if line.startswith("|")]
    assert rows[2:] == ["std 0.05", "std 0.2", "EMA of the training", "raw weights"]
    assert shown.count("★") == 1
    assert "held-out images (reference for a perfect model): " in shown
    assert max(map(len, shown.splitlines())) <= max(80, len(str(tmp_path)) + 80)
