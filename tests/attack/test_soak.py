"""Long work leaves memory, handles, threads and temporary files as they were.

GENBENCH_SOAK_MINUTES says how long each of the two soaks lasts; an hour shows what two minutes do not.
"""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, linear_regression
from typing import NamedTuple

import pytest

from tests.conftest import ROOT
from tests.toys import TINY

MINUTES = float(os.environ.get("GENBENCH_SOAK_MINUTES", "2"))
PERIOD = max(MINUTES * 60 / 720, 0.25)
"""Seconds between two looks at the process."""

OFTEN = (
    *(word for word in TINY if not word.startswith(("budget", "trainer.sample", "tracker"))),
    "tracker=wandb",
    "tracker.mode=offline",
    "trainer.checkpoint_every_seconds=0.5",
    "trainer.log_every_images=256",
    "trainer.evaluate_samples=64",
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads /proc"),
]


class Look(NamedTuple):
    """Resources that a process holds at one moment."""

    seconds: float
    resident_mib: float
    handles: int
    threads: int
    children: int
    children_mib: float
    """Resident memory of all its descendants."""
    temporary_files: int
    """In its TMPDIR, and half-written ones in the directory of runs."""


def test_one_long_run_holds_no_more_after_hours_than_after_minutes(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """Checkpoints, samples, evaluations and logs each few seconds, until a signal ends the run."""
    words = (
        *OFTEN,
        "budget.images=1000000000",
        "trainer.sample_every_images=20000",
        "trainer.evaluate_every_images=20000",
    )
    looks, code = soak(words, environment, tmp_path, once="samples_*.png")
    assert code == 130
    assert_flat(looks)


def test_the_many_runs_of_a_sweep_leave_nothing_in_its_process(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """A run with all that belongs to it each few seconds, one after another in one process."""
    words = ("-m", *OFTEN, "budget.images=512", f"seed=range(0,{int(MINUTES * 60) + 10})")
    looks, code = soak(words, environment, tmp_path, once="result.json")
    assert code in (130, -signal.SIGTERM)  # it may have been between two runs
    assert len(list(tmp_path.rglob("result.json"))) >= 3 * MINUTES
    assert_flat(looks)


def soak(
    words: Sequence[str], environment: dict[str, str], folder: Path, *, once: str
) -> tuple[list[Look], int]:
    """Look at a command each PERIOD for MINUTES, and end it; returns what was seen and its exit code.

    once: the file with which the work is in full swing, and the minutes begin.
    """
    (folder / "tmp").mkdir()
    env = environment | {"TMPDIR": str(folder / "tmp"), "WANDB_MODE": "offline"}
    command = [sys.executable, str(ROOT / "main.py"), *words, f"runs_dir={folder / 'runs'}"]
    with (folder / "said.txt").open("wb") as said:
        process = subprocess.Popen(command, env=env, stdout=said, stderr=said)
    while not list(folder.rglob(once)):
        assert process.poll() is None, (folder / "said.txt").read_text()[-2000:]
        time.sleep(0.5)
    looks, began = list[Look](), time.monotonic()
    while (seconds := time.monotonic() - began) < MINUTES * 60:
        assert process.poll() is None, (folder / "said.txt").read_text()[-2000:]
        looks.append(look(process.pid, seconds, folder))
        time.sleep(PERIOD)
    process.send_signal(signal.SIGTERM)
    code = process.wait(timeout=120)
    with (folder / "looks.csv").open("w", newline="") as file:
        csv.writer(file).writerows([Look._fields, *looks])
    print(statement(looks))
    return looks, code


def look(pid: int, seconds: float, folder: Path) -> Look:
    """Read what a process and its descendants hold now."""
    status, below = status_of(pid), descendants(pid)
    # What wandb stages for an upload that is still to come is no left-over.
    half_written = [path for path in walk(folder / "runs") if path.endswith(".tmp") and "/wandb/" not in path]
    return Look(
        seconds,
        int(status["VmRSS"].split()[0]) / 1024,
        len(os.listdir(f"/proc/{pid}/fd")),
        int(status["Threads"]),
        len(below),
        sum(int(status_of(child).get("VmRSS", "0 kB").split()[0]) for child in below) / 1024,
        len(list(walk(folder / "tmp"))) + len(half_written),
    )


def walk(folder: Path) -> list[str]:
    """Paths of all files and folders below a folder, which may change meanwhile."""
    return [os.path.join(at, name) for at, below, names in os.walk(folder) for name in (*below, *names)]


def status_of(pid: int) -> dict[str, str]:
    """The kernel's status of a process, nothing of one that is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def descendants(pid: int) -> list[int]:
    """Children of a process, and theirs."""
    try:
        found = [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in children(task)]
    except OSError:
        return []
    return [*found, *(grandchild for child in found for grandchild in descendants(child))]


def children(task: Path) -> list[str]:
    """Children that one thread started."""
    return (task / "children").read_text().split()


def thirds(looks: Sequence[Look], column: str) -> tuple[float, float]:
    """Means of a column over the middle and the last third."""
    values = [float(getattr(one, column)) for one in looks]
    third = len(values) // 3
    return fmean(values[third : 2 * third]), fmean(values[2 * third :])


def statement(looks: Sequence[Look]) -> str:
    """Each column's means over the middle and last third, and the slope of the memory over both."""
    late = looks[len(looks) // 3 :]
    per_hour = (
        3600 * linear_regression([one.seconds for one in late], [one.resident_mib for one in late]).slope
    )
    columns = [f"{name} {a:.2f} -> {b:.2f}" for name in Look._fields[1:] for a, b in [thirds(looks, name)]]
    return f"{len(looks)} looks in {looks[-1].seconds:.0f} s: {', '.join(columns)}; {per_hour:+.2f} MiB/h"


def assert_flat(looks: Sequence[Look]) -> None:
    """Assert that the last third holds what the middle third held, but for the allocator's noise."""
    for column, share, slack in (
        ("resident_mib", 1.02, 8.0),
        ("handles", 1.0, 2.0),
        ("threads", 1.0, 1.0),
        ("children", 1.0, 1.0),
        ("temporary_files", 1.0, 10.0),  # some wait for the garbage collector
    ):
        middle, last = thirds(looks, column)
        assert last <= share * middle + slack, f"{column}: {statement(looks)}"
