"""`genbench.evaluate`: the same images score the same in whatever way they are given; silent."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import genbench
from genbench.data import Digits
from genbench.errors import Failure
from tests.conftest import Command

FID = ["scores=[fid]"]
PAIRS = list(Digits().decode("test"))[:60]
IMAGES, LABELS = np.stack([image[..., 0] for image, _ in PAIRS]), np.array([label for _, label in PAIRS])


def scored(images: object) -> dict[str, float]:
    return genbench.evaluate(images, settings=[*FID, "metrics.samples=60"], device="cpu")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def expected() -> dict[str, float]:
    return scored(IMAGES)


def test_scores_have_the_names_of_results(expected: dict[str, float]) -> None:
    assert expected["fid[digits-cnn-v1,n=60,ref=train,given]"] > 0
    assert "fid[digits-cnn-v1,n=60,ref=train,test]" in expected


def folder_of_images(path: Path) -> Path:
    path.mkdir()
    for number, image in enumerate(IMAGES):
        Image.fromarray(image).save(path / f"{number}.png")
    return path


@pytest.mark.parametrize("way", ["Images", "samples", "arr_0", ".npy", ".pt", "folder", "function"])
def test_the_same_images_score_the_same_however_they_are_given(
    way: str, expected: dict[str, float], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "samples.npz", samples=IMAGES)
    np.savez(tmp_path / "adm.npz", IMAGES[..., None])
    np.save(tmp_path / "x.npy", IMAGES)
    torch.save(torch.from_numpy(IMAGES), tmp_path / "x.pt")
    images = {
        "Images": genbench.Images(IMAGES),
        "samples": tmp_path / "samples.npz",
        "arr_0": str(tmp_path / "adm.npz"),
        ".npy": tmp_path / "x.npy",
        ".pt": tmp_path / "x.pt",
        "folder": folder_of_images(tmp_path / "folder"),
        "function": lambda n, seed: IMAGES[:n],
    }
    before = sorted(tmp_path.rglob("*"))
    assert scored(images[way]) == expected
    assert sorted(tmp_path.rglob("*")) == before
    assert capfd.readouterr() == ("", "")


def test_labels_of_images_reach_the_scores(tmp_path: Path) -> None:
    by_name = genbench.Images(IMAGES, LABELS)
    np.savez(tmp_path / "adm.npz", IMAGES, LABELS)
    settings = ["scores=[fid_class]"]
    found = [
        genbench.evaluate(each, settings=settings, device="cpu") for each in (by_name, tmp_path / "adm.npz")
    ]
    assert found[0] == found[1]
    assert any(name.startswith("fid_class[") for name in found[0])


@pytest.mark.parametrize(
    ("images", "settings", "message"),
    [
        (IMAGES / 255, FID, "images has dtype float64.*must be uint8"),
        (genbench.Images(IMAGES, LABELS + 9), FID, "labels range from"),
        (IMAGES[:1], FID, "there is 1 image"),
        (IMAGES, ["scores=[fdi]"], "fdi is not an option of scores"),
        (IMAGES, ["model=gan"], "model=gan is not a setting of an evaluation"),
        ("nowhere", FID, "nowhere is neither a run, nor a folder of images"),
        (len, FID, r"len\(obj, /\) cannot be called as len\(n, seed\)"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(images: object, settings: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        genbench.evaluate(images, settings=settings, device="cpu")  # type: ignore[arg-type]


def test_what_holds_no_images_is_refused_by_its_type() -> None:
    with pytest.raises(TypeError, match="images is a list; it must be Images"):
        genbench.evaluate([1, 2])  # type: ignore[arg-type]


def test_a_data_set_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValueError, match=r"digit is not an option of data: choose from .*digits"):
        genbench.evaluate(IMAGES, "digit")


def test_an_error_of_the_function_is_a_failure() -> None:
    with pytest.raises(Failure, match=r"<lambda>.* raised ZeroDivisionError.*test_evaluation\.py, line"):
        scored(lambda n, seed: n / 0)


def test_the_verb_imports_a_function_from_the_current_folder(
    verb: Command, expected: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "images.npy", IMAGES)
    (tmp_path / "own_sampler.py").write_text(
        "import numpy\n\ndef draw(n, seed):\n    return numpy.load('images.npy')[:n]\n"
        "\n\ndef broken(n, seed):\n    return draw(n, seed) / nothing\n"
    )
    (tmp_path / "own_broken.py").write_text("x = 1\ny = x / 0\n")
    (tmp_path / "own_missing.py").write_text("import no_such_module_here\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])  # which the verb adds to
    options = ("--data", "digits", "--device", "cpu", "--set", "scores=[fid]", "--set", "metrics.samples=60")
    done = verb("evaluate", "own_sampler:draw", *options)
    assert done.returncode == 0, done.stderr
    name = "fid[digits-cnn-v1,n=60,ref=train,given]"
    assert f'"{name}": {expected[name]}' in (tmp_path / "own_sampler.draw.evaluations.jsonl").read_text()
    for target, message in (
        (
            "own_sampler:broken",
            "raised NameError: name 'nothing' is not defined (own_sampler.py, line 8, in broken)",
        ),
        (
            "own_broken:draw",
            "importing own_broken raised ZeroDivisionError: division by zero (own_broken.py, line 2)",
        ),
        ("own_missing:draw", "importing own_missing raised ModuleNotFoundError: No module named 'no_such"),
    ):
        done = verb("evaluate", target, *options)
        assert done.returncode == 1
        assert message in done.stderr
