"""A run directory that somebody sends executes nothing: it builds what installed options do."""

import copy
import importlib
import inspect
import json
import pkgutil
import random
import shutil
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torchmetrics
from _pytest.mark import ParameterSet

import genbench
from genbench import app
from genbench.cli.main import main as verb
from genbench.errors import Damaged
from genbench.records import moved
from genbench.records.run_directory import Run
from tests.conftest import Make
from tests.toys import TINY

GIT = {"_target_": "genbench.records.run_directory.git", "_args_": ["/", ["-c", "alias.x=!touch PWNED", "x"]]}
PLACES = ("data", "metrics", "model", "model.network", "model.process.sampler", "precision")
"""Of a record; `genbench sample` reads neither of the first two."""
SOME = 200
"""Functions and classes of a package that are tried where there is no time for all."""
FAMILIES = (
    TINY,
    ("model=vae",),
    ("model=flow",),
    ("model=gan", "network.generator.width=8"),
    ("model=flow_matching", "network.width=8"),
    ("model=latent_diffusion",),
    ("model=vqvae", "prior_network=pixelcnn"),
)


@pytest.fixture
def sent(made: Make, tmp_path: Path) -> Path:
    """A run with random weights whose record a test may rewrite."""
    return shutil.copytree(made(*TINY), tmp_path / "run")


def config_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "run.json").read_text())["config"]


def rewrite(run: Path, config: object) -> Path:
    """Put another configuration into the record of a run."""
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"config": config}))
    return run


def replaced(node: Any, place: tuple[str | int, ...], new: object) -> Any:
    """A copy of plain data with another node at a place."""
    if not place:
        return new
    changed = copy.copy(node)
    changed[place[0]] = replaced(node[place[0]], place[1:], new)
    return changed


