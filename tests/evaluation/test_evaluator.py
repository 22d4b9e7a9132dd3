"""Evaluation on the way: a curve in the log, and not one bit of the training changed."""

import json
from pathlib import Path

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
    assert "n is 4; scores.is needs 20 or more" in done.stderr
    assert not list(tmp_path.rglob("*.json"))
