"""The text of `--help`, held to the folder of the configuration and to what Hydra composes."""

import re

import pytest
from hydra import compose, initialize_config_dir

from genbench.app.misfit import fitting
from genbench.config.groups import HIDDEN, groups, options
from genbench.config.help import accepted, help_text
from genbench.config.option_folders import CONF

EVERY = [path.name for path in CONF.iterdir() if path.is_dir() and path.name not in HIDDEN]


def test_the_page_names_every_option_of_every_group() -> None:
    page = re.sub(r"\n {8,}(?=\S)", " ", help_text([])).splitlines()  # without the breaks within a list
    for group in EVERY:
        (line,) = [line for line in page if line.startswith(f"  {group} ")]
        assert line.split(maxsplit=1)[1].split(", ") == options(group)
    assert groups() == sorted(EVERY)


def test_the_page_fits_eighty_columns_and_its_first_screen_has_commands_and_settings() -> None:
    lines = help_text([]).splitlines()
    assert max(map(len, lines)) <= 80
    first = "\n".join(lines[:24])
    for word in (
        "model=vae",
        "-m model=ddpm,vae",
        "--cfg job",
        "budget.images",
        "optim.lr",
        "genbench report",
    ):
        assert word in first


def test_groups_stand_below_the_models_that_accept_them() -> None:
    page = help_text([])
    of_gan = page.split("Of model=gan\n")[1].split("\n\n")[0]
    assert re.findall(r"^  (\w+)", of_gan, re.MULTILINE) == ["criterion", "penalty"]
    of_vaes = page.split("Of model=vae, vqvae; autoencoder=kl_gan, vq_gan\n")[1].split("\n\n")[0]
    assert re.findall(r"^  (\w+)", of_vaes, re.MULTILINE) == ["adversarial", "perceptual"]
    of_guidance = page.split("Of guidance=classifier_outside\n")[1].split("\n\n")[0]
    assert of_guidance.split()[0] == "guidance_network"
    of_every_run = page.split("Of every run\n")[1].split("\n\n")[0]
    assert of_every_run.split()[0] == "model"


def test_each_setting_that_the_page_names_is_there() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        listed = help_text([]).split("often changed\n")[1].split("\n\n")[0]
        words = re.findall(r"[\w.]+=[\w.-]+", listed)
        assert len(words) > 10
        compose("config", overrides=[*words, "data=image_folder"])


@pytest.mark.parametrize("group", EVERY)
def test_every_option_says_what_it_is(group: str) -> None:
    head, *lines = help_text([group]).strip().splitlines()
    assert head == f"{group}:"
    for line in lines:
        option, what = line.split(maxsplit=1)
        assert (CONF / group / f"{option}.yaml").exists()
        assert len(what.split()) >= 2


@pytest.mark.parametrize("model", ["ddpm", "gan", "vae", "latent_diffusion"])
def test_the_groups_of_a_model_are_those_that_hydra_gives_it(model: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = compose("config", overrides=[f"model={model}"])
    named = [line.split(":")[0].strip() for line in accepted(f"model={model}").splitlines()[1:]]
    assert named
    assert set(named) <= set(composed)


@pytest.mark.parametrize(
    ("word", "refusal"),
    [
        ("nonsense", "there is no such group: choose from adversarial, augmentation"),
        ("model=nonsense", "nonsense is not an option of model: choose from autoenc"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(word: str, refusal: str) -> None:
    with pytest.raises(ValueError, match=refusal):
        help_text([word])


def test_help_on_an_option_shows_its_comment_and_its_settings() -> None:
    text = help_text(["schedule=cosine"])
    assert text.startswith("schedule=cosine: alpha_bar falls as a squared cosine")
    assert "  T: 1000" in text.splitlines()
    assert "_target_" not in text


@pytest.mark.parametrize("choice", ["model=gan", "model=ddpm"])
def test_help_on_a_model_lists_the_networks_and_the_augmentation_that_fit_it_alone(choice: str) -> None:
    text = help_text([choice], fitting).splitlines()
    assert f"  augmentation: {'diffaugment' if choice == 'model=gan' else 'edm'}, none" in text
    (line,) = [line for line in text if "network: " in line]
    (others,) = [line for line in help_text([choice]).splitlines() if "network: " in line]
    assert others.split(": ")[1].split(", ") == options("network")
    fit = {
        "model=gan": "dcgan, r3gan, resnet_gan",
        "model=ddpm": "ddpm_pp, ddpm_pp_cifar10, dit, dit_b, dit_s, dit_xl, unet, unet_folded, unet_ho2020",
    }
    assert line == f"  network: {fit[choice]}"
