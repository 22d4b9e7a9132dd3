"""Evaluation on the way: a curve in the log, and not one bit of the training changed."""

import json
from pathlib import Path

import pytest
import torch

from genbench.metrics.scores.fid import FID
from tests.conftest import Command
from tests.toys import TINY


def only(folder: Path) -> Path:
    (run,) = (path.parent for path in folder.glob("default/*/result.json"))
    return run


def test_a_curve_of_scores_on_the_way_leaves_the_training_as_it_is(main: Command, tmp_path: Path) -> None:
    words = (*TINY, "sampler.steps=2", "schedule.T=30", "scores=[fid]", "metrics.likelihood_samples=32")
    curve = ("trainer.evaluate_every_images=128", "trainer.evaluate_samples=32")
    plain = main(*words, f"runs_dir={tmp_path}/plain")
    watched = main(*words, *curve, f"runs_dir={tmp_path}/watched")
    assert (plain.returncode, watched.returncode) == (0, 0), watched.stderr
    results = [
        json.loads((only(tmp_path / name) / "result.json").read_text()) for name in ("plain", "watched")
    ]
    assert results[0]["metrics"] == results[1]["metrics"]
    lines = [
        json.loads(line) for line in (only(tmp_path / "watched") / "metrics.jsonl").read_text().splitlines()
    ]
    name = "training/fid[digits-cnn-v1,n=32,ref=train,ema]"
    assert [line["images_seen"] for line in lines if name in line] == [128, 256, 384]  # 512 is the end
    assert all(line[name] > 0 for line in lines if name in line)


def test_a_curve_without_scores_is_refused_before_work(main: Command, tmp_path: Path) -> None:
    done = main(
        *TINY, "trainer.evaluate_every_images=128", "trainer.evaluate_samples=4", f"runs_dir={tmp_path}"
    )
    assert done.returncode == 2
    assert "trainer.evaluate_samples is 4; scores.is needs 20 or more" in done.stderr
    assert not list(tmp_path.rglob("*.json"))


def test_a_lack_of_memory_for_scores_skips_a_quick_evaluation_and_ends_the_last_with_a_remedy(
    main: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def greedy(*_: object) -> dict[str, float]:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(FID, "distance", greedy)
    done = main(
        *(word for word in TINY if not word.startswith("budget.")),
        *("budget.images=256", "sampler.steps=2", "schedule.T=30", "scores=[fid]"),
        *("metrics.likelihood_samples=32", "metrics.batch_size=32"),
        *("trainer.evaluate_every_images=128", "trainer.evaluate_samples=32", f"runs_dir={tmp_path}"),
    )
    assert done.returncode == 1
    told = " ".join(done.stdout.split())
    assert "quick evaluation skipped: out of memory in the scores on cpu of 32 images (ema)" in told
    assert "out of memory in the scores on cpu of 64 images" in done.stderr
    assert "genbench evaluate RUN --set metrics.batch_size=16" in done.stderr
    assert "The trained model is saved: the same command repeats the evaluation" in done.stderr
