"""`genbench evaluate` and `genbench selfcheck` as a user calls them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from genbench import app
from genbench.cli import evaluate as cli_evaluate
from genbench.data import Digits
from genbench.evaluation.given_images import read as read_given
from genbench.evaluation.reevaluate import Reevaluation, check_fits
from genbench.metrics import FID, DigitsFeatures, Manifold, Metrics, selfcheck
from genbench.metrics.selfcheck import Check, check_all, verdict_table
from genbench.records.json_lines import append_line
from genbench.report.data_frame import cells
from genbench.report.runs import read
from genbench.runtime.context import Context
from genbench.runtime.progress import Progress
from tests.conftest import Make
from tests.toys import toy_model

CPU = torch.device("cpu")
OVERRIDES = ("network.width=8", "network.blocks=1", "sampler.steps=3", "metrics.samples=40")
FEW = ("--set", "scores=[fid,kid]", "--set", "metrics.likelihood_samples=8")


def evaluate(*words: str) -> str:
    """Return the output of the verb; raises what it raises."""
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


def test_an_evaluation_says_of_which_training_it_is_and_joins_the_result_of_that_alone(run: Path) -> None:
    evaluate(str(run), *FEW)
    (record,) = records(run / "evaluations.jsonl")
    assert (record["identity"], record["images_seen"], record["seed"]) == ("identity", 64, 0)
    assert record["weights"] == "ema"
    name = "fid[digits-cnn-v1,n=40,ref=train,ema]"
    result = {"genbench": "0", "identity": "identity", "seed": 0, "data_key": record["data_key"]}
    for images, expected in ((64, record["metrics"][name]), (128, None)):  # 128: it was trained further
        content = result | {"cost": {"images_seen": images}}
        (run / "result.json").write_text(json.dumps(content))
        assert cells(read(run).frame, name) == [expected]


def test_a_record_begins_a_new_line_after_a_torn_one(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    append_line({"a": 1}, path)
    with path.open("a") as file:
        file.write('{"torn')
    append_line({"a": 2}, path)
    append_line({"a": 3}, path)
    assert path.read_text().splitlines() == ['{"a": 1}', '{"torn', '{"a": 2}', '{"a": 3}']


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
        assert given == pytest.approx(held_out, abs=1e-6)  # in other batches float32 rounds otherwise
        assert record["likelihood"] is None


def test_images_score_the_same_however_they_lie_in_memory_and_in_batches_of_any_size(tmp_path: Path) -> None:
    """The training images lie on the spheres of their like, where the last digit of a feature counts."""
    whole, by_seven = (
        Reevaluation(
            Digits(), Metrics(DigitsFeatures(), scores=[FID(), Manifold()], batch_size=size), Context(CPU)
        )
        for size in (256, 7)
    )

    def scores(again: Reevaluation, samples: np.ndarray) -> dict[str, float]:
        np.savez(tmp_path / "x.npz", samples=samples)
        given = read_given(tmp_path / "x.npz", shape=(1, 8, 8), num_classes=10)
        return again.evaluator(captions=False).score_given(given)

    images = np.stack([image[..., 0] for image, _ in Digits().decode("train")])
    expected = scores(whole, images)
    density = expected[f"density[digits-cnn-v1,n={len(images)},k=5,ref=train,given]"]
    assert density == pytest.approx(6 / 5, abs=0.01)  # each ball holds its own centre; some images are twins
    for samples in (images[..., None], np.asfortranarray(images[..., None])):
        assert scores(whole, samples) == expected
    for name, value in scores(by_seven, images).items():
        counted = name.startswith(("precision", "recall", "density", "coverage"))
        assert value == (expected[name] if counted else pytest.approx(expected[name], abs=1e-5))


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


@pytest.mark.slow
def test_the_same_images_score_the_same_to_the_digit_however_they_are_given(
    tmp_path: Path,
) -> None:
    """[N, H, W], [N, H, W, 1], a folder of PNG files in the order of the array, and folders of classes."""
    images, labels = zip(*Digits().decode("test"), strict=True)
    order = np.argsort(np.array(labels), kind="stable")  # as the folders of classes sort them
    grey, asked = np.stack(images)[order][..., 0], np.array(labels)[order]
    np.savez(tmp_path / "plain.npz", samples=grey)
    np.savez(tmp_path / "axis.NPZ.npz", samples=grey[..., None])
    (tmp_path / "axis.NPZ.npz").rename(tmp_path / "axis.NPZ")
    np.savez(tmp_path / "labelled.npz", samples=grey[..., None], labels=asked)
    for number, (image, label) in enumerate(zip(grey, asked, strict=True)):
        for path in (
            tmp_path / "folder" / f"{number}.png",
            tmp_path / "classes" / str(label) / f"{number}.png",
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    scores = "scores=[is,fid,kid,precision_recall,fid_gap,nearest,authenticity,swd,fid_class]"
    found, printed = dict[str, dict](), dict[str, str]()
    for name in ("plain.npz", "axis.NPZ", "folder", "labelled.npz", "classes"):
        said = evaluate(str(tmp_path / name), "--data", "digits", "--set", scores)
        printed[name] = said.partition("appended to")[0]
        (record,) = records(tmp_path / f"{name.partition('.')[0]}.evaluations.jsonl")
        found[name] = {key: value for key, value in record.items() if key not in ("target", "when")}
    assert len(found["plain.npz"]["metrics"]) > 20
    assert found["plain.npz"] == found["axis.NPZ"] == found["folder"]
    assert printed["plain.npz"] == printed["axis.NPZ"] == printed["folder"]
    assert found["labelled.npz"] == found["classes"]
    assert printed["labelled.npz"] == printed["classes"]
    assert any(name.startswith("fid_class") for name in found["classes"]["metrics"])
    same = found["plain.npz"]["metrics"].items() - found["classes"]["metrics"].items()
    assert same == set()  # labels add scores, and change none


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "choose the data set to compare it with by --data"),
        (["--data", "digits", "--features", "none.pth"], "--features is 'none.pth'"),
        (["--data", "digits", "--metrics", "best"], "--metrics is 'best': choose from"),
        (["--data", "nothing"], "--data is 'nothing': choose from"),
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
    assert len([check for check in found if not check.skipped]) >= 25
    assert all("--data-root" in check.skipped for check in found[-2:])


def test_a_miss_is_red_and_exit_code_one(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = [Check("x", 1.0, 1.1, 0.05), Check("y", 1.0, float("nan"), 0.05), Check("z", 1.0, 1.04, 0.05)]
    assert [check.missed for check in checks] == [True, True, False]
    assert verdict_table(checks).row_count == 3
    monkeypatch.setattr(selfcheck, "closed_forms", lambda: iter(checks))
    done = CliRunner().invoke(cli_evaluate.verbs, ["selfcheck"])
    assert done.exit_code == 1
    assert "missed" in done.output


@pytest.mark.parametrize("given", ["data_root", "weights"])
def test_what_is_given_to_selfcheck_must_do(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for checks in ("closed_forms", "other_implementations"):
        monkeypatch.setattr(selfcheck, checks, lambda: iter(()))
    options = {"data_root": None, "weights": None, given: str(tmp_path / "none")}
    with pytest.raises(FileNotFoundError, match="none"):
        check_all(**options, device=torch.device("cpu"), progress=Progress(None))


def test_a_setting_of_one_metric_leaves_the_others_of_the_run(made: Make) -> None:
    run = made(*OVERRIDES, "scores=[fid,kid]", "data.binarize=true", "metrics.likelihood_samples=8", "seed=3")
    source, metrics, seed = app.measuring(["metrics.samples=100"], of_run=run)
    assert ([score.key for score in metrics.scores], metrics.samples) == (["fid", "kid"], 100)
    assert (source.name, metrics.likelihood_samples, seed) == ("digits_binary", 8, 3)
    _, metrics, _ = app.measuring(["scores=[is]"], of_run=run)
    assert ([score.key for score in metrics.scores], metrics.samples) == (["is"], 40)
    source, metrics, _ = app.measuring(["++data.binarize=false"], of_run=run)
    assert (source.name, [score.key for score in metrics.scores]) == ("digits", ["fid", "kid"])


def test_another_option_of_metrics_takes_the_place_of_all_that_the_run_had(made: Make) -> None:
    run = made(*OVERRIDES, "scores=[fid,kid]")
    _, metrics, _ = app.measuring(["metrics=likelihood"], of_run=run)
    assert list(metrics.scores) == []
    _, metrics, _ = app.measuring(["metrics=full"], of_run=run)
    assert len(metrics.scores) > 4


def test_without_the_run_s_words_only_what_is_recorded_stands(run: Path) -> None:
    (run / ".hydra" / "overrides.yaml").unlink()
    _, metrics, seed = app.measuring(["seed=5"], of_run=run)
    assert (metrics.samples, seed) == (40, 5)
    with pytest.raises(ValueError, match=r"overrides\.yaml is lost"):
        app.measuring(["metrics.samples=100"], of_run=run)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("optim.lr=5", "choose from data, features, metrics, more_features, scores, seed"),
        ("++model.process=1", "not a setting of an evaluation"),
        ("~trainer", "not a setting of an evaluation"),
        ("~metrics", "an evaluation needs metrics"),
        ("++metrics.sample=5", "metrics.sample is unknown"),
        ("seed=-1", "must be at least 0"),
        ("seed=x", "seed is 'x'"),
    ],
)
def test_words_that_no_measurement_has_are_refused(word: str, message: str, run: Path) -> None:
    with pytest.raises(ValueError, match=message):
        app.measuring([word], of_run=run)


def test_a_model_that_does_not_fit_the_data_is_refused_before_it_draws() -> None:
    source, _, _ = app.measuring(["data=digits"])
    with pytest.raises(ValueError, match=r"the model draws images of \(1, 4, 4\), digits has \(1, 8, 8\)"):
        check_fits(toy_model(), source)
    source.shape = (1, 4, 4)
    check_fits(toy_model(), source)
    check_fits(toy_model(10), source)
    with pytest.raises(ValueError, match="conditional on 3 classes, digits has 10"):
        check_fits(toy_model(3), source)


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_measured(run: Path) -> None:
    for out, message in (
        (run, "not a regular file"),
        (run / "none" / "x.jsonl", "in a folder that does not exist"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate(str(run), "--out", str(out))
