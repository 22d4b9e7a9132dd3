"""`genbench VERB` in this process, and runs as strangers could send them."""

import io
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import pytest
from PIL import Image

from genbench.cli import main as cli

FID = "fid[digits-cnn-v1,n=359,ref=train,ema]"


class Done(NamedTuple):
    """The end of a command and its output."""

    code: int
    out: str
    err: str


def genbench(*words: object) -> Done:
    """Run a verb as its console script does."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr("sys.argv", ["genbench", *map(str, words)])
        try:
            cli.main()
        except SystemExit as ending:
            code = int(ending.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


@contextmanager
def not_waiting(seconds: int = 120) -> Iterator[None]:
    """Fail where the block waits for ever, as for the writer of a FIFO that nobody opens."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"still at work after {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def finished_run(path: Path, seed: int = 0, **changes: object) -> Path:
    """The directory of a finished run with each of its files; returns it."""
    result = {
        "genbench": "0.1.0",
        "group": path.parent.name,
        "run": path.name,
        "status": "done",
        "identity": path.name,
        "choices": {"model": "ddpm", "data": "digits", "schedule": "cosine"},
        "seed": seed,
        "config": {"budget": {"images": 512}},
        "metrics": {FID: 3.0 + seed / 8},
        "cost": {"images_seen": 512, "training_seconds": 1.0 + seed, "seconds_per_image": 0.5 + seed},
    }
    (path / "samples").mkdir(parents=True)
    (path / ".hydra").mkdir()
    (path / "result.json").write_text(json.dumps(result | changes))
    (path / "run.json").write_text(json.dumps({"status": "done", "error": None}))
    (path / "metrics.jsonl").write_text(
        '{"images_seen": 1, "net/loss": 2}\n{"images_seen": 2, "net/loss": 1}\n'
    )
    (path / ".hydra" / "overrides.yaml").write_text("- model=ddpm\n")
    Image.new("L", (8, 8), 9).save(path / "samples" / "samples_000000512.png")
    return path
