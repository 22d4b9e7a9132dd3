"""The configuration: every option composes, every preset runs, and values are refused clearly."""

import re
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from genbench import app
from genbench.errors import UsageError
from tests.conftest import Command
from tests.toys import TINY

ROOT = Path(__file__).resolve().parents[1]
GROUPS = ("schedule", "loss", "parameterization", "sampler", "optim", "lr_schedule", "precision", "network")
OPTIONS = [(group, path.stem) for group in GROUPS for path in sorted((ROOT / "conf" / group).glob("*.yaml"))]
MODELS = sorted(path.stem for path in (ROOT / "conf" / "model").glob("*.yaml"))
EXPERIMENTS = sorted(path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml"))


def config(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", overrides=list(overrides))


def test_no_preset_hides_in_a_folder() -> None:
    assert [path for path in (ROOT / "conf" / "experiment").iterdir() if path.is_dir()] == []


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=lambda value: value)
def test_every_option_builds(group: str, option: str) -> None:
    # The paper's network wants maps of 32x32; its options are what matters here.
    small = ["network.width=16"] + (["network.multipliers=[1,2]"] if option == "unet_ho2020" else [])
    parts = app.build(config(f"{group}={option}", *small))
    assert parts.model.shape == (1, 8, 8)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_runs(experiment: str, main: Command, tmp_path: Path) -> None:
    """On a few images of the right size, with a network of a few weights."""
    rng = torch.Generator().manual_seed(0)
    for k in range(60):
        folder = tmp_path / "images" / ("train" if k < 36 else "test") / str(k % 2)
        folder.mkdir(parents=True, exist_ok=True)
        pixels = torch.randint(0, 256, (32, 32, 3), generator=rng, dtype=torch.uint8).numpy()
        Image.fromarray(pixels).save(folder / f"{k}.png")
    done = main(
        f"experiment={experiment}",
        *TINY,
        "data=image_folder",
        f"data.root={tmp_path}/images",
        "data.size=32",
        "metrics=classifier",
        "metrics.features.images=64",
        "metrics.samples=20",
        "trainer.batch_size=8",
        "budget.images=16",
        "budget.seconds=null",
        f"runs_dir={tmp_path}/runs",
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_composes_and_its_objects_build(experiment: str) -> None:
    cfg = config(f"experiment={experiment}")
    OmegaConf.update(cfg, "image.shape", [3, 32, 32])
    app.check_groups(cfg)
    assert app.seeded_model(cfg).shape == (3, 32, 32)
    for node in (cfg.data, cfg.budget, cfg.trainer, cfg.metrics, cfg.tracker, cfg.lr_schedule):
        app.make(node)


@pytest.mark.parametrize("model", MODELS)
def test_every_object_appears_once(model: str) -> None:
    """An interpolation of a whole object twice would build two of them, one of none would be ignored."""
    cfg = config(f"model={model}")
    text = OmegaConf.to_yaml(cfg)
    own = {"data", "precision", "metrics", "tracker", "optim", "lr_schedule", "trainer", "budget", "model"}
    for axis in {str(key) for key in cfg if OmegaConf.is_dict(cfg[key])} - own - {"image", "hydra"}:
        assert len(re.findall(rf"\$\{{{axis}[}}.]", text)) == max(nodes(cfg[axis]), 1), axis


def nodes(axis: DictConfig) -> int:
    """How many objects an axis describes: one, or several under names."""
    return 1 if "_target_" in axis else len(axis)


def test_only_targets_of_known_packages_are_built() -> None:
    cfg = config()
    OmegaConf.update(cfg, "loss._target_", "os.system")
    with pytest.raises(UsageError, match=r"loss._target_ is 'os.system'; it must start with"):
        app.build(cfg)


def test_the_identity_ignores_what_changes_no_number() -> None:
    first = app.identity(config())
    assert app.identity(config("device=cpu", "runs_dir=elsewhere", "name=x", "tracker=jsonl")) == first
    assert app.identity(config("trainer.checkpoint_every_seconds=1", "rerun=true")) == first
    folders = [app.identity(config("data=image_folder", f"data.root={root}")) for root in ("a", "b")]
    assert folders[0] != folders[1]
    mnist = app.identity(config("data=mnist"))
    assert app.identity(config("data=mnist", "data.root=here")) == mnist


@pytest.mark.parametrize(
    "override",
    ["seed=1", "loss=l1", "sampler.steps=20", "conditional=true", "budget.images=1", "metrics.samples=100"],
)
def test_the_identity_follows_what_changes_a_number(override: str) -> None:
    assert app.identity(config(override)) != app.identity(config())


def test_the_start_of_the_weights_follows_the_seed_alone() -> None:
    def weights(seed: int) -> list[float]:
        parts = app.build(config(f"seed={seed}", "network.width=16"))
        return [float(p.detach().sum()) for p in parts.model.parameters()]

    assert weights(0) == weights(0)
    assert weights(0) != weights(1)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["schedule=linear", "schedule.T=10"], "larger T"),
        (["schedule.T=20"], r"sampler.steps is 50; it must be from 1 to schedule.T=20"),
        (["loss=huber", "loss.delta=-1"], r"loss.delta is -1"),
        (["network.patch=3"], r"network.patch is 3"),
        (["trainer.accumulate=7"], r"accumulate=7"),
        (["budget.images=null"], "both null"),
        (["budget.images=-5"], r"budget.images is -5"),
        (["seed=-1"], "seed is -1"),
        (["seed=true"], "seed is True; it must be a whole number"),
        (["rerun=maybe"], "rerun is 'maybe'; it must be true or false"),
        (["+foo=1"], "foo is unknown"),
        (["+foo.bar=1"], "foo is unknown"),
        (["optim.betas=[0.9]"], "optim.betas is"),
        (["device=tpu"], "device is 'tpu'; it must be auto, cpu or cuda"),
        (["optim.lr=-1"], "optim: Invalid learning rate"),
        (["sampler=ddim", "sampler.eta=2"], r"sampler.eta is 2"),
        (["data=image_folder"], r"data.root"),
        (["data=image_folder", "data.root=/nowhere"], "/nowhere"),
        (["metrics.samples=1"], "samples"),
        (["schedule.T=many"], "schedule.T is 'many'; it must be a whole number"),
        (["schedule.T=10.5"], "schedule.T is 10.5"),
        (["optim.lr=fast"], "optim.lr is 'fast'"),
        (["trainer.clip_norm=big"], "trainer.clip_norm is 'big'; it must be a number or null"),
        (["network.width=null"], "network.width is None"),
        (["+network.depth=3"], "network.depth is unknown; UNet takes shape, num_classes, width"),
        (["conditional=7"], "conditional is 7; it must be true or false"),
        (["data=fashion_mnist", "data.root=/nowhere", "metrics=digits"], "nowhere"),
    ],
)
def test_bad_values_are_refused_with_the_value_before_any_work(overrides: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        app.build(config(*overrides))
