"""A classifier from outside, from a file or from an option of one's own, guides as it is."""

from pathlib import Path
from shutil import copy

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from safetensors.torch import save_file

from genbench import app
from genbench.app.run_names import identity
from genbench.config.option_folders import use_folder
from genbench.errors import UsageError
from genbench.nn.classifier import NoisyClassifier
from tests.conftest import Make
from tests.test_conf import ROOT

SMALL = ("conditional=true", "network.width=8", "guidance=classifier_outside", "guidance_network.width=8")


def config(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", overrides=[*SMALL, "device=cpu", *overrides])


def written(path: Path, *, classes: int = 10, seed: int = 0) -> Path:
    """A file of the weights of a classifier of digits."""
    torch.manual_seed(seed)
    weights = NoisyClassifier((1, 8, 8), classes, width=8).state_dict()
    save_file(weights, path) if path.suffix == ".safetensors" else torch.save(weights, path)
    return path


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt"])
def test_the_weights_of_a_file_guide_and_are_not_trained(name: str, tmp_path: Path) -> None:
    path = written(tmp_path / name)
    model = app.build(config(f"guidance.weights={path}")).model
    assert model.phases == ("net",)
    torch.manual_seed(0)
    expected = NoisyClassifier((1, 8, 8), 10, width=8).state_dict()
    found = model.process.guidance.classifier
    assert all(torch.equal(found.state_dict()[key], value) for key, value in expected.items())
    assert not any(p.requires_grad for p in found.parameters())


def test_an_identity_follows_from_the_weights_and_not_from_their_place(tmp_path: Path) -> None:
    first, other = written(tmp_path / "a.pt"), written(tmp_path / "b.pt", seed=1)
    moved = copy(first, tmp_path / "c.pt")
    found = [identity(config(f"guidance.weights={path}")) for path in (first, moved, other)]
    assert found[0] == found[1] != found[2]


def test_a_run_needs_the_file_no_more_since_its_checkpoint_has_the_weights(
    made: Make, tmp_path: Path
) -> None:
    path = written(tmp_path / "a.pt")
    run = made(*SMALL, f"guidance.weights={path}")
    path.unlink()
    model = app.load(run, device="cpu")
    assert model.sample(2, torch.tensor([0, 1])).isfinite().all()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ((), "guidance_network=noisy is not trained: set guidance.weights"),
        (("guidance.weights=none.pt",), "none.pt, which is no file: give one of weights"),
        (("guidance.weights=five.pt",), r"differs from .*NoisyClassifier in 2 entries: leave.weight"),
        (("guidance.weights=nan.pt",), "nan.pt has weights that are not finite, the first leave.weight"),
        (("guidance.weights=torn.pt",), r"not a file of weights \(damaged, or of another format\)"),
        (("guidance.weights=torn.safetensors",), r"not a file of weights \(damaged"),
        (("guidance.weights=whole.pt",), "not a file of weights"),  # a pickle of the object, which is not run
        (("guidance.weights=good.pt", "guidance.sha256=abc"), "guidance.sha256 is abc.*leave"),
        (("guidance.weights=good.pt", "guidance.noised=false"), r"cannot take \(x0\).*noised=true"),
        (("guidance.weights=good.pt", "conditional=false"), "conditional=true"),
    ],
)
def test_a_file_or_a_network_that_does_not_fit_is_refused(
    overrides: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "five.pt", classes=5)
    good = written(tmp_path / "good.pt").read_bytes()
    for name in ("torn.pt", "torn.safetensors"):
        (tmp_path / name).write_bytes(good[:100])
    torch.save(NoisyClassifier((1, 8, 8), 10, width=8), tmp_path / "whole.pt")
    lost = NoisyClassifier((1, 8, 8), 10, width=8).state_dict()
    torch.save(lost | {"leave.weight": lost["leave.weight"] * torch.nan}, tmp_path / "nan.pt")
    with pytest.raises(UsageError, match=message):
        app.build(config(*overrides))


def test_latents_are_guided_by_no_classifier_of_images(tmp_path: Path) -> None:
    words = (f"guidance.weights={written(tmp_path / 'a.pt')}", "model=latent_diffusion")
    with pytest.raises(UsageError, match="knows images, and this prior models latents"):
        app.build(config(*words))


def test_a_cascade_is_guided_by_no_classifier_of_one_size(tmp_path: Path) -> None:
    """Its base would be given images that are smaller, which layers of convolutions take without a word."""
    words = ("model=cascade", "base_model.network.width=8")
    with pytest.raises(UsageError, match="know images of one size, and a cascade has two"):
        app.build(config(f"guidance.weights={written(tmp_path / 'a.pt')}", *words))


def test_an_option_of_ones_own_is_a_class_or_a_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A classifier of clean images, found by --config-dir."""
    (tmp_path / "options" / "guidance_network").mkdir(parents=True)
    (tmp_path / "clean_digits.py").write_text(
        "from torch import nn\n"
        "def small(classes: int, pixels: int) -> nn.Module:\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, classes))\n"
    )
    (tmp_path / "options" / "guidance_network" / "clean.yaml").write_text(
        "# Linear.\n_target_: clean_digits.small\nclasses: ${image.num_classes}\npixels: 64\n"
    )
    monkeypatch.setenv("GENBENCH_CONFIG_DIR", "")
    use_folder(tmp_path / "options")
    own = ("guidance_network=clean", "~guidance_network.width", "guidance.noised=false")
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        words = [f"hydra.searchpath=[{tmp_path / 'options'}]", "device=cpu", *SMALL[:3], own[0], own[2]]
        cfg = compose("config", overrides=words)
    model = app.build(cfg).model
    assert not model.process.guidance.noised
    assert model.sample(2, torch.tensor([0, 1])).isfinite().all()
