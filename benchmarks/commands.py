"""`python main.py` and `genbench` in processes of their own, as users start them, and their cost."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

__all__ = [
    "ROOT",
    "Cost",
    "measure_command",
    "measure_first_step",
    "measure_planned_sweep",
    "run_in",
    "run_to_end",
]

ROOT = Path(__file__).resolve().parents[1]
LOOK_SECONDS = 0.005


class Cost(NamedTuple):
    """Seconds of a process from its start to its end."""

    wall: float
    cpu: float
    """Seconds of all its threads and of those that it waited for."""


def measure_command(command: Sequence[str], *, threads: int) -> Cost:
    """Run `python COMMAND` to its end on so many threads of torch, and return its cost; output is dropped."""
    started = time.perf_counter()
    process = begin(command, threads)
    return ended(process, started)


def measure_first_step(overrides: Sequence[str], *, threads: int) -> Cost:
    """Run `python main.py` until the first step of its training is logged, then kill it: the cost until then.

    overrides: of the configuration. Raises RuntimeError where the process ends before its first step.
    """
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


def measure_planned_sweep(overrides: Sequence[str], jobs: int, *, threads: int) -> Cost:
    """Run `python main.py -m` until all of its jobs are checked and the first one begins, then kill it: the
    cost until then. Raises RuntimeError where the process ends before.
    """
    with tempfile.TemporaryDirectory() as folder:
        words = ["-m", *overrides, f"runs_dir={folder}", "tracker=jsonl"]
        started = time.perf_counter()
        process = begin(["main.py", *words], threads)
        while planned(Path(folder)) <= jobs:
            if process.poll() is not None:
                raise RuntimeError(f"main.py {' '.join(words)} ended before its first job")
            time.sleep(LOOK_SECONDS)
        process.kill()
        return ended(process, started)


def planned(folder: Path) -> int:
    """Return the lines in the ledger of a sweep: one for each job, and one as a job begins."""
    return sum(path.read_bytes().count(b"\n") for path in folder.glob(".sweeps/*.jsonl"))


def logged(folder: Path) -> bool:
    """True once a run in the folder has logged a training step."""
    return any(b"training_seconds" in path.read_bytes() for path in folder.rglob("*.jsonl"))


def run_to_end(overrides: Sequence[str], *, threads: int) -> dict[str, Any]:
    """Run `python main.py` with some overrides in a temporary folder: the content of its result.json.

    Raises RuntimeError where the run fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        run_in(Path(folder), overrides, threads=threads)
        return json.loads(next(Path(folder).rglob("result.json")).read_text())


def run_in(folder: Path, overrides: Sequence[str], *, threads: int) -> None:
    """Run `python main.py` with some overrides to its end, its runs below a folder. Raises RuntimeError where
    it fails.
    """
    process = begin(["main.py", *overrides, f"runs_dir={folder}", "tracker=jsonl"], threads)
    if process.wait():
        raise RuntimeError(f"main.py {' '.join(overrides)} failed")


def begin(command: Sequence[str], threads: int) -> subprocess.Popen[bytes]:
    """Start `python COMMAND` with so many threads; its output is dropped, its errors are shown."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else every start compiles all modules anew
    return subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)


def ended(process: subprocess.Popen[bytes], started: float) -> Cost:
    """Wait for a process that started at `started` (time.perf_counter), and return its cost."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Cost(time.perf_counter() - started, used.ru_utime + used.ru_stime)
