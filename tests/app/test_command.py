"""Words of a command as Hydra gets them: options in front, settings of jobs as parameters of the sweeper."""

from collections.abc import Sequence

import pytest
from hydra import compose, initialize_config_dir
from hypothesis import given, settings
from hypothesis import strategies as st

from genbench.app.command import check_command, parse_command, words_for_hydra
from genbench.config.option_folders import CONF


def for_hydra(*words: str) -> list[str]:
    return words_for_hydra(words, parse_command(words))


def params(words: Sequence[str]) -> dict[str, str]:
    """The parameters of the sweeper that Hydra composes from the words of a sweep."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=[word for word in words if word != "-m"], return_hydra_config=True)
    return dict(cfg.hydra.sweeper.params)


@pytest.mark.parametrize("place", range(4))
def test_the_option_of_a_sweep_may_stand_anywhere(place: int) -> None:
    words = ["model=vae,gan", "likelihood=gaussian", "seed=0,1"]
    words.insert(place, "-m")
    found = for_hydra(*words)
    assert found[0] == "-m"
    assert params(found) == {"model": "vae,gan", "likelihood": "gaussian", "seed": "0,1"}


def test_other_options_may_stand_anywhere_too() -> None:
    assert for_hydra("seed=1", "--cfg", "job", "model=vae") == ["--cfg", "job", "seed=1", "model=vae"]
    assert for_hydra("seed=1", "-cd", "a=b", "model=vae") == ["-cd", "a=b", "seed=1", "model=vae"]


def test_a_single_run_gets_its_words_as_they_are() -> None:
    words = ["model=vae", "network.width='a, b'", "+x=${seed}", "~tuned"]
    assert for_hydra(*words) == words


def test_what_the_sweep_needs_itself_stays_an_override() -> None:
    own = ["name=x", "++runs_dir=/tmp/x", "hydra/launcher=joblib", "++hydra.launcher.n_jobs=2", "~tuned", "x"]
    found = for_hydra("-m", *own, "seed=0,1")
    assert found[:-1] == ["-m", *own]


def test_a_preset_is_a_sweep_whose_parameters_the_command_line_changes() -> None:
    found = for_hydra("sweep=families", "seed=5", "network.width=8")
    assert found[0] == "sweep=families"
    composed = params(found)
    assert (composed["seed"], composed["network.width"]) == ("5", "8")
    assert composed["model"].startswith("ddpm,")
    assert for_hydra("sweep=null", "seed=5") == ["sweep=null", "seed=5"]


def test_one_job_of_a_preset_gets_its_words_as_they_are() -> None:
    """As parameters of a sweep that is none they would have no effect: the default would be trained."""
    words = ["sweep=families", "hydra.mode=RUN", "model=vae", "seed=1"]
    assert for_hydra(*words) == words
    assert for_hydra("-m", *words)[:3] == ["-m", *words[:2]]  # which Hydra puts above the mode
    assert for_hydra("hydra.mode=MULTIRUN", "seed=1,2")[0] == "hydra.mode=MULTIRUN"
    assert "seed" in for_hydra("hydra.mode=MULTIRUN", "seed=1,2")[1]


@pytest.mark.parametrize("word", ["sweep=search", "hydra/sweeper=optuna"])
def test_a_search_reads_all_words_itself(word: str) -> None:
    assert for_hydra("-m", word, "network.width=16") == ["-m", word, "network.width=16"]


@pytest.mark.parametrize(
    "value",
    [
        *("null", "'/a b/c,d'", r"'/x/it\'s'", r"'\\'", "[fid,kid]", "3e-4", "${seed}", r"'\${seed}'", ""),
        *(r"\\${seed}", "{a:1,b:[x,'y z']}", "choice(a,b)", "range(0,3)", r"C:\a\ ", "1]", "a=b"),
    ],
)
def test_each_value_reaches_the_jobs_as_it_was_written(value: str) -> None:
    assert params(for_hydra("-m", f"x.y={value}", f"+z={value}")) == {"x.y": value, "+z": value}


@settings(max_examples=8, deadline=None, derandomize=True)
@given(value=st.text(alphabet="a\\'\"${} ,:[]=", max_size=8))
def test_no_value_is_changed_on_its_way_to_the_jobs(value: str) -> None:
    assert params(for_hydra("-m", f"x={value}")) == {"x": value}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["seed=0", "--experimental-rerun", "x.pickle"], "--experimental-rerun reads a pickle"),
        (["--exp=x.pickle"], "--experimental-rerun reads a pickle"),
        (["-m", "--cfg", "job"], "--cfg shows one configuration"),
        (["+hydra={job: {env_set: {HF_TOKEN: x}}}"], "would write HF_TOKEN into the run"),
        (["schedule=null"], "schedule=null chooses no option of schedule: choose from cosine, edm"),
    ],
)
def test_what_hydra_would_take_and_must_not_be_is_refused(words: list[str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check_command(parse_command(words))
