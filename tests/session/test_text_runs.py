"""Runs conditional on text, from captions in a folder to a report."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image
from sklearn.datasets import load_digits

from genbench.records.texts import read_prompts
from tests.conftest import Command
from tests.toys import TINY

pytestmark = pytest.mark.slow  # ten seconds of CPU time

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits with captions, in folders by class, so that they have labels too."""
    root = tmp_path_factory.mktemp("digits")
    lines = []
    images, labels = load_digits(return_X_y=True)
    for i, (image, label) in enumerate(zip(images[:200], labels.tolist(), strict=False)):
        file = root / WORDS[label] / f"{i:03}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray((image.reshape(8, 8) * 15).astype("uint8")).save(file)
        lines.append({"file_name": str(file.relative_to(root)), "text": f"a {WORDS[label]}"})
    (root / "metadata.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return root


@pytest.fixture(scope="module")
def run(folder: Path, main: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    data = ("data=image_folder", f"data.root={folder}", "data.size=8", "data.channels=1")
    scores = ("features=digits", "scores=[fid,fid_class]", "metrics.samples=40", "trainer.keep=best")
    often = ("trainer.validate_every_images=64", "trainer.keep_by=fid", "trainer.evaluate_samples=20")
    words = [word for word in TINY if not word.startswith(("budget", "metrics.samples", "sampler"))]
    small = ("budget.images=128", "sampler.steps=2", "schedule.T=10", "trainer.animation=null")
    more = ("text=small", "data.validation=0.2", "metrics.likelihood_samples=8", f"runs_dir={runs}")
    done = main(*words, *data, *scores, *often, *small, *more)
    assert done.returncode == 0, done.stdout + done.stderr
    told = " ".join(done.stdout.split())
    assert re.search(r"captions, \d+ for validation\), text prompts \(small\)", told)
    (found,) = (runs / "default").iterdir()
    return found


def test_captions_are_no_classes_of_scores(run: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    kinds = {name.partition("[")[0] for name in result["metrics"]}
    assert "fid" in kinds
    assert "fid_class" not in kinds
    assert result["likelihood"]["n"] == 8
    assert result["likelihood"]["bits_per_dim"] > 0


def test_validations_take_the_captions_of_validation_images(run: Path) -> None:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    names = {name for line in lines for name in line if name.startswith("validation/")}
    assert {"validation/loss", "validation/bits_per_dim"} <= names
    assert any(name.startswith("validation/fid[") and "ref=validation" in name for name in names)


def test_the_grid_has_captions_of_held_out_images(run: Path) -> None:
    prompts = read_prompts(run / "samples" / "prompts.txt")
    assert len(set(prompts)) == len(prompts) == 8
    assert set(prompts) <= {f"a {word}" for word in WORDS}


def test_a_later_evaluation_measures_what_the_run_did(run: Path, verb: Command) -> None:
    done = verb("evaluate", run, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    line = json.loads((run / "evaluations.jsonl").read_text())
    result = json.loads((run / "result.json").read_text())
    own = {name: value for name, value in result["metrics"].items() if not name.endswith((",raw]", ",best]"))}
    assert line["metrics"] == own
    assert line["likelihood"]["bits_per_dim"] == result["likelihood"]["bits_per_dim"]


def test_the_model_is_not_evaluated_on_data_without_captions(run: Path, verb: Command) -> None:
    done = verb("evaluate", run, "--data", "digits", "--device", "cpu")
    assert done.returncode == 2
    assert "a model conditional on text needs captions, and digits has none" in done.stderr


def test_its_samples_are_evaluated_with_their_captions(
    run: Path, folder: Path, verb: Command, tmp_path: Path
) -> None:
    words = ("--prompts", run / "samples" / "prompts.txt", "--n", 40, "--device", "cpu")
    done = verb("sample", run, "--out", tmp_path / "x", *words)
    assert (done.returncode, done.stderr) == (0, "")  # all words are known
    data = ("--data", "image_folder", "--data-root", folder, "--device", "cpu")
    settings = ("data.size=8", "data.channels=1", "features=digits", "scores=[fid,fid_class]")
    options = [word for setting in settings for word in ("--set", setting)]
    done = verb("evaluate", tmp_path / "x", *data, *options, "--record", tmp_path / "r", "--as", "mine")
    assert done.returncode == 0, done.stderr
    (row,) = (tmp_path / "r").iterdir()
    result = json.loads((row / "result.json").read_text())
    assert not any(name.startswith("fid_class") for name in result["metrics"])
    assert result["choices"]["text"] == "given"


def test_reports_say_that_it_is_of_text_and_show_its_prompts(
    run: Path, verb: Command, tmp_path: Path
) -> None:
    done = verb("report", run.parent, "--format", "md")
    assert done.returncode == 0, done.stderr
    assert "text prompts (small)" in done.stdout
    file = run / "samples" / "prompts.txt"
    before = file.read_text()
    file.write_text(f"{before}<script>alert(1)</script> & \x1b[31m\n")
    done = verb("report", run.parent, "--out", tmp_path / "r.html")
    file.write_text(before)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "r.html").read_text()
    assert f"<li>{before.splitlines()[0]}</li>" in page
    assert r"<li>&lt;script&gt;alert(1)&lt;/script&gt; &amp; \x1b[31m</li>" in page
