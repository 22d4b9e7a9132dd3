"""What several test files share: the project's commands in a subprocess."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
Command = Callable[..., subprocess.CompletedProcess[str]]

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
