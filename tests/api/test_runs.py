"""The Python interface: a run from overrides, its model, its images; silent, and the same as the verbs."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import genbench
from genbench.errors import UsageError
from tests.conftest import Command
from tests.toys import TINY

WORDS = ["model=flow_matching", "conditional=true", *TINY[:3], "solver.steps=2", *TINY[4:]]
WORDS += ["model.process.density_steps=2", "metrics.likelihood_samples=16"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> genbench.Run:
    return genbench.train([*WORDS, f"runs_dir={tmp_path_factory.mktemp('runs')}"])


def test_a_run_has_its_result_its_pictures_and_its_log(run: genbench.Run) -> None:
    assert run.status == "done"
    assert run.result.cost.images_seen == 512
    assert any(name.startswith("fid[") for name in run.result.metrics)
    assert [path for path in run.samples if path.name.startswith("samples_")]
    assert max(event.get("images_seen", 0) for event in run.log) == 512


def test_the_same_call_finds_the_finished_run_and_prints_nothing(
    run: genbench.Run, capfd: pytest.CaptureFixture[str]
) -> None:
    words = sys.argv[:]
    again = genbench.train([*WORDS, f"runs_dir={run.path.parents[1]}"])
    assert again.path == run.path
    assert capfd.readouterr() == ("", "")
    assert sys.argv == words


def test_images_are_those_of_the_verb_with_the_same_seed(
    run: genbench.Run, verb: Command, tmp_path: Path
) -> None:
    done = verb("sample", run.path, "--out", tmp_path / "x", "--n", 12, "--seed", 3, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    images = run.load(device="cpu").sample(12, seed=3)
    with np.load(tmp_path / "x" / "samples.npz") as stored:
        assert (images.array == stored["samples"]).all()
        assert images.labels is not None
        assert (images.labels == stored["labels"]).all()


def test_images_are_saved_as_a_grid_and_as_arrays(run: genbench.Run, tmp_path: Path) -> None:
    images = genbench.load(run.path, device="cpu").sample(6, label=3)
    assert images.array.shape == (6, 8, 8)
    assert images.labels is not None
    assert set(images.labels) == {3}
    assert [image.mode for image in images.to_images()] == ["L"] * 6
    with Image.open(images.save_grid(tmp_path / "grid.png", columns=3)) as grid:
        assert grid.width > grid.height
    with np.load(images.save(tmp_path / "images.npz")) as stored:
        assert (stored["samples"] == images.array).all()


def test_a_name_finds_a_run_below_runs(run: genbench.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.path.parents[2])
    (Path("runs")).symlink_to(run.path.parents[1].name) if not Path("runs").exists() else None
    model = genbench.load(run.path.name, device="cpu")
    assert model.generator.num_classes == 10
    with pytest.raises(FileNotFoundError, match="nowhere"):
        genbench.load("nowhere")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=dpm"], "dpm is not an option of model.*Did you mean ddpm"),
        (["network.widht=8"], "there is no key network.widht; near: network.width"),
        (["-m", "seed=0,1"], "-m is an option of the command line: give overrides alone"),
        (["seed=-1"], "seed is -1; it must be at least 0"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(words: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        genbench.train([*words, f"runs_dir={tmp_path / 'runs'}"])


def test_a_number_of_images_below_one_is_refused(run: genbench.Run) -> None:
    with pytest.raises(ValueError, match="n is 0 and batch_size 64; both must be at least 1"):
        run.load(device="cpu").sample(0)


def test_a_seed_below_zero_is_refused(run: genbench.Run) -> None:
    with pytest.raises(ValueError, match="seed is -1; it must be at least 0"):
        run.load(device="cpu").sample(1, seed=-1)


def test_importing_genbench_loads_nothing_and_offers_its_names() -> None:
    script = (
        "import sys, genbench; print('torch' in sys.modules, set(genbench.__all__) <= set(dir(genbench)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False True\n"
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = genbench.trian  # type: ignore[attr-defined]
