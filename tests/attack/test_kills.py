"""Sixty kills of real processes, with damage of what they leave: the run ends as if there were none."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import ROOT
from tests.toys import TINY

KILLS = 60
MOST = 60  # changes of the folder of checkpoints before a kill, three for each that is saved
LONGEST = 0.05  # seconds from there to the kill
WORDS = (*TINY, "budget.images=8192", "trainer.checkpoint_every_seconds=1e-9")


def cut(path: Path, chance: random.Random) -> None:
    os.truncate(path, chance.randrange(path.stat().st_size))


def flip(path: Path, chance: random.Random) -> None:
    content, bit = bytearray(path.read_bytes()), chance.randrange(8 * path.stat().st_size)
    content[bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(content)


def blank(path: Path, chance: random.Random) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def remove(path: Path, chance: random.Random) -> None:
    path.unlink()


HARMS: dict[str, Callable[[Path, random.Random], None] | None] = {
    "kill alone": None,
    "last.pt cut": cut,
    "last.pt with a bit flipped": flip,
    "last.pt zeroed": blank,
    "last.pt removed": remove,
}


def is_whole(path: Path) -> bool:
    return path.exists() and zipfile.is_zipfile(path) and zipfile.ZipFile(path).testzip() is None


DRIVER = """
import json, os, runpy, sys
import genbench.app.job, genbench.report, genbench.session.session, sklearn.datasets, torchmetrics
for line in sys.stdin:
    sys.argv = ["main.py", *json.loads(line)]
    if (pid := os.fork()) == 0:
        log = os.open(os.environ["LOG"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1), os.dup2(log, 2)
        runpy.run_path("main.py", run_name="__main__")
        sys.exit()
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""
"""Forks a process for each line of JSON words: `python main.py WORDS` without the seconds of its imports."""


class Driver:
    """Starts runs as processes of their own."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.log = log
        self.process = subprocess.Popen(
            [sys.executable, "-c", DRIVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment | {"LOG": str(log)},
        )

    def start(self, words: Sequence[str]) -> int:
        """Start a run; its process id."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{json.dumps(words)}\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> int:
        """The next number that the driver says: a process id, or an exit code once the process has ended."""
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())


def kill_at(pid: int, folder: Path, saves: int, delay: float) -> None:
    """Kill a process `delay` seconds after it has changed a folder so many times, unless it ends before."""
    before, end = changed(folder), time.monotonic() + 300
    while saves and Path(f"/proc/{pid}").exists() and time.monotonic() < end:
        if changed(folder) != before:
            before, saves = changed(folder), saves - 1
        time.sleep(0.002)
    time.sleep(delay)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def changed(folder: Path) -> int:
    return folder.stat().st_mtime_ns if folder.exists() else 0


def end_of(run: Path) -> dict[str, Any]:
    """All that a run comes to: weights, results, and what it logged of its losses."""
    result = json.loads((run / "result.json").read_text())
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    state = torch.load(run / "checkpoints" / "last.pt", weights_only=True)
    return {
        "weights": [value.tolist() for key in ("model", "ema") for value in state[key].values()],
        "results": [result[key] for key in ("metrics", "likelihood", "reconstruction")],
        "losses": [(line["images_seen"], line["net/loss"]) for line in lines if "net/loss" in line],
        "pictures": {path.name: path.read_bytes() for path in (run / "samples").glob("*.png")},
    }


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc to see whether a process is there")
def test_sixty_kills_with_damaged_checkpoints_change_no_bit(
    environment: dict[str, str], tmp_path: Path
) -> None:
    driver = Driver(environment, tmp_path / "log")
    driver.start([*WORDS, f"runs_dir={tmp_path}", "name=straight"])
    assert driver.answer() == 0, driver.log.read_text()
    (straight,) = (tmp_path / "straight").iterdir()
    expected, chance = end_of(straight), random.Random(17)
    table, chains, code = Counter[str](), 0, 0
    while table.total() < KILLS:
        chains += 1
        run = tmp_path / f"chain{chains}" / straight.name
        last, previous = run / "checkpoints" / "last.pt", run / "checkpoints" / "previous.pt"
        words = [*WORDS, f"runs_dir={tmp_path}", f"name=chain{chains}"]
        while table.total() < KILLS:
            kill_at(driver.start(words), last.parent, chance.randrange(MOST), chance.uniform(0, LONGEST))
            if (code := driver.answer()) != -signal.SIGKILL:
                break
            assert is_whole(last) or is_whole(previous) or not (last.exists() or previous.exists())
            name = list(HARMS)[table.total() % len(HARMS)]
            harm = HARMS[name]
            # With one checkpoint alone the run would start anew, or rightly refuse to.
            if harm is not None and last.exists() and is_whole(previous):
                harm(last, chance)
            elif harm is not None:
                name = f"{name}: not done, there was one checkpoint"
            table[name] += 1
        if code == -signal.SIGKILL:
            driver.start(words)
            code = driver.answer()
        assert code == 0, driver.log.read_text()
        assert end_of(run) == expected, (chains, table)
        assert not list(run.rglob("*.tmp"))
    driver.process.communicate(timeout=60)
    print(f"{chains} runs, {table.total()} kills: {dict(table)}")
    assert sum(table[name] for name in HARMS) >= 0.7 * KILLS
