"""Models with frozen text encoders: trained, saved without the encoder's weights, and loaded again."""

import copy
import shutil
from pathlib import Path

import pytest
import torch

from genbench import app
from genbench.app.export import export
from genbench.contract import Candidate
from genbench.contract.losses import gradient_reaches_every_parameter_of_its_phase
from genbench.contract.samples import the_state_comes_back_with_identical_samples
from genbench.contract.trainings import a_training_in_two_parts_equals_one_bit_for_bit
from genbench.families.diffusion import Diffusion
from genbench.nn.unet import UNet
from genbench.runtime.context import Context
from genbench.text.pretrained import ClipText
from genbench.training.ema import Ema
from tests import text_models
from tests.conftest import Make
from tests.toys import toy_process

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_models.clip(tmp_path_factory.mktemp("models") / "clip")


def model(folder: Path) -> Diffusion:
    text = ClipText(path=str(folder), width=8)
    network = UNet((1, 4, 4), width=8, blocks=1, patch=1, multipliers=[1], context=8)
    return Diffusion((1, 4, 4), 0, network=network, process=toy_process(), text=text)


@pytest.mark.parametrize(
    "rule",
    [
        gradient_reaches_every_parameter_of_its_phase,
        a_training_in_two_parts_equals_one_bit_for_bit,
        the_state_comes_back_with_identical_samples,
    ],
    ids=lambda rule: rule.__name__,
)
def test_the_contract_holds_with_frozen_weights(rule: object, folder: Path) -> None:
    assert callable(rule)
    rule(Candidate(lambda: model(folder)))


def test_an_average_of_the_model_shares_the_frozen_weights_and_leaves_them(folder: Path) -> None:
    trained = model(folder)
    ema = Ema(trained, halflife_images=10)
    assert isinstance(trained.text, ClipText)
    before = copy.deepcopy([*trained.text.published.state_dict().values()])
    averaged, followed = ema.parameters
    frozen = set(map(id, trained.text.published.parameters()))
    assert not frozen & set(map(id, [*averaged, *followed]))
    for parameter in trained.phase_parameters("net"):
        parameter.data += 1
    ema.update(images=10, images_seen=100)
    assert all(map(torch.equal, before, trained.text.published.state_dict().values()))
    mine = {id(p) for p in ema.model.parameters()}
    assert frozen <= mine


@pytest.fixture
def run(made: Make, folder: Path) -> Path:
    small = (
        "network.width=8",
        "network.multipliers=[1]",
        "network.patch=4",
        "sampler.steps=2",
        "text.width=8",
    )
    return made("model=ddpm", "data=captioned", "data.test=20", "text=clip", f"text.path={folder}", *small)


def test_a_run_is_loaded_with_the_folder_that_it_names(run: Path, folder: Path, tmp_path: Path) -> None:
    state = torch.load(run / "checkpoints" / "last.pt", weights_only=True)
    kept = {name for name in state["ema"] if name.startswith("text.published")}
    assert kept == {"text.published.fingerprint"}
    found = app.load(run, device="cpu")
    x = found.sample(2, found.condition(["a cat", ""]))
    assert tuple(x.shape) == (2, 1, 32, 32)
    with pytest.raises(ValueError, match=r"text encoder's weights are in .*clip, and an export does not hold"):
        export(run, tmp_path / "out", context=Context(torch.device("cpu")))
    aside = folder.with_name("aside")
    folder.rename(aside)
    try:
        with pytest.raises(ValueError, match=r"text\.path is '.*clip', which is not a folder: give one"):
            app.load(run, device="cpu")
        text_models.clip(folder, seed=1)
        with pytest.raises(
            ValueError, match="text encoder's weights are not those that the run was made with"
        ):
            app.load(run, device="cpu")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)
