"""Validation of whole runs: what is refused, what a run is called, and what its validations say."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from genbench import app
from genbench.data import Digits, ImageData, prepare
from genbench.metrics import FID, Metrics
from genbench.metrics.features.shipped import DigitsFeatures
from genbench.metrics.reference import reference, reference_path
from genbench.runtime.context import Context
from genbench.runtime.progress import Progress
from genbench.session.validation import BITS_IMAGES, Validator
from genbench.training.loop import Trainer
from tests.conftest import Command

ROOT = Path(__file__).resolve().parents[2]
ON = "data.validation=0.1"
BEST = "trainer.keep=best"


def config(*words: str) -> DictConfig:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", overrides=["tracker=jsonl", *words])


def identity(*words: str) -> str:
    return app.identity(config(*words))


def test_a_run_with_validation_images_is_another_one_and_keys_that_do_nothing_count_for_nothing() -> None:
    plain = identity()
    assert identity("trainer.validate_every_images=5") == plain
    assert identity("trainer.keep_by=fid") == plain
    found = [
        *((ON,), ("data.validation=0.2",), (ON, "trainer.validate_every_images=5")),
        *((ON, BEST), (ON, BEST, "trainer.keep_by=fid"), (ON, "trainer.patience=2")),
        (ON, "trainer.patience=2", "trainer.keep_by=fid"),
    ]
    assert len({plain, *(identity(*words) for words in found)}) == len(found) + 1
    assert identity(ON, "trainer.keep_by=fid") == identity(ON)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    cache = tmp_path_factory.mktemp("cache")
    return prepare(Digits(validation=0.1), cache=cache, progress=Progress(None))


def test_scores_compare_with_the_whole_training_split_whether_a_part_is_set_aside_or_not(
    digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path))
    cpu = torch.device("cpu")
    extractor = DigitsFeatures().build(digits, device=cpu, progress=Progress(None))
    plain = replace(digits, train=digits.whole_train, validation=None, undivided=None)
    for split in ("train", "test"):
        assert reference_path(extractor, plain, split) == reference_path(extractor, digits, split)
    found = reference(extractor, digits, split="validation", device=cpu, progress=Progress(None))
    assert digits.validation is not None
    assert found.moments.n == len(found.images) == len(digits.validation) == 144
    with pytest.raises(ValueError, match="choose from train, test"):
        reference(extractor, plain, split="validation", device=cpu, progress=Progress(None))


def test_bits_are_those_of_the_validation_images_and_a_score_names_them(
    digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path))
    model = app.build(config("model=vae", "device=cpu")).model.eval()
    metrics = Metrics(DigitsFeatures(), scores=[FID()])
    trainer = Trainer(keep="best", keep_by="fid", evaluate_samples=64)
    validator = Validator(digits, metrics, trainer, Context(torch.device("cpu")))
    before = torch.get_rng_state()
    found = validator(model)
    assert torch.equal(torch.get_rng_state(), before)
    assert found == validator(model)
    assert list(found) == ["bits_per_dim", "fid[digits-cnn-v1,n=64,ref=validation,ema]"]
    assert validator.held_out.n == BITS_IMAGES
    assert digits.validation is not None
    seen = [
        validator.held_out.data.test.gather(validator.held_out.order[:BITS_IMAGES], torch.device("cpu"))[0]
    ]
    assert all(any(torch.equal(x, y) for y in digits.validation.images) for x in seen[0][:5])


@pytest.mark.slow
def test_a_run_keeps_its_best_weights_and_says_that_it_ended_early(tmp_path: Path, main: Command) -> None:
    words = ("model=vae", ON, BEST, "trainer.keep_by=fid", "trainer.patience=1", "optim.lr=0.3")
    few = ("trainer.validate_every_images=256", "metrics.samples=40", "metrics.likelihood_samples=20")
    here = ("tracker=jsonl", "device=cpu", "precision=fp32", "budget.images=8192", f"runs_dir={tmp_path}")
    done = main(*words, *few, *here, "trainer.sample_every_images=null")
    assert done.returncode == 0, done.stderr
    assert "The training ended early" in done.stdout
    (path,) = tmp_path.glob("*/*/result.json")
    result = json.loads(path.read_text())
    assert "trainer.patience=1" in result["cost"]["ended_early"]
    assert result["cost"]["images_seen"] < 8192
    lines = [json.loads(line) for line in (path.parent / "metrics.jsonl").read_text().splitlines()]
    name = "validation/fid[digits-cnn-v1,n=200,ref=validation,ema]"
    values = {line["images_seen"]: line[name] for line in lines if name in line}
    best = torch.load(path.parent / "checkpoints" / "best.pt", weights_only=True)
    assert best["best"]["value"] == min(values.values()) == values[best["images_seen"]]
    assert all(math.isfinite(line["validation/bits_per_dim"]) for line in lines if name in line)
