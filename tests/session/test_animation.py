"""The animation that a run leaves: in the format that is asked for, or refused before any work."""

import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import Command
from tests.evaluation.test_animation import FFMPEG, program
from tests.test_repeat import SMALL

WORDS = (
    *SMALL["model=ddpm"],
    *("metrics=none", "budget.images=64", "tracker=jsonl", "device=cpu", "precision=fp32"),
)
NOT_FOUND = "MP4 needs the program ffmpeg, which is not found in PATH: install it, or take webp or gif"


def animations(runs: Path) -> list[Path]:
    return sorted(path for path in runs.rglob("samples/*") if path.suffix in (".gif", ".mp4", ".webp"))


def test_mp4_without_ffmpeg_is_refused_before_any_work(
    main: Command, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    words = (*WORDS, "trainer.animation=mp4", f"runs_dir={tmp_path / 'runs'}")
    done = main(*words, env=environment | {"PATH": str(tmp_path / "bin")})
    assert done.returncode == 2
    assert NOT_FOUND in " ".join(done.stderr.split())
    assert not list(tmp_path.rglob("*.json*"))


@pytest.mark.slow
@pytest.mark.parametrize(("chosen", "endings"), [("gif", [".gif"]), ("mp4", [".mp4", ".webp"]), ("null", [])])
def test_a_run_leaves_the_animation_that_is_asked_for(
    chosen: str, endings: list[str], main: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin", FFMPEG.format(python=sys.executable), monkeypatch)
    done = main(*WORDS, f"trainer.animation={chosen}", f"runs_dir={tmp_path / 'runs'}", env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    found = animations(tmp_path / "runs")
    assert [path.suffix for path in found] == endings
    for path in found:
        if path.suffix == ".mp4":
            assert path.read_bytes().startswith(b"-loglevel error -f rawvideo")
        else:
            with Image.open(path) as image:
                assert getattr(image, "n_frames", 1) > 1
