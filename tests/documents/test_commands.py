"""Commands of the pages: what trains is composed, verbs are parsed, and what takes no time is run."""

import os
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import typer
from hydra import compose
from hydra.errors import MissingConfigException
from omegaconf import OmegaConf

from genbench.app.command import as_text, check_command, parse_command
from genbench.app.search_path import composing
from genbench.app.words import parse_override
from genbench.cli.main import app
from genbench.config import schema
from genbench.config.groups import groups, options
from genbench.config.help import help_text
from genbench.config.option_folders import OF_USER, use_folder
from tests.conftest import Command as Run
from tests.documents import examples
from tests.documents.pages import PAGES, ROOT, Command, commands, filled

PLUGIN = ROOT / "examples" / "plugin" / "genbench_pixels" / "conf"
STANDING = {"PATH": "images", "RUN": "run", "DIR": "made", "NAME": "mine", "USER/NAME": "somebody/something"}
NOT_INSTALLED = [
    f"{kind}/{name}"
    for kind, name in (("sweeper", "optuna"), ("launcher", "ray"))
    if not find_spec(f"hydra_plugins.hydra_{name}_{kind}")
]
"""Options of Hydra's own groups that come with extras; without them their commands cannot be composed."""
FACTS = {"shape": [1, 8, 8], "num_classes": 0}
"""Facts of some data, which a run fills in once its data are read."""
QUICK = ("report", "compare", "sample", "export", "doctor", "new", "schedules", "interpolate")
CUTS = ("budget.images=128", "metrics.samples=64", "metrics.likelihood_samples=16")
"""Settings with which a training of minutes takes seconds."""
NEEDS = re.compile(
    r"sweep=|experiment=(cifar10|fashion)|data=(cifar10|mnist|fashion_mnist|image_folder)|model=diffusers|NAME|DIR|RUN"
    r"|PATH|HOST|config-dir|features=(inception|dinov2)|devices="
)
"""Parts of a command that needs other data, several processes, minutes, or something of the reader's own."""
NEEDS_OF_VERBS = re.compile(
    r"inception|classifier|cifar10|image_folder|my_model|NAME|hf:|captions$|clip_score"
)
"""Parts of a verb's command that needs other data, minutes, or something of the reader's own."""
NOT_RUN = ("serve", "votes", "push", "dashboard", "submit", "leaderboard")
"""Verbs that wait for a browser, read what another command of the page wrote, or write to an account."""
WITH_COMMANDS = [page for page in PAGES if commands(page)] or ["README.md"]


def slow_of(*dear: str) -> list[Any]:
    """The pages with commands as parameters of a test, those whose names begin with `dear` marked slow."""
    marks = {page: [pytest.mark.slow] if page.startswith(dear) else [] for page in WITH_COMMANDS}
    return [pytest.param(page, marks=found) for page, found in marks.items()]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return examples.folder(tmp_path_factory.mktemp("place"))


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a reader, who has runs and images in it."""
    monkeypatch.chdir(place)
    return place


def job(overrides: list[str], number: int) -> tuple[str, ...]:
    """The overrides of the first job of a sweep, number 0, or of the last one, -1. Raises ValueError where an
    option of any job does not exist; to compose all of them would take minutes.
    """
    axes = [values_of(word) for word in overrides]
    for group, _, option in (value.partition("=") for axis in axes for value in axis):
        if group in groups() and option.isidentifier() and option not in options(group):
            raise ValueError(f"{group} has no option {option}")
    return tuple(axis[number] for axis in axes)


def values_of(word: str) -> list[str]:
    """An override for each value that a sweep has of it."""
    override = parse_override(as_text(word))
    if override is None or not override.is_sweep_override():
        return [word]
    return [f"{override.input_line.split('=')[0]}={value}" for value in override.sweep_string_iterator()]


def check_training(words: list[str], number: int) -> None:
    """Raise ValueError, or an error of Hydra's, where a command that trains would be refused."""
    args = parse_command(words)
    if any("NAME" in word for word in args.overrides) and args.config_dir is None:
        args.config_dir = str(PLUGIN)
    overrides = [examples.of_plugin(word) for word in args.overrides]
    with patch.dict(os.environ):
        if args.config_dir is not None:
            use_folder(PLUGIN if args.config_dir.startswith("DIR") else ROOT / args.config_dir)
        if args.help:
            help_text(overrides)
            return
        check_command(args)
        if args.shell_completion:
            return
        chosen = job([filled(word, STANDING) for word in overrides], number)
        try:
            check_composed(chosen, os.environ.get(OF_USER))
        except MissingConfigException as error:
            if not any(f"hydra/{name}'" in str(error) for name in NOT_INSTALLED):
                raise


