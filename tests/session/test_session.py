"""Runs on very few images, from their beginning to their result."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Command

QUICK = ("data.size=8", "data.channels=1", "data.flip=false", "budget.images=128", "metrics=likelihood")
HERE = ("device=cpu", "precision=fp32", "tracker=jsonl", "trainer.sample_every_images=null")


def few(folder: Path, *, train: int, test: int) -> Path:
    """A folder of so many grey images of 8 x 8 pixels."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("test", test)):
        (folder / split).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / split / f"{number}.png")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("model", ["vae", "flow", "autoencoder", "vqvae", "latent_diffusion"])
@pytest.mark.parametrize(("train", "test"), [(1, 1), (3, 7), (20, 2)])
def test_models_with_codes_run_whole_on_few_images(
    model: str, train: int, test: int, tmp_path: Path, main: Command
) -> None:
    root = few(tmp_path / "images", train=train, test=test)
    words = (f"model={model}", "data=image_folder", f"data.root={root}", f"runs_dir={tmp_path / 'runs'}")
    done = main(*words, *QUICK, *HERE)
    assert (done.returncode, done.stderr) == (0, "")
    (path,) = (tmp_path / "runs").glob("*/*/result.json")
    result = json.loads(path.read_text())
    assert result["cost"]["training_flops"] > 0
    assert result["reconstruction"]["n"] in (test, None)  # a flow is inverted, and has no error
    names = {picture.name.partition("_0")[0] for picture in (path.parent / "samples").iterdir()}
    assert names >= {"samples", "reconstructions", "interpolation"}


def test_a_run_begun_with_a_larger_batch_than_its_budget_can_be_ended(
    tmp_path: Path, main: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = few(tmp_path / "images", train=3, test=3)
    words = ("model=autoencoder", "data=image_folder", f"data.root={root}", f"runs_dir={tmp_path / 'runs'}")
    words = (*words, *QUICK[:3], *HERE, "metrics=none", "budget.images=16", "trainer.batch_size=64")
    assert "a single step would overrun budget.images=16" in main(*words).stderr
    with monkeypatch.context() as earlier:  # a version that did not look at the budget
        earlier.setattr("genbench.session.session.check_times", lambda *_: None)
        assert main(*words).returncode == 0
    (path,) = (tmp_path / "runs").glob("*/*/result.json")
    path.unlink()
    done = main(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert path.exists()
