"""Words of other trainers' command lines: told which setting is meant, with the value where it converts."""

import re

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException

from genbench.app.command import check_command, parse_command
from genbench.app.field_words import FIELD_WORDS, instead, keys_of
from genbench.app.messages import explain_error
from genbench.app.misfit import composed
from genbench.config.groups import groups, options
from genbench.config.option_folders import CONF

MEANT = {
    "epochs=10": "budget.images=14380 ",  # of the 1,438 training images of digits
    "epochs=10 data=cifar10": "budget.images=500000 ",
    "trainer.max_epochs=0.5": "budget.images=719 ",
    "epochs=ten": "budget.images=VALUE ",
    "epochs=-1": "budget.images=VALUE ",
    "lr=1e-3": "optim.lr=1e-3",
    "learning_rate=0.1": "optim.lr=0.1",
    "batch_size=32": "trainer.batch_size=32",
    "batch=32": "trainer.batch_size=32",
    "steps=20": "sampler.steps=20 (of sampling); or budget.images=1280 (updates times trainer.batch_size)",
    "steps=20 model=vae": "budget.images=1280 ",
    "num_steps=20": "sampler.steps=20 ",
    "steps=20 model=flow_matching": "solver.steps=20 (of sampling); or budget.images=1280 ",
    "nfe=2 model=consistency": "process.steps=2 ",
    "cfg_scale=2": "guidance=OPTION (with conditional=true; then guidance.scale): choose from ",
    "cfg_scale=2 guidance=classifier_free conditional=true": "guidance.scale=2 ",
    "sampler.num_steps=20": "sampler.steps=20 ",
    "sampler_steps=20": "sampler.steps=20 ",
    "max_steps=10 trainer.batch_size=32": "budget.images=320 ",
    "iterations=10": "budget.images=640 ",
    "timesteps=1000": "schedule.T=1000 ",
    "T=1000": "schedule.T=1000 ",
    "dataset=cifar10": "data=cifar10",
    "dataset=mine": "data=OPTION: choose from captioned, celeba, cifar10, cifar100, digits",
    "data_dir=/x": "data=image_folder data.root=/x",
    "gpus=2": "trainer.devices=2 ",
    "dim=64": "network.width=64",
    "width=64 model=vae": "network.encoder.width=64; or network.decoder.width=64",
    "output_dir=/x": "runs_dir=/x",
    "n_samples=100": "metrics.samples=100",
    "scheduler=cosine": "schedule=cosine (of the noise); or lr_schedule=cosine (of the learning rate)",
    "scheduler=ddim": "sampler=ddim ",
    "optimizer=adamw": "optim=adamw",
    "optimizer=sgd": "optim=OPTION: choose from adam, adam_gan, adamw, nadam",
    "ema=0.999": "trainer.ema_halflife_images=44339 ",
    "ema=10": "trainer.ema_halflife_images=VALUE ",
    "ema=true": "trainer.ema_halflife_images=VALUE ",
    "fp16=true": "precision=bf16 ",
    "amp=true": "precision=bf16 ",
    "amp=false": "precision=fp32 ",
    "wandb=false": "tracker=jsonl ",
    "fid=true": "scores=[fid] ",
    "fid=false": "metrics=none",
}


def words_of(command: str) -> tuple[str, str, list[str]]:
    """The key and the value of the first word, and the others."""
    word, *others = command.split()
    key, _, value = word.partition("=")
    return key, value, others


@pytest.mark.parametrize("command", MEANT)
def test_a_word_of_the_field_is_answered_with_the_setting_and_its_value(command: str) -> None:
    assert f"{instead(*words_of(command))} ".startswith(MEANT[command])


@pytest.mark.parametrize("command", ["lr=1e-3", "epochs=10", "network.width=8 model=vae", "nonsense=3"])
def test_the_message_of_a_missing_key_has_the_setting_that_is_meant(command: str) -> None:
    words = command.split()
    with initialize_config_dir(str(CONF), version_base="1.3"), pytest.raises(HydraException) as raised:
        compose("config", overrides=words)
    key, value, others = words_of(command)
    meant = instead(key, value, others)
    assert (f": write {meant}" if meant else "") in explain_error(raised.value, words)
    assert bool(meant) == (key in ("lr", "epochs"))  # a key of other models has its own hints


def test_each_word_leads_to_keys_and_groups_that_are_there() -> None:
    models = [composed([f"model={name}"]) for name in options("model")]
    of_runs = ("guidance=classifier_of_run",), ("model=latent_diffusion", "autoencoder=run")
    models += [composed(list(words)) for words in (*of_runs, ("model=cascade", "base_model=run"))]
    known = {key for tree in models for key in [*keys_of(tree), *tree]} | {"guidance.scale"}
    for word, meanings in FIELD_WORDS.items():
        assert word == word.lower()
        assert word not in groups(), word
        for meaning in meanings:
            assert meaning.key in known or meaning.otherwise, (word, meaning.key)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--model", "ddpm"], "did you mean model=ddpm?"),
        (["--lr=1e-3"], "did you mean optim.lr=1e-3?"),
        (["--batch-size", "32", "--seed=1"], "did you mean trainer.batch_size=32, seed=1?"),
        (["--conditional"], "did you mean conditional=true?"),
        (["model", "ddpm"], "'model ddpm' lacks an equals sign: write model=ddpm"),
        (["seed=1", "epochs", "1"], "write budget.images=1438 "),
        (["ddpm"], "did you mean model=ddpm"),
        (["seed=1", "cifar10"], "did you mean data=cifar10"),
        (["--multirn"], "Did you mean --multirun?"),
        (["--cfg", "foo"], "`python main.py --help` shows what can be given"),  # an option, no scale
    ],
)
def test_dashes_and_missing_equals_signs_are_mended(words: list[str], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        check_command(parse_command(words))


def test_what_is_written_as_it_must_be_is_accepted() -> None:
    check_command(parse_command(["-m", "model=ddpm,vae", "~tuned", f"data={options('data')[0]}"]))
