import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from genbench.tracking import JsonLines, JsonlTracking, WandbTracking

CONF = Path(__file__).parents[2] / "conf" / "tracker"
CHOICES = {"model": "ddpm", "data": "digits", "conditional": "false"}
ABOUT = {"group": "g", "name": "n", "choices": CHOICES, "config": {"model": {"width": 8}}}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("auto", WandbTracking(project="genbench", required=False)),
        ("wandb", WandbTracking(project="genbench", required=True)),
        ("jsonl", JsonlTracking()),
    ],
)
def test_every_preset_builds_its_tracking(name: str, expected: object) -> None:
    assert instantiate(OmegaConf.load(CONF / f"{name}.yaml")) == expected


def test_every_preset_is_tested() -> None:
    assert {path.stem for path in CONF.glob("*.yaml")} == {"auto", "wandb", "jsonl"}


def test_an_unknown_mode_is_refused_before_a_run_begins() -> None:
    with pytest.raises(ValueError, match=r"'of'.*auto, online, offline"):
        WandbTracking(project="p", required=False, mode="of")


def test_a_resumed_run_goes_on_from_the_checkpoint_and_a_new_start_from_nothing(tmp_path: Path) -> None:
    tracker = JsonlTracking().open(tmp_path, **ABOUT)
    tracker.log({"loss": 1.0}, images_seen=1)
    state = json.loads(json.dumps(tracker.state()))
    tracker.log({"loss": 2.0}, images_seen=2)
    tracker.finish("stopped")
    JsonlTracking().open(tmp_path, **ABOUT, resume_state=state).finish("stopped")
    assert (tmp_path / "metrics.jsonl").stat().st_size == state["position"]
    JsonlTracking().open(tmp_path, **ABOUT, resume_state=None).finish("stopped")
    assert (tmp_path / "metrics.jsonl").stat().st_size == 0


@pytest.fixture
def no_wandb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)  # `import wandb` now fails as if it were not installed


@pytest.mark.usefixtures("no_wandb")
def test_without_wandb_auto_logs_json_lines_alone_and_says_so_once(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    tracker = WandbTracking(project="p", required=False).open(tmp_path, **ABOUT)
    tracker.log({"loss": 1.0}, images_seen=1)
    tracker.finish("done")
    assert isinstance(tracker, JsonLines)
    note = capsys.readouterr().err
    assert note.count("\n") == 1
    assert "metrics.jsonl alone" in note


@pytest.mark.usefixtures("no_wandb")
def test_without_wandb_a_run_that_requires_it_does_not_begin(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="wandb did not start"):
        WandbTracking(project="p", required=True).open(tmp_path, **ABOUT)


def test_building_a_tracking_imports_neither_wandb_nor_torch() -> None:
    code = (
        "import sys; from genbench.tracking import WandbTracking; WandbTracking(project='p', required=True);"
        "print(sorted({'wandb', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ))
    assert done.stdout == "[]\n", done.stderr
