"""Whole runs that are stopped and called again: equal to one that was not, in all that they record."""

import json
from pathlib import Path
from typing import Any

import pytest

from genbench.runtime.stop import StopRequest
from tests.conftest import Command
from tests.test_repeat import BEST, assert_repeated, small

FEW = (
    "trainer.batch_size=16",
    "trainer.log_every_images=16",
    "trainer.sample_every_images=null",
    "metrics.samples=20",
    "metrics.likelihood_samples=8",
    "tracker=jsonl",
    "device=cpu",
)
HERE = (*FEW, "budget.images=128", "precision=fp32")
EXPLODING = (*small("ddpm"), "process=variance_exploding", "density.steps=2")
EARLY = (*small("vae"), *BEST, "trainer.keep_by=fid", "trainer.evaluate_samples=20", "trainer.patience=3")
RUNS = {
    "cascade": ((*HERE, *small("cascade")), 80),  # in its second stage
    "first stage of a cascade": ((*HERE, *small("cascade")), 16),
    "unclip": ((*HERE, *small("unclip")), 80),  # in its decoder's stage
    "prior of unclip": ((*HERE, *small("unclip")), 16),
    "variance exploding": ((*HERE, *EXPLODING), 64),
    "snapshots": ((*HERE, *small("ddpm"), "trainer.ema_snapshots=4"), 64),
    "best weights": ((*HERE, *small("vae"), *BEST), 64),
    "best weights in bfloat16": ((*FEW, "budget.images=128", "precision=bf16", *small("vae"), *BEST), 64),
    "patience": ((*FEW, "budget.images=4096", "precision=fp32", "optim.lr=0.3", *EARLY), 32),
}
"""Commands, and the images after which they are stopped."""


def images_seen(runs: Path) -> int:
    """Images that the run in a folder has logged so far."""
    lines = [line for path in runs.rglob("metrics.jsonl") for line in path.read_text().splitlines()]
    return max((json.loads(line).get("images_seen", 0) for line in lines), default=0)


def result(runs: Path) -> dict[str, Any]:
    (path,) = runs.rglob("result.json")
    return json.loads(path.read_text())


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_was_stopped_goes_on_to_the_record_weights_and_pictures_of_another(
    name: str, main: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, stop_at = RUNS[name]
    straight, parts = tmp_path / "straight", tmp_path / "parts"
    done = main(*words, f"runs_dir={straight}")
    assert done.returncode == 0, done.stderr
    with monkeypatch.context() as asked:
        asked.setattr(StopRequest, "requested", property(lambda _: images_seen(parts) >= stop_at))
        assert main(*words, f"runs_dir={parts}").returncode == 130
    assert images_seen(parts) == stop_at < images_seen(straight)
    again = main(*words, f"runs_dir={parts}")
    assert again.returncode == 0, again.stderr
    assert "Resuming at" in again.stdout
    one, two = (next(folder.rglob("result.json")).parent for folder in (straight, parts))
    assert_repeated(one, two)
    assert result(straight)["cost"]["images_seen"] == result(parts)["cost"]["images_seen"]
    assert (one / "checkpoints" / "best.pt").exists() == ("trainer.keep=best" in words)
    assert ("ended_early" in result(parts)["cost"]) == (name == "patience")
