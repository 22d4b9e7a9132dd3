"""Runs that retain their best weights: evaluated beside the last by the whole protocol."""

import json
import shutil
from pathlib import Path

import pytest

from genbench.records.metric_name import MetricName
from tests.conftest import Command
from tests.toys import TINY

WORDS = (
    *(*TINY, "model=vae", "data.validation=0.1", "trainer.keep=best", "trainer.validate_every_images=512"),
    *("network.encoder.width=8", "network.decoder.width=8", "metrics.likelihood_samples=8"),
    *("scores=[fid,is]",),
)
WORDS = tuple(word for word in WORDS if not word.startswith(("network.width", "network.blocks", "sampler")))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, main: Command) -> Path:
    """A run whose only validation is at its end, so that best.pt holds the weights of last.pt."""
    folder = tmp_path_factory.mktemp("runs")
    done = main(*WORDS, f"runs_dir={folder}")
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*/*/result.json")
    return path.parent


def test_where_the_best_weights_are_the_last_their_numbers_are_equal(run: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    values = {MetricName.parse(text): value for text, value in result["metrics"].items()}
    last = {name: value for name, value in values.items() if name.of == "ema"}
    assert len(last) > 4
    assert {name.of_images("best"): value for name, value in last.items()} == {
        name: value for name, value in values.items() if name.of == "best"
    }
    assert result["best_likelihood"] == result["likelihood"]
    log = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    (loss,) = [event["validation/loss"] for event in log if "validation/loss" in event]
    assert result["best"] == {"images_seen": 512, "by": "loss", "value": loss}


@pytest.mark.parametrize("damage", ["damaged", pytest.param("gone", marks=pytest.mark.slow)])
def test_a_lost_file_of_best_weights_costs_a_trained_run_their_numbers_alone(
    damage: str, run: Path, tmp_path: Path, main: Command
) -> None:
    whole = json.loads((run / "result.json").read_text())
    shutil.copytree(run, tmp_path / "runs" / run.parent.name / run.name)
    copy = tmp_path / "runs" / run.parent.name / run.name
    (copy / "result.json").unlink()
    best = copy / "checkpoints" / "best.pt"
    if damage == "gone":
        best.unlink()
    else:
        best.write_bytes(best.read_bytes()[:-100])
    done = main(*WORDS, f"runs_dir={tmp_path / 'runs'}")
    assert done.returncode == 0, done.stderr
    assert "the best weights are not evaluated: " in done.stderr
    found = json.loads((copy / "result.json").read_text())
    assert "best" not in found
    assert found["metrics"] == {
        name: x for name, x in whole["metrics"].items() if not name.endswith(",best]")
    }
