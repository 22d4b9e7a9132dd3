import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from genbench.tracking import (
    MirrorRecipe,
    MlflowRecipe,
    TensorBoardRecipe,
    Tracking,
    TrackioRecipe,
    WandbRecipe,
)
from tests.conftest import Command
from tests.toys import TINY

CONF = Path(__file__).parents[2] / "conf" / "tracker"
CHOICES = {"model": "ddpm", "data": "digits", "conditional": "false"}
ABOUT = {"group": "g", "name": "n", "choices": CHOICES, "config": {"model": {"width": 8}}}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("auto", {"wandb": WandbRecipe(required=False)}),
        ("wandb", {"wandb": WandbRecipe()}),
        ("jsonl", {}),
        ("tensorboard", {"tensorboard": TensorBoardRecipe()}),
        ("mlflow", {"mlflow": MlflowRecipe()}),
        ("trackio", {"trackio": TrackioRecipe()}),
    ],
)
def test_every_preset_builds_its_tracking(name: str, expected: dict[str, MirrorRecipe]) -> None:
    assert instantiate(OmegaConf.load(CONF / f"{name}.yaml")) == Tracking(expected)


def test_every_preset_is_tested() -> None:
    names = {"auto", "wandb", "jsonl", "tensorboard", "mlflow", "trackio"}
    assert {path.stem for path in CONF.glob("*.yaml")} == names


def test_a_list_of_trackers_has_the_mirrors_and_settings_of_all() -> None:
    chosen = ["tracker=[jsonl,wandb,tensorboard,mlflow]", "tracker.mode=offline", "tracker.project=p"]
    with initialize_config_dir(str(CONF.parent), version_base="1.3"):
        cfg = compose("config", overrides=chosen)
    mirrors = {"wandb": WandbRecipe(), "tensorboard": TensorBoardRecipe(), "mlflow": MlflowRecipe()}
    assert instantiate(cfg.tracker) == Tracking(mirrors, project="p", mode="offline")


def test_an_unknown_mode_is_refused_before_a_run_begins() -> None:
    with pytest.raises(ValueError, match=r"'of'.*auto, online, offline"):
        Tracking({}, mode="of")


def test_a_resumed_run_goes_on_from_the_checkpoint_and_a_new_start_from_nothing(tmp_path: Path) -> None:
    tracker = Tracking({}).open(tmp_path, **ABOUT)
    tracker.log({"loss": 1.0}, images_seen=1)
    state = json.loads(json.dumps(tracker.state()))
    tracker.log({"loss": 2.0}, images_seen=2)
    tracker.finish("stopped")
    Tracking({}).open(tmp_path, **ABOUT, resume_state=state).finish("stopped")
    assert (tmp_path / "metrics.jsonl").stat().st_size == state["position"]
    Tracking({}).open(tmp_path, **ABOUT, resume_state=None).finish("stopped")
    assert (tmp_path / "metrics.jsonl").stat().st_size == 0


@pytest.fixture
def no_wandb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)  # `import wandb` now fails as if it were not installed


@pytest.mark.usefixtures("no_wandb")
def test_without_wandb_auto_logs_json_lines_alone_and_says_so_once(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    tracker = Tracking({"wandb": WandbRecipe(required=False)}).open(tmp_path, **ABOUT)
    tracker.log({"loss": 1.0}, images_seen=1)
    tracker.finish("done")
    assert (tmp_path / "metrics.jsonl").read_text().count("\n") == 1
    note = capsys.readouterr().err
    assert note.count("\n") == 1
    assert "metrics.jsonl without it" in note


@pytest.mark.usefixtures("no_wandb")
def test_without_wandb_a_run_that_requires_it_does_not_begin(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="wandb did not start"):
        Tracking({"wandb": WandbRecipe()}).open(tmp_path, **ABOUT)


def test_building_a_tracking_imports_neither_wandb_nor_torch() -> None:
    code = (
        "import sys; from genbench.tracking import *;"
        "Tracking({'m': MlflowRecipe(), 't': TensorBoardRecipe(), 'w': WandbRecipe()}).check();"
        "print(sorted({'wandb', 'torch', 'tensorboard', 'mlflow', 'trackio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ))
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize(
    ("library", "package"),
    [("wandb", "wandb"), ("tensorboard",) * 2, ("mlflow", "mlflow-skinny"), ("trackio",) * 2],
)
def test_a_library_that_is_missing_is_refused_by_name_before_any_work(
    library: str, package: str, main: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    words = [word for word in TINY if not word.startswith("tracker=")]
    done = main(*words, f"tracker={library}", f"runs_dir={tmp_path / 'runs'}")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"genbench: tracker={library} needs {package}, which is not installed: pip install" in done.stderr
    assert not list((tmp_path / "runs").rglob("*.json*"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("tracker=wandb", "tracker.mode=of"), "tracker.mode is 'of'"),
        (("tracker=mlflow", "tracker.artifacts=3"), "tracker.artifacts is 3; it must be true or false"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(
    words: tuple[str, ...], says: str, main: Command, tmp_path: Path
) -> None:
    done = main(*words, f"runs_dir={tmp_path / 'runs'}")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"genbench: {says}" in done.stderr
