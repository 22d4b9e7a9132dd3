"""Words of a command line: what is given as text arrives as this text, and what cannot be read is refused."""

from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from genbench import app
from genbench.app.words import assigned, check_word, overridden
from genbench.cli.evaluate import Evaluate
from genbench.config.option_folders import CONF

ODD = ("a=b", "a, b", "[x]", "{x}", "it's", 'a"b', "$HOME", "{seed}", "two words", "end\\", "é", "5", "null")
"""Names of folders that Hydra's grammar reads as lists, numbers, references, or not at all."""


def composed_root(value: str) -> object:
    """The folder that the data of a run get from an option's value."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        word = assigned("data.root", value)
        return compose("config", overrides=["data=image_folder", word]).data.root


@pytest.mark.parametrize("value", [*ODD, "", " ", "~", "\\$", "\\\\'{b}'", "true", "1e3", "a:b", "#x"])
def test_a_value_of_an_option_arrives_as_it_was_given(value: str) -> None:
    assert composed_root(value) == value


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.text(alphabet="a1\\'\"{}[](), =:~#\té", max_size=8))
def test_any_text_can_be_assigned(value: str) -> None:
    assert composed_root(value) == value


def test_a_reference_in_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match=r"data.root is '/d/\$\{seed\}', and \$\{ begins a reference"):
        assigned("data.root", "/d/${seed}")


def test_what_hydra_reads_as_it_is_has_no_quotes() -> None:
    assert assigned("data", "digits") == "data=digits"
    assert assigned("data.root", "/data/mnist-2") == "data.root=/data/mnist-2"


@pytest.mark.parametrize("name", ODD)
def test_a_folder_of_any_name_is_evaluated_against(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    for number in range(20):
        Image.fromarray(np.full((8, 8), number, np.uint8)).save(folder / f"{number}.png")
    words = Evaluate(target=folder, data="image_folder", data_root=str(folder)).overrides()
    source, _, _ = app.measuring([*words, "data.size=8", "data.channels=1"])
    source.check()


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("metrics.samples=5,10", r"an evaluation takes one: write metrics.samples='5,10'"),
        ("metrics=[full]", "is a list, and a run has one metrics"),
        ("data.root=/d/a=b", "data.root='/d/a=b'"),
        ("data", "cannot be read as KEY=VALUE, such as data=captioned"),
    ],
)
def test_a_setting_of_an_evaluation_that_cannot_be_read_says_how(word: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        app.measuring([word])


@pytest.mark.parametrize(
    "word",
    [
        *(
            "seed=1",
            "model=vae",
            "model=vae,gan",
            "~tuned",
            "~scores.kid",
            "~optim.betas",
            "~network.dropout",
            "scores=[fid,kid]",
            "experiment=null",
        ),
        *("sweep=null", "+trainer.x=1", "seed=range(0,3)", "hydra.run.dir=x", "hydra/launcher=joblib"),
        *("+hydra.launcher.ray.remote.num_gpus=1", "hydra.verbose=true", "data.root='a=b'", "name=${seed}"),
        *(
            "tuned=gan_digits",
            "+hydra.job.env_set.OMP_NUM_THREADS=2",
            "hydra.job_logging.root.level=DEBUG",
            "network._target_=genbench.nn.unet.UNet",
        ),
    ],
)
def test_a_word_that_a_run_can_have_is_accepted(word: str) -> None:
    check_word(word)


def test_a_word_without_effect_is_named_with_the_later_one() -> None:
    words = ["seed=1", "model=vae", "seed=2", "model=vae", "~tuned", "scores=[fid]", "seed=3"]
    assert overridden(words) == [("seed=1", "seed=2"), ("seed=2", "seed=3")]
