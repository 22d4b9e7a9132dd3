"""`genbench evaluate` and `genbench selfcheck` as a user calls them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from genbench import app, cli_evaluate, selfcheck
from genbench.progress import Progress
from genbench.selfcheck import Check, check_all, verdict_table
from tests.conftest import Make

OVERRIDES = ("network.width=8", "network.blocks=1", "sampler.steps=3", "metrics.samples=40")
FEW = ("--set", "scores=[fid,kid]", "--set", "metrics.likelihood_samples=8")


def evaluate(*words: str) -> str:
    """What the verb prints; raises what it raises."""
    done = CliRunner().invoke(cli_evaluate.verbs, ["evaluate", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def records(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def run(made: Make, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made(*OVERRIDES), tmp_path / "run"))


def test_a_run_is_measured_again_beside_what_is_there(run: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*.json")}
    evaluate(str(run), *FEW)
    evaluate(str(run), *FEW, "--set", "metrics.samples=24", "--weights", "raw")
    first, second = records(run / "evaluations.jsonl")
    assert "fid[digits-cnn-v1,n=40,ref=train,ema]" in first["metrics"]
    assert "fid[digits-cnn-v1,n=24,ref=train,raw]" in second["metrics"]
    assert not [name for name in first["metrics"] if name.startswith("is[")]  # it was not asked for
    assert first["likelihood"]["bits_per_dim"] > 0
    assert first["likelihood"]["n"] == 8
    assert {path: path.read_bytes() for path in run.rglob("*.json")} == before


def test_real_test_images_get_what_the_held_out_column_says(tmp_path: Path) -> None:
    """Given as .npz and as PNGs, all of them: the column `given` is the column `test`."""
    source, _, _ = app.measuring(["data=digits"])
    images = np.stack([image for image, _ in source.decode("test")])
    np.savez(tmp_path / "x.npz", samples=images)
    (tmp_path / "png").mkdir()
    for k, image in enumerate(images):
        Image.fromarray(image[..., 0]).save(tmp_path / "png" / f"{k:03}.png")
    for target in ("x.npz", "png"):
        evaluate(str(tmp_path / target), "--data", "digits", "--set", "scores=[fid]")
        (record,) = records(tmp_path / f"{target.removesuffix('.npz')}.evaluations.jsonl")
        given, held_out = (
            record["metrics"][f"fid[digits-cnn-v1,n={len(images)},ref=train,{of}]"]
            for of in ("given", "test")
        )
        assert given == pytest.approx(held_out, abs=1e-9)  # the order of sums differs
        assert record["likelihood"] is None


def test_labels_of_given_images_reach_the_distances_within_classes(tmp_path: Path) -> None:
    source, _, _ = app.measuring(["data=digits"])
    images, labels = zip(*source.decode("test"), strict=True)
    np.savez(tmp_path / "x.npz", samples=np.stack(images), labels=np.array(labels))
    evaluate(str(tmp_path / "x.npz"), "--data", "digits", "--set", "scores=[fid_class]")
    (right,) = records(tmp_path / "x.evaluations.jsonl")
    np.savez(tmp_path / "y.npz", samples=np.stack(images), labels=(np.array(labels) + 1) % 10)
    evaluate(str(tmp_path / "y.npz"), "--data", "digits", "--set", "scores=[fid_class]")
    (wrong,) = records(tmp_path / "y.evaluations.jsonl")
    name = next(key for key in right["metrics"] if key.startswith("fid_class["))
    assert right["metrics"][name] < wrong["metrics"][name] / 3  # a digit is nearer to its own class


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "say what to compare it with"),
        (["--data", "digits", "--features", "none.pth"], "--features is 'none.pth'"),
        (["--data", "digits", "--metrics", "best"], "Could not find 'metrics/best'"),
        (["--data", "nothing"], "Could not find 'data/nothing'"),
        (["--data", "digits", "--set", "scores=[fid,is]"], r"there are 4 images; scores\.is needs 20"),
    ],
)
def test_what_cannot_be_is_refused(words: list[str], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", samples=np.zeros((4, 8, 8), dtype=np.uint8))
    with pytest.raises(ValueError, match=message):
        evaluate(str(tmp_path / "x.npz"), *words)
    assert not (tmp_path / "x.evaluations.jsonl").exists()


def test_every_local_check_agrees_and_the_anchors_say_why_they_are_left_out() -> None:
    found = check_all(data_root=None, weights=None, device=torch.device("cpu"), progress=Progress(None))
    assert [check.what for check in found if check.missed] == []
    assert len([check for check in found if not check.skipped]) >= 12
    assert all("--data-root" in check.skipped for check in found[-2:])


def test_a_miss_is_red_and_exit_code_one(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = [Check("x", 1.0, 1.1, 0.05), Check("y", 1.0, float("nan"), 0.05), Check("z", 1.0, 1.04, 0.05)]
    assert [check.missed for check in checks] == [True, True, False]
    assert verdict_table(checks).row_count == 3
    monkeypatch.setattr(selfcheck, "closed_forms", lambda: iter(checks))
    done = CliRunner().invoke(cli_evaluate.verbs, ["selfcheck"])
    assert done.exit_code == 1
    assert "missed" in done.output
