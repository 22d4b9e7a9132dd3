"""An exported model draws what the run's does, needs no run, says nothing of the machine, and is checked."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import genbench
from genbench import app
from genbench.app.export import export
from genbench.generator import Trajectory
from genbench.runtime.context import Context
from tests.conftest import Command, Make
from tests.toys import trained_here

MODELS = trained_here()
SMALL = {
    "cascade": ("sampler.steps=2",),
    "ddpm": ("sampler.steps=2",),
    "flow_matching": ("solver.steps=2",),
    "latent_diffusion": ("sampler.steps=2",),
    "masked_diffusion": ("unmasking.steps=2",),
    "unclip": ("sampler.steps=2", "solver.steps=2"),
}
CONTEXT = Context(torch.device("cpu"))


@pytest.fixture(scope="module")
def folder(made: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model, exported; its run was of data in a folder of this machine."""
    run = made("model=autoencoder")
    record = json.loads((run / "run.json").read_text())
    record["config"]["data"]["root"] = "/home/somebody/images"
    (run / "run.json").write_text(json.dumps(record))
    out = tmp_path_factory.mktemp("exported") / "model"
    export(run, out, license_name="mit", context=CONTEXT)
    return out


@pytest.mark.parametrize("model", MODELS)
def test_an_exported_model_draws_what_that_of_the_run_draws(model: str, made: Make, tmp_path: Path) -> None:
    run = made(f"model={model}", *SMALL.get(model, ()))
    export(run, tmp_path / "out", context=CONTEXT)
    of_run, exported = (app.load(path, device="cpu") for path in (run, tmp_path / "out"))
    images = [each.sample(2, rng=torch.Generator().manual_seed(0)) for each in (of_run, exported)]
    assert (images[0] == images[1]).all()
    assert not exported.training
    # A model that draws step by step has an animation, which its card shows.
    card = (tmp_path / "out" / "README.md").read_text()
    assert isinstance(of_run, Trajectory) == ("](animation.webp)" in card)
    assert isinstance(of_run, Trajectory) == (tmp_path / "out" / "animation.webp").is_file()


@pytest.mark.parametrize(
    ("part", "whole"),
    [
        (("model=autoencoder",), ("model=latent_diffusion", "autoencoder=run", "autoencoder.run_dir=")),
        (
            ("model=ddpm", "conditional=true", "guidance=classifier"),
            ("conditional=true", "guidance=classifier_of_run", "guidance.classifier.run_dir="),
        ),
    ],
)
def test_a_part_of_another_run_is_written_along(
    part: tuple[str, ...], whole: tuple[str, ...], made: Make, tmp_path: Path
) -> None:
    shutil.copytree(made(*part), tmp_path / "part")
    run = made(*whole[:-1], f"{whole[-1]}{tmp_path / 'part'}", "sampler.steps=2")
    y = torch.tensor([1, 2]) if "conditional=true" in whole else None
    before = app.load(run, device="cpu").sample(2, y, rng=torch.Generator().manual_seed(0))
    export(run, tmp_path / "out", context=CONTEXT)
    shutil.rmtree(tmp_path / "part")
    after = app.load(tmp_path / "out", device="cpu").sample(2, y, rng=torch.Generator().manual_seed(0))
    assert (before == after).all()


def test_verbs_and_python_take_the_folder_in_the_place_of_a_run(
    folder: Path, verb: Command, tmp_path: Path
) -> None:
    done = verb("sample", folder, "--out", tmp_path / "images", "--n", 3, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert len(genbench.load(folder, device="cpu").sample(3)) == 3


def test_the_card_has_the_metadata_of_the_hub(folder: Path) -> None:
    head = yaml.safe_load((folder / "README.md").read_text().split("---")[1])
    assert head["license"] == "mit"
    assert head["library_name"] == "genbench"
    assert head["pipeline_tag"] == "unconditional-image-generation"
    assert (folder / "samples.png").read_bytes().startswith(b"\x89PNG")


def test_no_path_of_the_machine_is_written(folder: Path) -> None:
    assert "somebody" not in "".join(path.read_text() for path in folder.glob("*.[jm]*[nd]"))
    assert json.loads((folder / "genbench.json").read_text())["config"]["data"]["root"] is None


def damaged(folder: Path, tmp_path: Path, damage: Callable[[Path], object]) -> Path:
    """A copy of an exported model in which something is changed."""
    copy = tmp_path / "damaged"
    shutil.copytree(folder, copy)
    damage(copy)
    return copy


def cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def without_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors.popitem()
    save_file(tensors, folder / "model.safetensors")


def rewritten(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        about = json.loads((folder / "genbench.json").read_text())
        change(about)
        (folder / "genbench.json").write_text(json.dumps(about))

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, "model.safetensors is damaged"),
        (without_a_tensor, "model.safetensors does not fit genbench.json beside it"),
        (rewritten(lambda about: about.update(format=2)), "has format 2; this version of genbench reads 1"),
        (rewritten(lambda about: about.pop("config")), "holds no configuration"),
        (
            rewritten(lambda about: about["config"]["model"].update(_target_="os.system")),
            "model would build 'os.system', which no installed option builds there",
        ),
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors"),
    ],
)
def test_a_folder_that_somebody_sent_is_refused_by_one_message(
    folder: Path, verb: Command, tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    copy = damaged(folder, tmp_path, damage)
    done = verb("sample", copy, "--out", tmp_path / "images", "--n", 1, "--device", "cpu")
    assert done.returncode == 2
    assert done.stderr.count("genbench: ") == 1
    assert message in done.stderr
    assert not (tmp_path / "images").exists()


def test_an_exported_model_is_exported_no_further_and_has_one_set_of_weights(
    folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="is an exported model already"):
        export(folder, tmp_path / "out", context=Context(torch.device("cpu")))
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="holds its ema weights alone"):
        app.load(folder, weights="raw")


def test_a_failed_export_leaves_nothing(verb: Command, tmp_path: Path) -> None:
    done = verb("export", tmp_path, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "holds no trained model" in done.stderr
    assert list(tmp_path.iterdir()) == []
