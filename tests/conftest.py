"""Tools that several test files share: the project's commands, and runs with random weights."""

import gc
import logging
import os
import runpy
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, NamedTuple
from unittest.mock import patch

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import Tensor

from genbench import app
from genbench.app.composing_memory import parsed_once
from genbench.cli.main import main as run_verb
from genbench.records.run_directory import Run
from genbench.training.checkpoint import CheckpointStore

ROOT = Path(__file__).resolve().parents[1]
Make = Callable[..., Path]


@pytest.fixture
def hears_hang_ups() -> Iterator[None]:
    """Let signals of a hang-up reach the test and its commands, also where nohup started the suite."""
    numbers = [number for number in signal.Signals if number.name in ("SIGHUP", "SIGUSR2")]
    before = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Done(NamedTuple):
    """The end of a command, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


Command = Callable[..., Done]

# What is imported and collected is not garbage: to search it again and again takes a tenth of the time.
gc.disable()


def pytest_collection_finish() -> None:
    """Search for garbage from here on, among what the tests make."""
    gc.freeze()
    gc.enable()


# What Hydra has parsed stays parsed: half of the time of each composition, and there are thousands.
COMPOSING = parsed_once()
COMPOSING.__enter__()

# One thread: the toy networks are too small to share, and two cores serve several test processes.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Every test draws the same numbers, alone or after others, whatever it draws them for."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of commands: their own cache, no wandb account, one thread."""
    cache = tmp_path_factory.mktemp("cache")
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    return kept | {"GENBENCH_CACHE": str(cache), "OMP_NUM_THREADS": "1", "COLUMNS": "160"}


@pytest.fixture(scope="session")
def process(environment: dict[str, str]) -> Command:
    """`python main.py ...` as a user calls it, in a process of its own; to load torch there takes seconds."""

    def call(*words: object, env: Mapping[str, str] = environment) -> Done:
        command = [sys.executable, str(ROOT / "main.py"), *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300, check=False)
        return Done(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture(scope="session")
def main(environment: dict[str, str]) -> Command:
    """`python main.py ...` in this process, which has loaded torch already: for all that needs no other."""

    def call(*words: object, env: Mapping[str, str] = environment) -> Done:
        script = str(ROOT / "main.py")
        return in_this_process(lambda: runpy.run_path(script, run_name="__main__"), [script, *words], env)

    return call


@pytest.fixture(scope="session")
def verb(environment: dict[str, str]) -> Command:
    """`genbench VERB ...` in this process."""

    def call(*words: object, env: Mapping[str, str] = environment) -> Done:
        return in_this_process(run_verb, ["genbench", *words], env)

    return call


def in_this_process(work: Callable[[], object], words: list[object], env: Mapping[str, str]) -> Done:
    """Run a command with the arguments, environment and streams of a process of its own, and undo all of it.

    Anything but SystemExit is raised: it would be a traceback.
    """
    root, code = logging.getLogger(), 0
    handlers, level = root.handlers[:], root.level
    with redirected() as streams, patch.dict(os.environ, env, clear=True), warnings.catch_warnings():
        warnings.resetwarnings()
        warnings.showwarning = shown_on_stderr
        with patch.object(sys, "argv", list(map(str, words))):
            try:
                work()
            except SystemExit as ended:
                code = int(ended.code or 0)
            finally:
                root.handlers[:], root.level = handlers, level
        for name in ("stdout", "stderr"):
            getattr(sys, name).flush()
        return Done(code, *(read_all(stream) for stream in streams))


def shown_on_stderr(
    message: Warning | str, category: type[Warning], name: str, line: int, *_: object
) -> None:
    """Print a warning as a process does whose warnings no pytest collects."""
    if not issubclass(category, DeprecationWarning | PendingDeprecationWarning | ResourceWarning):
        sys.stderr.write(warnings.formatwarning(message, category, name, line))


@contextmanager
def redirected() -> Iterator[list[IO[bytes]]]:
    """Let stdout and stderr, also of libraries and child processes, go to two files."""
    with ExitStack() as stack:
        files = [stack.enter_context(TemporaryFile()) for _ in range(2)]
        for number, name, file in zip((1, 2), ("stdout", "stderr"), files, strict=True):
            getattr(sys, name).flush()
            before = os.dup(number)
            stack.callback(os.close, before)
            stack.callback(os.dup2, before, number)
            os.dup2(file.fileno(), number)
            stream = open(number, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            stack.enter_context(patch.object(sys, name, stream))
        yield files


def read_all(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Make the loadable part of a run of overrides, with random weights: training would take longer."""

    @cache
    def make(*overrides: str) -> Path:
        run = Run(tmp_path_factory.mktemp("run"))
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            cfg = compose("config", overrides=[*overrides, "device=cpu"])
        (run.path / ".hydra").mkdir()
        OmegaConf.save(cfg, run.path / ".hydra" / "config.yaml")
        OmegaConf.save(list(overrides), run.path / ".hydra" / "overrides.yaml")
        model = app.build(cfg).model
        config = OmegaConf.to_container(cfg, resolve=True)
        assert isinstance(config, dict)
        run.begin("identity", config, "cpu", 0)
        CheckpointStore(run.checkpoints).save(
            {"ema": shaken(model), "model": shaken(model), "images_seen": 64}
        )
        return run.path

    return make


def shaken(model: torch.nn.Module) -> dict[str, Tensor]:
    """Weights from which no answer is 0, as those of an untrained network are."""
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            rng = torch.Generator().manual_seed(number)
            parameter += 0.1 * torch.randn(parameter.shape, generator=rng)
    return {name: value.clone() for name, value in model.state_dict().items()}
