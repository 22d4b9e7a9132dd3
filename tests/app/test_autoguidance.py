"""Guidance by the model of another run: built, recorded by its weights, loaded again, swept and exported."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from genbench import app
from genbench.cli import main as cli
from genbench.errors import UsageError
from tests.conftest import ROOT, Make

SMALL = ("network.width=8", "network.blocks=1", "sampler=ddim", "sampler.steps=3", "metrics.samples=32")


def config(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", overrides=[*overrides, "device=cpu"])


def taken(run: Path) -> tuple[str, str]:
    """Overrides that guide by a run."""
    return "guidance=auto", f"guidance.guide.run_dir={run}"


def test_a_run_guides_another_without_being_trained_and_its_weights_are_the_states(made: Make) -> None:
    guide = made(*SMALL)
    model = app.build(config(*SMALL, *taken(guide))).model
    assert model.phases == ("net",)
    theirs = app.load(guide, device="cpu").network.state_dict()
    own = model.process.guidance.network.state_dict()
    assert all(torch.equal(own[name], value) for name, value in theirs.items())


def test_the_identity_follows_from_the_guides_weights_and_not_from_their_place(
    made: Make, tmp_path: Path
) -> None:
    guide, other = made(*SMALL), tmp_path / "moved"
    shutil.copytree(guide, other)
    named = [app.identity(config(*SMALL, *taken(run))) for run in (guide, other)]
    assert named[0] == named[1] != app.identity(config(*SMALL))
    state = torch.load(other / "checkpoints" / "last.pt", weights_only=True)
    torch.save(state | {"images_seen": 128}, other / "checkpoints" / "last.pt")
    assert app.identity(config(*SMALL, *taken(other))) != named[0]


def test_a_guided_run_is_loaded_swept_over_scales_and_exported(made: Make, tmp_path: Path) -> None:
    run = made(*SMALL, *taken(made(*SMALL, "network.patch=2")))
    words = ("sampler-sweep", run, "--scales", "1,3", "--n", "20", "--out", tmp_path / "s", "--device", "cpu")
    cli.app([*map(str, words)], standalone_mode=False)
    table = pd.read_csv(tmp_path / "s" / "table.csv")
    assert table["guidance.scale"].tolist() == [1, 3]
    assert table["passes"].tolist() == [3, 6]
    cli.app(["export", str(run), "--out", str(tmp_path / "e"), "--device", "cpu"], standalone_mode=False)
    one, two = (app.load(place, device="cpu") for place in (run, tmp_path / "e"))
    images = [model.sample(2, rng=torch.Generator().manual_seed(0)) for model in (one, two)]
    assert torch.equal(*images)
    assert str(run.parent) not in (tmp_path / "e" / "genbench.json").read_text()


@pytest.mark.parametrize(
    ("guide", "main", "message"),
    [
        (
            ("model=vae", "network.encoder.width=8", "network.decoder.width=8"),
            (),
            "is no model of diffusion or flow matching",
        ),
        (SMALL, ("conditional=true",), "guidance.guide has 0 classes, and this model 10"),
        (SMALL, ("schedule=linear",), "the schedule of guidance.guide is another one"),
        (
            (*SMALL, "process=variance_exploding", "sampler=ddim"),
            (),
            "the schedule of guidance.guide is",
        ),
        (
            (*SMALL, "data=gaussians", "data.size=4"),
            (),
            r"draws images of \(1, 4, 4\), and this",
        ),
        (SMALL, ("guidance.guide.sha256=abc",), "sha256 is abc, which is not that of the weights"),
        (SMALL, ("guidance.scale=-1",), "guidance.scale is -1"),
    ],
)
def test_what_does_not_fit_is_refused_when_the_model_is_built(
    made: Make, guide: tuple[str, ...], main: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        app.build(config(*SMALL, *taken(made(*guide)), *main))


def test_a_run_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none is not a directory: give the directory of a run"):
        app.build(config(*SMALL, *taken(tmp_path / "none")))
    recorded = OmegaConf.to_container(config(*SMALL, *taken(tmp_path / "none")), resolve=True)
    assert isinstance(recorded, dict)
    assert recorded["guidance"]["guide"]["sha256"] is None
