"""Messages about wrong commands: the mistake in the user's words, and what is near it.

What genbench reads out of Hydra's own errors is provoked here in the installed Hydra, so that another wording
of a new version shows at once.
"""

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationKeyError, InterpolationResolutionError, OmegaConfBaseException

from genbench import app
from genbench.app.field_words import keys_of
from genbench.app.messages import UNKNOWN, explain_error, leave, unknown_key
from genbench.config.groups import options
from genbench.config.option_folders import CONF
from genbench.errors import Damaged, Unmeasured, UsageError


def error_of(*words: str) -> Exception:
    """Return the error of the installed Hydra when it composes some overrides, or resolves the result."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        try:
            cfg = compose("config", overrides=list(words), return_hydra_config=True)
            app.identity(cfg)  # which resolves all
            _ = cfg.hydra.run.dir
        except (HydraException, OmegaConfBaseException) as error:
            return error
    raise AssertionError(f"{words} can be composed")


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("sampler.stepz=3", "sampler.stepz"),
        ("bugdet.images=3", "bugdet.images"),
        ("modl=vae", "modl"),
        ("likelihood=gaussian", "likelihood"),
        ("schedule@here=cosine", "schedule@here"),
    ],
)
def test_hydra_names_the_key_that_a_configuration_lacks_as_it_is_read_here(word: str, key: str) -> None:
    error = error_of(word)
    assert type(error) is ConfigCompositionException
    found = UNKNOWN.search(str(error))
    assert found is not None
    assert found["key"] == key


def test_hydra_hands_over_the_option_that_a_group_lacks_and_those_it_has() -> None:
    error = error_of("schedule=cosin")
    assert isinstance(error, MissingConfigException)
    assert error.missing_cfg_file == "schedule/cosin"
    assert sorted(error.options or ()) == options("schedule")


def test_hydra_hands_over_the_word_that_it_cannot_read() -> None:
    error = error_of("seed=1]")
    assert isinstance(error, OverrideParseException)
    assert error.override == "seed=1]"
    assert explain_error(error) == (
        "'seed=1]' cannot be read as KEY=VALUE: close its brackets and quotes, or give the value as text in "
        "quotes of its own: \"seed='1]'\""
    )


def test_omegaconf_hands_over_where_a_reference_leads_nowhere() -> None:
    error = error_of("model=gan", "network=resnet_vae")
    assert isinstance(error, InterpolationKeyError)
    assert explain_error(error) == (
        f"{error.full_key} refers to 'network.generator', and there is no such key"
    )
    assert explain_error(error, ["model=gan", "network=resnet_vae"]) == (
        "network=resnet_vae does not fit model=gan: choose from dcgan, r3gan, resnet_gan"
    )


def test_an_error_of_genbench_that_a_resolver_raises_is_told_as_it_is() -> None:
    error = error_of("name=../elsewhere")
    assert isinstance(error, InterpolationResolutionError)
    assert explain_error(error).startswith("name is '../elsewhere'; it must be text of 1 to 255 letters")
    assert "\n" not in explain_error(error)
    assert explain_error(ValueError("seed is 'x'")) == "seed is 'x'"


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("budget.imagess=3", "there is no key budget.imagess; near: budget.images"),
        ("budget.imagess=3", "budget has images, seconds, flops"),
        ("bugdet.images=3", "near: budget.images"),
        ("batch_size=3", "there is no key batch_size: write trainer.batch_size=3"),
        ("modl=vae", "there is no key modl; near: model"),
        ("trainer.nonsense=1", "there is no key trainer.nonsense; trainer has batch_size, devices"),
        ("precision=half", "choose from auto, bf16, fp16, fp32. Did you mean fp16?"),
        ("schedule=cosin", "cosin is not an option of schedule: choose from cosine, edm"),
        ("schedule=cosin", "Did you mean cosine?"),
        ("likelihood.bins=3", "model=ddpm does not accept likelihood; its groups are process, schedule"),
        ("likelihood=logistic", "model=ddpm does not accept likelihood; its groups are process, schedule"),
        (
            "hydra/job_logging=nope",
            "nope is not an option of hydra/job_logging: choose from default, disabled",
        ),
        ("guidance.weights=w.pt", "guidance=classifier_outside guidance_network=NAME guidance.weights=w.pt"),
        ("guidance.file=w.pt", "guidance=classifier_outside guidance_network=NAME guidance.weights=w.pt"),
        ("guidance.netwrok=own", "guidance=classifier_outside guidance_network=own guidance.weights=PATH"),
        ("guidance_network=own", "guidance=classifier_outside guidance_network=own guidance.weights=PATH"),
        ("guidance_netwrok=own", "guidance=classifier_outside guidance_network=own guidance.weights=PATH"),
        ("guidance=classifier_from_file", "is guidance=classifier_outside guidance_network=NAME"),
        ("guidance.scle=2", "there is no key guidance.scle"),
        ("hydra/launcher=nope", 'pip install -e ".[sweep]"'),
    ],
)
def test_a_wrong_word_is_told_with_what_is_near_it(word: str, says: str) -> None:
    text = explain_error(error_of("seed=1", word), ["seed=1", word])
    assert says in text
    assert "To append" not in text  # Hydra's advice, which leads into the next refusal


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("model=vae", "adversarial.weight=1"), "it belongs to adversarial=patch; choose that"),
        (("augmentation.p=0.5",), "there is no key augmentation.p: it belongs to augmentation=edm; choose"),
        (
            ("model=flow", "dequantization=uniform", "dequantization.sigma=0.1"),
            "it belongs to dequantization=gaussian; choose that",
        ),
        (("model=vae", "network.patch=2"), "network=deep_ladder, ladder; choose one of them"),  # not dit
        (("data.root=PATH",), "fashion_mnist, image_folder"),
    ],
)
def test_a_setting_of_another_option_is_told_with_the_options_that_have_it(
    words: tuple[str, ...], says: str
) -> None:
    assert says in explain_error(error_of(*words), words)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ("model=latent_diffusion", "perceptual=features"),
            "model=latent_diffusion accepts perceptual only with autoencoder=kl_gan or autoencoder=vq_gan: "
            "add one of them. Models that accept perceptual: vae, vqvae",
        ),
        (
            ("model=cascade", "pairing.solver=1"),
            "accepts pairing only with base_model=flow_matching: add that",
        ),
        (
            ("model=consistency", "sampler=ddim"),
            "does not accept sampler; its groups are",
        ),  # as process=gaussian is refused
    ],
)
def test_a_group_that_an_option_would_bring_is_told_with_these_options(
    words: tuple[str, ...], says: str
) -> None:
    assert says in explain_error(error_of(*words), words)


def test_what_is_near_is_sought_in_the_model_that_was_asked_for() -> None:
    def near(*words: str) -> str:
        return explain_error(error_of(*words), words)

    assert "near: network.encoder.width" in near("model=vae", "network.encoder.widht=3")
    assert "near: network.width; network has" in near("model=ddpm", "network.widht=3")


def test_hints_do_not_need_the_words_that_vary() -> None:
    words = ["seed=0,1", "model=vae", "network.encoder.widht=16"]
    assert "near: network.encoder.width" in unknown_key("network.encoder.widht", words)


def test_keys_that_are_offered_can_be_set() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        offered = keys_of(OmegaConf.to_container(compose("config")))
        inner = {key.rpartition(".")[0] for key in offered}
        leaves = [key for key in offered if "." in key and key not in inner]
        compose("config", overrides=[f"{key}=null" for key in leaves])
    assert {"budget.images", "sampler.steps", "schedule.T"} <= set(offered)
    assert not [key for key in offered if key.startswith(("hydra", "_"))]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), 2),
        (FileNotFoundError(2, "No such file", "x"), 2),
        (OSError(28, "No space left on device"), 1),
        (Damaged("x"), 2),
        (FloatingPointError("x"), 1),
        (Unmeasured("x"), 3),
    ],
)
def test_the_exit_code_says_whose_fault_it_is(error: Exception, code: int) -> None:
    with pytest.raises(SystemExit) as ended:
        leave(error)
    assert ended.value.code == code
