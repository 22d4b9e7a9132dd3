"""`python main.py` and `genbench` as their users call them: in processes of their own, which are measured."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["ROOT", "Cost", "finished", "first_step", "helped"]

ROOT = Path(__file__).resolve().parents[1]
LOOK_SECONDS = 0.005


class Cost(NamedTuple):
    """Of a process."""

    wall: float
    cpu: float
    """Seconds of all its threads and of those that it waited for."""


def helped(command: Sequence[str], *, threads: int) -> Cost:
    """A command to its end."""
    started = time.perf_counter()
    process = begin(command, threads)
    return ended(process, started)


def first_step(overrides: Sequence[str], *, threads: int) -> Cost:
    """From the start of `python main.py` to the log of the first step of its training; then it is killed."""
    with tempfile.TemporaryDirectory() as folder:
        words = [*overrides, "trainer.log_every_images=1", f"runs_dir={folder}", "tracker=jsonl"]
        started = time.perf_counter()
        process = begin(["main.py", *words], threads)
        while not logged(Path(folder)):
            if process.poll() is not None:
                raise RuntimeError(f"main.py {' '.join(words)} ended before its first step")
            time.sleep(LOOK_SECONDS)
        process.kill()
        return ended(process, started)


def logged(folder: Path) -> bool:
    """Whether a run in the folder has logged a step."""
    return any(b"training_seconds" in path.read_bytes() for path in folder.rglob("*.jsonl"))


def finished(overrides: Sequence[str], *, threads: int) -> dict[str, Any]:
    """The record of a run of `python main.py`."""
    with tempfile.TemporaryDirectory() as folder:
        process = begin(["main.py", *overrides, f"runs_dir={folder}", "tracker=jsonl"], threads)
        if process.wait():
            raise RuntimeError(f"main.py {' '.join(overrides)} failed")
        return json.loads(next(Path(folder).rglob("result.json")).read_text())


def begin(command: Sequence[str], threads: int) -> subprocess.Popen[bytes]:
    """Start `python` with some words; what it prints is dropped, but for errors."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else every start compiles all modules anew
    return subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)


def ended(process: subprocess.Popen[bytes], started: float) -> Cost:
    """Wait for a process, and say what it cost."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Cost(time.perf_counter() - started, used.ru_utime + used.ru_stime)
