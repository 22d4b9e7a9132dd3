"""What several test files share: the project's commands in a subprocess, and runs with random weights."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import Tensor

from genbench import app
from genbench.records.run_directory import Run
from genbench.training.checkpoint import CheckpointStore

ROOT = Path(__file__).resolve().parents[1]
Command = Callable[..., subprocess.CompletedProcess[str]]
Make = Callable[..., Path]

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
def main(environment: dict[str, str]) -> Command:
    """`python main.py ...` as a user calls it, from another directory."""

    def call(*arguments: str, env: dict[str, str] = environment) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "main.py"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=env, timeout=300, check=False)

    return call


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """What loading needs of the run of some overrides, with random weights: training would take longer."""

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
