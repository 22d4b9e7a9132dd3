"""Consistency tuning: a training that begins with the weights of a run, and counts what that run took."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from genbench import app
from genbench.app.run_names import identity
from genbench.errors import UsageError
from genbench.report.one_run import row
from tests.conftest import Command, Make
from tests.test_conf import ROOT

TINY = (
    *("network.width=8", "network.blocks=1", "network.multipliers=[1]", "budget.images=128", "tracker=jsonl"),
    *("metrics=none", "trainer.animation=null", "device=cpu", "precision=fp32"),
)


def config(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", overrides=["model=consistency", *TINY, *overrides])


@pytest.fixture(scope="module")
def flow(main: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run of a flow."""
    folder = tmp_path_factory.mktemp("runs")
    assert main("model=flow_matching", *TINY, f"runs_dir={folder}").returncode == 0
    return next(folder.glob("default/*"))


def test_the_network_begins_with_the_averaged_weights_of_the_run(flow: Path) -> None:
    model, teacher = app.build(config(f"init.run_dir={flow}")).model, app.load(flow, device="cpu")
    for name, value in teacher.network.state_dict().items():
        assert torch.equal(model.network.state_dict()[name], value)
    assert all(p.requires_grad for p in model.network.parameters())


def test_an_identity_follows_from_the_weights_and_not_from_their_place(flow: Path, tmp_path: Path) -> None:
    moved, other = (shutil.copytree(flow, tmp_path / name) for name in ("moved", "other"))
    with (other / "checkpoints" / "last.pt").open("ab") as file:
        file.write(b"\0")
    of_flow, of_moved, of_other = (identity(config(f"init.run_dir={run}")) for run in (flow, moved, other))
    assert of_flow == of_moved != of_other
    assert of_flow != identity(config())


def test_the_cost_of_the_run_is_part_of_the_cost_and_its_directory_is_needed_no_more(
    main: Command, flow: Path, tmp_path: Path
) -> None:
    start = shutil.copytree(flow, tmp_path / "start")
    done = main("model=consistency", *TINY, f"init.run_dir={start}", f"runs_dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert "128 images in" in done.stdout
    assert "after 128 images in" in done.stdout
    run = next(tmp_path.glob("default/*"))
    result = json.loads((run / "result.json").read_text())
    own, first = result["cost"], json.loads((flow / "result.json").read_text())["cost"]
    assert (own["start_images"], own["start_seconds"]) == (128, first["training_seconds"])
    assert own["training_seconds"] > own["start_seconds"]
    # One more answer than flow matching, without its gradient
    assert own["training_flops"] == pytest.approx(own["start_flops"] * (1 + 4 / 3), rel=1e-2)
    assert row(result)["budget"] == "128 images after 128 images"
    shutil.rmtree(start)
    assert app.load(run, device="cpu").sample(2).isfinite().all()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("network.width=16",), r"whose network differs from this one in \d+ weights, the first"),
        (("process=mean_flow",), "was trained by FlowMatching, and this one is trained by MeanFlow"),
        (("init.fingerprint=abc",), "init.fingerprint is abc, which is not that of"),
        (("init.run_dir=nowhere",), "init.run_dir is nowhere, which is not a directory: give"),
        (("init.run_dir=null", "init.fingerprint=abc"), "init.fingerprint is abc, without a run"),
    ],
)
def test_a_run_that_does_not_fit_is_refused(flow: Path, overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        app.build(config(f"init.run_dir={flow}", *overrides))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            ("model=ddpm", "network.width=8"),
            "was trained by GaussianDiffusion, .* run of model=flow_matching or",
        ),
        (("model=vae",), "a run of VAE: give one of model=flow_matching"),
    ],
)
def test_other_models_are_no_start(
    made: Make, flow: Path, tmp_path: Path, model: tuple[str, ...], message: str
) -> None:
    run = shutil.copytree(made(*model), tmp_path / "run")
    for name in ("result.json", "run.json"):  # as if it had ended
        record = json.loads((flow / name).read_text())
        if name == "run.json":
            record["config"] = json.loads((run / name).read_text())["config"]
        (run / name).write_text(json.dumps(record))
    with pytest.raises(UsageError, match=message):
        app.build(config(f"init.run_dir={run}"))
