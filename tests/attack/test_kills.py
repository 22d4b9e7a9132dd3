"""Sixty kills of real processes, with damage of what they leave: the run ends as if there were none."""

import json
import os
import random
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import ROOT, Command
from tests.toys import TINY

KILLS = 60
LONGEST = 0.6  # seconds of training before a kill
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


def killed(words: list[str], environment: dict[str, str], checkpoints: Path, chance: random.Random) -> bool:
    """Start the run and kill it at a random moment of its training; False where it came to its end before."""
    before = checkpoints.stat().st_mtime_ns if checkpoints.exists() else 0
    command = [sys.executable, str(ROOT / "main.py"), *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
    end = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < end:
        if checkpoints.exists() and checkpoints.stat().st_mtime_ns != before:
            time.sleep(chance.uniform(0, LONGEST))
            process.kill()
            break
        time.sleep(0.005)
    _, told = process.communicate(timeout=60)
    assert process.returncode in (0, -9), told.decode()
    return process.returncode == -9


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
def test_sixty_kills_with_damaged_checkpoints_change_no_bit(
    main: Command, environment: dict[str, str], tmp_path: Path
) -> None:
    done = main(*WORDS, f"runs_dir={tmp_path}", "name=straight")
    assert done.returncode == 0, done.stderr
    (straight,) = (tmp_path / "straight").iterdir()
    expected, chance = end_of(straight), random.Random(17)
    table, chains = Counter[str](), 0
    while table.total() < KILLS:
        chains += 1
        run = tmp_path / f"chain{chains}" / straight.name
        last, previous = run / "checkpoints" / "last.pt", run / "checkpoints" / "previous.pt"
        words = [*WORDS, f"runs_dir={tmp_path}", f"name=chain{chains}"]
        while table.total() < KILLS and killed(words, environment, run / "checkpoints", chance):
            assert is_whole(last) or is_whole(previous) or not (last.exists() or previous.exists())
            name = list(HARMS)[table.total() % len(HARMS)]
            harm = HARMS[name]
            # With one checkpoint alone the run would start anew, or rightly refuse to.
            if harm is not None and last.exists() and is_whole(previous):
                harm(last, chance)
            elif harm is not None:
                name = "kill before there were two"
            table[name] += 1
        done = main(*words)
        assert done.returncode == 0, done.stderr
        assert end_of(run) == expected, (chains, table)
        assert not list(run.rglob("*.tmp"))
    print(f"{chains} runs, {table.total()} kills: {dict(table)}")
    assert sum(table[name] for name in HARMS) >= 0.7 * KILLS
