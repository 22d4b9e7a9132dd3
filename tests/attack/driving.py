"""Commands in this process, faults of its disk, and small file systems, for the tests of this folder."""

import errno
import io
import json
import logging
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import pytest

from tests.conftest import ROOT
from tests.toys import TINY

SMALL = (
    *(word for word in TINY if not word.startswith("metrics")),
    *("metrics=none", "budget.images=128", "variance=posterior"),
)
"""Overrides with which a run takes two steps."""


class Done(NamedTuple):
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


def train(cache: Path, *words: str) -> Done:
    """`python main.py WORDS` in this process, which has imported what takes time."""
    return called(lambda: runpy.run_path(str(ROOT / "main.py"), run_name="__main__"), cache, words)


def verb(cache: Path, *words: object) -> Done:
    """`genbench WORDS` in this process."""
    from genbench.cli.main import main

    return called(main, cache, list(map(str, words)))


def called(command: Callable[[], object], cache: Path, words: Sequence[str]) -> Done:
    """A command with its own words, cache, output and environment."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    variables = {"GENBENCH_CACHE": str(cache), "HYDRA_FULL_ERROR": "0", "COLUMNS": "160"}
    with (
        patch.dict(os.environ, variables),
        patch.object(sys, "argv", ["command", *words]),
        patch.object(logging.getLogger(), "handlers", logging.getLogger().handlers[:]),  # Hydra sets its own
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            command()
        except SystemExit as ending:
            code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    return Done(code, out.getvalue(), err.getvalue())


@contextmanager
def full_disk(pattern: str, *, after: int = 0, code: int = errno.ENOSPC) -> Iterator[None]:
    """Writing to files whose path matches fails inside the block, as on a full disk: when they are synced.

    after: so many of them are written before.
    """
    sync, seen = os.fsync, []

    def fsync(file: int) -> None:
        path = os.readlink(f"/proc/self/fd/{file}")
        if re.search(pattern, path):
            seen.append(path)
            if len(seen) > after:
                raise OSError(code, os.strerror(code))
        sync(file)

    with patch.object(os, "fsync", fsync):
        yield


def refused(done: Done, *words: str) -> None:
    """Assert that a command was refused before any work, in one message that holds these words."""
    assert done.code == 2, done
    says(done, *words)


def failed(done: Done, *words: str) -> None:
    """Assert that the machine failed a command, in one message that holds these words."""
    assert done.code == 1, done
    says(done, *words)


def says(done: Done, *words: str) -> None:
    """Assert that all that a command tells is one message, without a traceback."""
    message = "\n".join(line for line in done.err.splitlines() if line.startswith("genbench: "))
    assert "Traceback" not in done.err + done.out
    assert [word for word in words if word not in message] == [], done.err


def record(run: Path) -> dict:
    """The content of run.json."""
    return json.loads((run / "run.json").read_text())


def contents(folder: Path) -> dict[Path, bytes]:
    """Every file below a folder."""
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def in_mounts(script: str, environment: dict[str, str], *, cwd: Path) -> Done:
    """A shell script in a mount namespace of its own, whose mounts vanish with it.

    $MAIN is main.py with small settings, $GENBENCH the other commands. Skips where mounting is not allowed.
    """
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("this machine allows no mounts of our own (unshare -m)")
    variables = {
        "MAIN": f"{sys.executable} {ROOT / 'main.py'} {' '.join(SMALL)}",
        "GENBENCH": f"{sys.executable} -m genbench",
        "PYTHONPATH": str(ROOT),
    }
    command = ["unshare", "-m", "bash", "-c", script]
    kept = environment | variables
    done = subprocess.run(
        command, cwd=cwd, env=kept, capture_output=True, text=True, timeout=300, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)
