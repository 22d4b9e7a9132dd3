"""What a refused command is told: the mistake in the user's words, and what is near it."""

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException

from genbench.app.held_overrides import held, hold
from genbench.app.messages import message, paths, unknown, why
from genbench.config.groups import CONF


def refusal(*words: str) -> str:
    with initialize_config_dir(str(CONF), version_base="1.3"), pytest.raises(HydraException) as caught:
        compose("config", overrides=list(words))
    return why(caught.value, words)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("budget.imagess=3", "there is no key budget.imagess; near: budget.images"),
        ("budget.imagess=3", "budget has images, seconds, flops"),
        ("bugdet.images=3", "near: budget.images"),
        ("batch_size=3", "near: trainer.batch_size, metrics.batch_size"),
        ("modl=vae", "there is no key modl; near: model"),
        ("trainer.nonsense=1", "there is no key trainer.nonsense; trainer has batch_size, devices"),
        ("schedule=cosin", "there is no schedule=cosin; legal are cosine, edm"),
        ("schedule=cosin", "Is it cosine?"),
        ("likelihood=logistic", "likelihood is no axis of model=ddpm, which has process, schedule"),
    ],
)
def test_a_misspelt_word_is_told_with_what_is_near_it(word: str, told: str) -> None:
    assert told in refusal("seed=1", word)
    assert "+" not in refusal("seed=1", word)  # Hydra's advice to append the key


def test_what_is_near_is_sought_in_the_model_that_was_asked_for() -> None:
    assert "near: network.encoder.width" in refusal("model=vae", "network.encoder.widht=3")
    assert "near: network.width; network has" in refusal("model=ddpm", "network.widht=3")


def test_keys_that_are_offered_can_be_set() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        offered = list(paths(compose("config")))
        leaves = [
            key for key in offered if "." in key and not any(other.startswith(f"{key}.") for other in offered)
        ]
        compose("config", overrides=[f"{key}=null" for key in leaves])
    assert {"budget.images", "sampler.steps", "schedule.T"} <= set(offered)
    assert not [key for key in offered if key.startswith(("hydra", "_"))]


def test_an_error_of_ours_is_told_as_it_is() -> None:
    assert message(ValueError("seed is 'x'")) == "seed is 'x'"


@pytest.mark.parametrize(
    "word",
    [
        "likelihood=logistic",
        "data.root='/a b/c,d'",
        "data.root='/x/it\\'s'",
        "data.root=null",
        "scores=[fid,kid]",
        "+a.b=3e-4",
        "a=${seed}",
        "~tuned=x",
    ],
)
def test_what_a_sweep_does_not_vary_waits_for_its_jobs(word: str) -> None:
    assert hold(["-m", "model=vae,gan", word]) == ["-m", "model=vae,gan"]
    assert held() == [word]
    assert hold(["sweep=families", word]) == ["sweep=families"]
    assert hold([word]) == [word]  # a single run
    assert held() == []


@pytest.mark.parametrize(
    "word",
    [
        *("seed=0,1", "seed=range(0,3)", "loss=choice(l1,l2)", "--multirun", "~tuned", "x"),
        *("name=x", "runs_dir=/tmp/x", "++runs_dir=/tmp/x", "hydra/launcher=joblib"),
        *("+hydra.launcher.ray.remote.num_gpus=1", "++hydra.launcher.n_jobs=2", "seed=1]"),
    ],
)
def test_what_varies_or_is_of_the_sweep_itself_is_left_to_hydra(word: str) -> None:
    assert hold(["-m", word]) == ["-m", word]
    assert held() == []


@pytest.mark.parametrize("word", ["sweep=search", "hydra/sweeper=optuna"])
def test_a_search_gets_all_words(word: str) -> None:
    assert hold(["-m", word, "network.width=16"]) == ["-m", word, "network.width=16"]
    assert held() == []


def test_hints_do_not_need_the_words_that_vary() -> None:
    words = ["seed=0,1", "model=vae", "network.encoder.widht=16"]
    assert "near: network.encoder.width" in unknown("network.encoder.widht", words)


def test_an_unknown_part_of_hydra_is_told_in_its_own_words() -> None:
    assert "hydra/job_logging/nope" in refusal("hydra/job_logging=nope")
