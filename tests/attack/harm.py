"""Commands in this process, and harm to files, for the tests of damaged ones."""

import contextlib
import io
import logging
import os
import random
import runpy
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from rich.console import Console
from torch import Tensor

from genbench.cli import main as cli
from genbench.data import Digits, prepare
from genbench.runtime.progress import Progress
from tests.conftest import ROOT

QUIET = Progress(Console(quiet=True))
Harm = Callable[[Path], object]


class Done(NamedTuple):
    """The end of a command, and all that it said."""

    code: int
    told: str


def command(cache: Path, *words: object) -> Done:
    """`python main.py ...` or `genbench ...` in this process, which has loaded torch, and without a trace."""
    root, out = logging.getLogger(), io.StringIO()
    before = (root.handlers[:], root.level)
    with (
        pytest.MonkeyPatch.context() as patch,
        warnings.catch_warnings(record=True) as caught,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(out),
    ):
        for name in ("HYDRA_FULL_ERROR", "OMP_WAIT_POLICY"):
            patch.setenv(name, os.environ.get(name, ""))
        patch.setenv("GENBENCH_CACHE", str(cache))
        patch.setattr(sys, "argv", [str(word) for word in words])
        warnings.simplefilter("always")
        try:
            runpy.run_path(str(ROOT / words[0]), run_name="__main__") if words[0] == "main.py" else cli.main()
            code: object = 0
        except SystemExit as ended:
            code = ended.code or 0
    root.handlers[:], root.level = before
    return Done(int(str(code)), "\n".join([out.getvalue(), *(str(warning.message) for warning in caught)]))


def contents(cache: Path) -> list[Tensor]:
    """All that the set of digits holds, read through a cache and copied out of it."""
    data = prepare(Digits(), cache=cache, progress=QUIET)
    return [tensor.clone() for split in (data.train, data.test) for tensor in (split.images, split.labels)]


def flip(path: Path, seed: int = 0) -> None:
    """Flip one bit somewhere in a file."""
    content, bit = bytearray(path.read_bytes()), random.Random(seed).randrange(8 * path.stat().st_size)
    content[bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(content)


def flip_in_the_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def blank(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def misplace(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").touch()


def plug(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)
