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
from genbench.app.build import check_objective
from genbench.data import Digits, ImageData, prepare
from genbench.errors import UsageError
from genbench.metrics import FID, Metrics
from genbench.metrics.features.shipped import DigitsFeatures
from genbench.metrics.reference import reference, reference_path
from genbench.report.compare import compare
from genbench.report.formats.markdown import markdown
from genbench.report.table import Query
from genbench.runtime.context import Context
from genbench.runtime.progress import Progress
from genbench.session.validation import BITS_IMAGES, Validator, target_of, target_words
from genbench.training.loop import Trainer
from genbench.training.target import Target
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


UNTIL = "budget.until=20"


def test_a_target_makes_another_run_and_without_one_the_objective_counts_for_nothing() -> None:
    assert identity("objective=kid") == identity()
    found = [(ON, UNTIL), (ON, "budget.until=10"), (ON, UNTIL, "objective=kid")]
    assert len({identity(ON), *(identity(*words) for words in found)}) == len(found) + 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((UNTIL,), r"budget\.until=20 needs validation images: add data\.validation"),
        ((UNTIL, ON, "trainer.validate_every_images=null"), r"budget\.until=20 needs validations"),
        (
            (UNTIL, ON, "model=gan", "objective=bits_per_dim"),
            r"they measure is, fid, kid, .*: use objective=NAME",
        ),
        (
            (UNTIL, ON, "objective=fid_class"),
            "the objective fid_class, which the validations of this run do not",
        ),
        (
            (UNTIL, ON, "metrics=recent", "objective=fld"),
            r"the objective fld, .* do not measure; they measure bits_per_dim, fid, kid, .*cmmd: use",
        ),
        (
            (ON, BEST, "metrics=recent", "trainer.keep_by=cas", "conditional=true"),
            r"keep_by is 'cas' for validations, which compare with their own images alone: choose from loss",
        ),
        ((UNTIL, ON, "metrics=none"), "they measure bits_per_dim: use objective=NAME, or add scores"),
        ((UNTIL, ON, "budget.images=null"), r"budget\.until=20 may never be reached"),
    ],
)
def test_a_target_that_no_check_can_find_reached_is_refused_with_what_is_measured(
    words: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        app.build(config("device=cpu", *words))


def test_a_target_may_be_of_a_score_that_is_to_be_high() -> None:
    parts = app.build(config("device=cpu", ON, "budget.until=0.5", "objective=recall"))
    assert target_of(parts) == Target("recall", 0.5, 1)
    check_objective("recall", parts, is_asked=True)
    with pytest.raises(ValueError, match="lower must be better"):
        check_objective("recall", parts, is_asked=True, is_minimised=True)
    with pytest.raises(ValueError, match="lower must be better"):
        check_objective("recall", app.build(config("device=cpu")), is_asked=True)
    assert target_words(parts) == (
        "recall 0.5 or higher, of 200 samples against the validation images, checked every 10,000 images"
    )


@pytest.mark.slow
def test_a_run_says_when_it_reached_its_target_or_that_it_did_not(tmp_path: Path, main: Command) -> None:
    words = ("model=vae", ON, "trainer.validate_every_images=64", "trainer.evaluate_samples=20")
    few = ("metrics.samples=20", "metrics.likelihood_samples=8", "scores=[fid]", "trainer.batch_size=32")
    here = ("tracker=jsonl", "device=cpu", "precision=fp32", "budget.images=128", f"runs_dir={tmp_path}")
    small = ("network.encoder.width=8", "network.decoder.width=8", "trainer.sample_every_images=null")
    found = {}
    for until in (1e6, 1e-6):
        done = main(*words, *few, *here, *small, f"budget.until={until}")
        assert done.returncode == 0, done.stderr
        (path,) = (path for path in tmp_path.glob("*/*/result.json") if path not in found)
        found[path] = json.loads(path.read_text())["cost"]
        said = " ".join(done.stdout.split())
        assert ("reached after 64 images" if until > 1 else "not reached (last check:") in said
    reached, missed = found.values()
    assert (reached["images_seen"], missed["images_seen"]) == (64, 128)
    assert (reached["target_images_seen"], reached["target_checks"]) == (64, 1)
    assert reached["target_seconds"] <= reached["training_seconds"]
    assert ("target_seconds" in missed, missed["target_checks"]) == (False, 2)
    assert missed["checking_seconds"] > 0
    text = markdown(compare(tmp_path, Query()))
    assert "time to target" in text
    assert "not reached" in text