def built_places(node: object, place: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    """The places below a node where something is built."""
    if isinstance(node, dict) and "_target_" in node:
        yield place
    keys = node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in keys:
        yield from built_places(node[key], (*place, key))


def refusal(words: list[str | Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> str:
    """Return what a verb says when it refuses, in one line and with exit code 2."""
    monkeypatch.setattr(sys, "argv", ["genbench", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        verb()
    said = capsys.readouterr().err.strip()
    assert left.value.code == 2, said
    assert len(said.splitlines()) == 1, said
    return said


def verbs_and_places() -> Iterator[ParameterSet]:
    """Each verb with each place of a record that it reads: one verb with all of them, the others with two."""
    for number, name in enumerate(("evaluate", "sample", "sampler-sweep", "bound")):
        read = PLACES if name != "sample" else PLACES[2:]
        for k, place in enumerate(read):
            rare = name != "evaluate" and k % 3 != number - 1
            yield pytest.param(name, place, marks=[pytest.mark.slow] if rare else [])


@pytest.mark.parametrize(("name", "place"), verbs_and_places())
def test_no_verb_runs_a_program_that_a_record_names(
    name: str,
    place: str,
    sent: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    rewrite(sent, replaced(config_of(sent), tuple(place.split(".")), GIT))
    out = ["--out", tmp_path / ("lines.jsonl" if name == "evaluate" else "out")]
    said = refusal([name, sent, *out, "--device", "cpu"], monkeypatch, capsys)
    assert f"{place}._args_ may stand in no recorded configuration" in said
    assert not list(tmp_path.rglob("PWNED"))
    assert not Path("/PWNED").exists()


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (
            {"_target_": "torchmetrics.image.fid.FrechetInceptionDistance"},
            "which no installed option builds there",
        ),
        ({"_target_": "genbench.app.load", "run_dir": "."}, "which no installed option builds there"),
        ({"_target_": "genbench.data.Digits"}, "which no installed option builds there"),
        ({"_target_": "genbench.nn.unet.UNet", "_partial_": 1}, "with _partial_=1, which no installed"),
        ({"_target_": ["genbench.nn.unet.UNet"]}, "which no installed option builds there"),
        ({"_recursive_": False}, "_recursive_ may stand in no recorded configuration"),
        ({"_convert_": "none"}, "_convert_ may stand in no recorded configuration"),
        ({"_partial_": True}, "would build None"),
        ("${oc.env:HOME}", "holds values, no interpolations"),
        ("${model.shape}", "holds values, no interpolations"),
        (
            {"_target_": "genbench.nn.unet.UNet", "shape": {"_target_": "os.system"}},
            "would build 'os.system'",
        ),
        ({"_target_": "genbench.nn.unet.UNet", "shape": [1, 8, 8], "num_classes": 0, "w": 1}, "w is unknown"),
        ({"_target_": "genbench.nn.unet.UNet", "shape": "8"}, "shape is '8'; it must be"),
    ],
)
def test_a_network_is_one_of_the_installed_ones_with_arguments_that_it_takes(
    node: object, message: str, sent: Path
) -> None:
    rewrite(sent, replaced(config_of(sent), ("model", "network"), node))
    with pytest.raises(ValueError, match=r"model\.network") as refused:
        app.load(sent, device="cpu")
    assert message in str(refused.value)


NEEDS_GRADIO = "genbench.demo.page"
"""A module that cannot be imported without its extra, by nobody then."""


@cache
def callables(package: ModuleType) -> list[str]:
    """The paths of all functions and classes that a package knows, each under one of its names."""
    found: dict[int, str] = {}
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if info.name.rpartition(".")[2] != "__main__" and info.name != NEEDS_GRADIO:
            for name, one in vars(importlib.import_module(info.name)).items():
                if inspect.isroutine(one) or inspect.isclass(one):
                    found.setdefault(id(one), f"{info.name}.{name}")
    return sorted(found.values())


def refuses_all(
    run: Path, package: ModuleType, monkeypatch: pytest.MonkeyPatch, *, everywhere: bool
) -> tuple[int, int]:
    """Try all functions and classes at all places of a run's model, or some of them at one place each.

    Returns how many were tried, and how many of them are legal since an installed option builds them there.
    """
    record, legal, tried, rng = json.loads((run / "run.json").read_text()), 0, 0, random.Random(0)
    config = record["config"]
    places = [place for key in ("model", "precision") for place in built_places(config[key], (key,))]
    monkeypatch.setattr(Run, "record", lambda _: record)  # a file for each try would take most of the time
    names = callables(package)
    for name in names if everywhere else rng.sample(names, SOME):
        for place in places if everywhere else [rng.choice(places)]:
            record["config"] = replaced(config, place, {"_target_": name})
            tried += 1
            try:
                app.load(run, device="cpu")
            except (ValueError, Damaged) as error:
                path = ".".join(map(str, place))
                if f"{path} would build {name!r}, which no installed option builds there" not in str(error):
                    legal += 1  # then its arguments or its weights are what is wrong
    return tried, legal


@pytest.mark.parametrize("package", [genbench, torchmetrics], ids=["genbench", "torchmetrics"])
def test_no_function_or_class_is_built_that_no_option_names_there(
    package: ModuleType, sent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, legal = refuses_all(sent, package, monkeypatch, everywhere=False)
    assert tried == SOME
    assert legal <= tried // 50  # a sampler, say, stands in for a sampler


@pytest.mark.slow
@pytest.mark.parametrize("package", [genbench, torchmetrics, torch.nn, torch.optim], ids=lambda p: p.__name__)
@pytest.mark.parametrize("words", FAMILIES, ids=lambda words: words[0])
def test_so_it_is_at_every_place_of_every_family(
    words: tuple[str, ...], package: ModuleType, made: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, legal = refuses_all(made(*words), package, monkeypatch, everywhere=True)
    assert tried > 1000
    assert legal <= tried // 50


@pytest.mark.parametrize("words", FAMILIES, ids=lambda words: words[0])
def test_what_a_family_recorded_loads_again(words: tuple[str, ...], made: Make) -> None:
    assert app.load(made(*words), device="cpu").sample(1, rng=torch.Generator()).isfinite().all()


@pytest.mark.parametrize(
    "config", [None, [], {}, "model", {"model": None, "precision": None}, {"model": {}, "precision": {}}]
)
def test_a_record_without_a_configuration_is_refused(config: object, sent: Path) -> None:
    with pytest.raises(ValueError, match=r"configuration|model"):
        app.load(rewrite(sent, config), device="cpu")


def test_a_configuration_of_great_depth_is_refused(sent: Path) -> None:
    deep: object = {}
    for _ in range(400):
        deep = {"a": [deep]}
    with pytest.raises(ValueError, match="deep"):
        app.load(rewrite(sent, replaced(config_of(sent), ("model", "network"), deep)), device="cpu")


def test_a_run_that_needs_itself_is_refused(sent: Path) -> None:
    node = {"_target_": "genbench.app.load", "run_dir": str(sent), "device": "cpu"}
    model = {"_target_": "genbench.families.latent_diffusion.LatentDiffusion", "autoencoder": node}
    rewrite(sent, config_of(sent) | {"model": model})
    with pytest.raises(ValueError, match="takes a part of its model from itself"):
        app.load(sent, device="cpu")


def test_the_run_that_a_run_takes_its_autoencoder_from_is_held_to_the_same(
    made: Make, sent: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(
        made(
            "model=vae",
        ),
        tmp_path / "other",
    )
    rewrite(other, replaced(config_of(other), ("model", "network"), GIT))
    node = {"_target_": "genbench.app.load", "run_dir": str(other), "device": "cpu"}
    model = {"_target_": "genbench.families.latent_diffusion.LatentDiffusion", "autoencoder": node}
    rewrite(sent, config_of(sent) | {"model": model})
    with pytest.raises(ValueError, match="_args_ may stand in no recorded configuration"):
        app.load(sent, device="cpu")


@pytest.mark.parametrize(
    "words",
    [
        ["+metrics.x={_target_:genbench.records.run_directory.git,_args_:[/,[x]]}"],
        ["metrics._target_=genbench.records.run_directory.git"],
        ["+metrics.x={1: {_target_: os.system}}"],
        ["hydra.searchpath=[file:///tmp]"],
        ["+hydra.sweep.dir=/tmp"],
        ["metrics.samples=${oc.env:HOME}"],
        ["data=../../../tmp/option"],
        ["/data=../option"],
        ["data/../../tmp=option"],
        ["data"],
        ["metrics=/tmp/option"],
        {"a": "b"},
        ["a", 3],
        "text",
    ],
)
def test_overrides_that_a_run_was_composed_of_reach_no_farther_than_options_and_values(
    words: object, sent: Path, tmp_path: Path
) -> None:
    (sent / ".hydra" / "overrides.yaml").write_text(json.dumps(words))
    with pytest.raises(
        ValueError, match=r"may hold only|is not a list|no installed option|may stand in no|unknown"
    ):
        app.measuring(["metrics.batch_size=8"], of_run=sent)


def test_overrides_that_no_measurement_needs_are_not_read(sent: Path) -> None:
    words = [
        "data=digits",
        "runs_dir=${oc.env:SCRATCH}/runs",
        "name=a-b",
        "trainer.x=${y}",
        "metrics.samples=64",
    ]
    (sent / ".hydra" / "overrides.yaml").write_text(json.dumps(words))
    _, metrics, _ = app.measuring(["metrics.batch_size=8"], of_run=sent)
    assert (metrics.samples, metrics.batch_size) == (64, 8)


def test_a_change_of_the_sampling_needs_the_record_alone(sent: Path) -> None:
    (sent / ".hydra" / "config.yaml").write_text("model: {_target_: genbench.records.run_directory.git}\n")
    assert app.load(sent, device="cpu", overrides={"sampler": "ddim", "steps": 2}).process.sampler.steps == 2


def test_a_class_that_has_moved_is_found_under_its_old_path(
    sent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(sent)
    old = {**config["model"]["network"], "_target_": "genbench.networks.UNet"}
    rewrite(sent, replaced(config, ("model", "network"), old))
    with pytest.raises(ValueError, match=r"genbench\.networks\.UNet"):
        app.load(sent, device="cpu")
    monkeypatch.setitem(moved.MOVED, "genbench.networks.UNet", "genbench.nn.unet.UNet")
    assert type(app.load(sent, device="cpu").network).__name__ == "UNet"


@pytest.mark.parametrize("flag", ["--experimental-rerun", "--exp"])
def test_a_run_is_not_repeated_from_a_pickle(
    flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Hydra's own way to repeat a run unpickles a file of its directory."""
    monkeypatch.setattr(sys, "argv", ["main.py", flag, str(tmp_path / "config.pickle")])
    with pytest.raises(SystemExit) as left:
        app.run_command(lambda: pytest.fail("Hydra was started"))
    assert left.value.code == 2
    assert "reads a pickle, which can execute code" in capsys.readouterr().err