@cache
def check_composed(words: tuple[str, ...], folder: str | None) -> None:
    """Raise ValueError on a key or a value that the classes of a configuration do not take.
    folder: further options, which the environment names too; pages share many commands, composed once.
    """
    with composing():
        cfg = compose("config", overrides=list(words))
    unresolved: Any = OmegaConf.to_container(cfg)
    resolved: Any = OmegaConf.to_container(OmegaConf.merge(cfg, {"image": FACTS}), resolve=True)
    schema.check_root(resolved, unresolved)
    for key, node in resolved.items():
        if isinstance(node, dict) and key not in ("image", "hydra"):
            schema.check(node, key)


@pytest.mark.parametrize("number", [0, pytest.param(-1, marks=pytest.mark.slow)], ids=["first", "last"])
@pytest.mark.parametrize("page", slow_of("docs/families/", "docs/results.md", "docs/claims.md"))
def test_what_a_page_trains_composes_to_a_configuration_that_its_classes_take(page: str, number: int) -> None:
    refused = []
    for command in commands(page):
        if command.training is not None:
            try:
                check_training(list(command.training), number)
            except Exception as error:
                refused.append(f"{command}: {type(error).__name__}: {error}")
    assert not refused, "\n".join(refused)


@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_the_verbs_of_a_page_take_the_words_that_it_gives_them(page: str, here: Path) -> None:
    group = typer.main.get_command(app)
    refused = []
    for command in commands(page):
        if command.verb is None or "--help" in command.verb or command.verb[0] == "--version":
            continue
        try:
            with patch.dict(os.environ):
                name, *words = typed(command, examples.runs_of(here)[0], here)
                group.commands[name].make_context(name, words, parent=None)
        except Exception as error:
            refused.append(f"{command}: {type(error).__name__}: {error}")
    assert not refused, "\n".join(refused)


def typed(command: Command, run: Path, here: Path) -> list[str]:
    """The words of a verb as a reader would type them, who has the examples of the repository too."""
    sweeps = {f"runs/{name}": "runs/default" for name in ("four", "choice", "nine")}
    made = {"DIR/NAME/conf": str(PLUGIN), **sweeps}
    words = [filled(made.get(word, word), examples.values(here, run)) for word in command.verb or ()]
    return [str(ROOT / word) if word.startswith("examples/") else word for word in words]


def check_runs(page: str, verbs: tuple[str, ...] | None, verb: Run, here: Path) -> None:
    """Assert that commands end well with one of the runs at least; verbs: those to run, None: all others."""
    failed = []
    for command in commands(page):
        if command.verb is None or command.verb[0] in NOT_RUN:
            continue
        if verbs is not QUICK and any(NEEDS_OF_VERBS.search(word) for word in command.verb):
            continue
        if (command.verb[0] in QUICK) != (verbs is QUICK):
            continue
        ends = [run_with(command, run, verb, here) for run in tried(command, here)]
        if all(ends):
            failed.append(f"{command}: {' / '.join(dict.fromkeys(ends))}")
    assert not failed, "\n".join(failed)


def tried(command: Command, here: Path) -> list[Path]:
    """The runs with which a command is tried; one where it names none."""
    runs = examples.runs_of(here)
    return runs if any("RUN" in word.split("/") for word in command.words) else runs[:1]


def run_with(command: Command, run: Path, verb: Run, here: Path) -> str:
    """The message with which a command fails; nothing where it ends with exit code 0."""
    with patch.dict(os.environ):
        done = verb(*typed(command, run, here))
    return done.stderr.strip() or f"exit code {done.returncode}" if done.returncode else ""


@pytest.mark.parametrize(
    "page", slow_of("docs/sampling.md", "docs/samplers.md", "docs/guidance.md", "docs/editing.md")
)
def test_short_verbs_of_a_page_run(page: str, verb: Run, here: Path) -> None:
    check_runs(page, QUICK, verb, here)


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_longer_verbs_of_a_page_run(page: str, verb: Run, here: Path) -> None:
    check_runs(page, None, verb, here)


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_what_a_page_trains_on_images_that_are_there_trains(page: str, main: Run, here: Path) -> None:
    failed = []
    for command in commands(page):
        words = command.training or ("-m",)
        if {"-m", "--help", "--cfg", "-sc"} & set(words) or any(NEEDS.search(word) for word in words):
            continue
        tracker = [] if any("tracker" in word for word in words) else ["tracker=jsonl"]
        done = main(*words, *CUTS, *tracker, "runs_dir=trained", "device=cpu", "precision=fp32")
        if done.returncode:
            failed.append(f"{command}: {done.stderr.strip()}")
    assert not failed, "\n".join(failed)
