"""The help page of the command that trains is the same, whether Hydra was imported for it or not."""

import errno
import io
import subprocess
import sys

import pytest

from genbench.cli.train_help import answered
from genbench.config.option_folders import TRAIN
from tests.conftest import ROOT, Command


@pytest.mark.parametrize("words", [["--help"], ["schedule", "-h"], ["seed=3", "schedule=cosine", "--help"]])
def test_help_is_printed_without_hydra(words: list[str], main: Command, environment: dict[str, str]) -> None:
    code = f"import sys; sys.argv = {['main.py', *words]}; exec(open('main.py').read())"
    watched = f"import atexit, sys; atexit.register(lambda: print('hydra' in sys.modules)); {code}"
    done = subprocess.run(
        [sys.executable, "-c", watched],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *page, has_hydra = done.stdout.splitlines()
    assert has_hydra == "False"
    assert page == main(*words).stdout.splitlines()


@pytest.mark.parametrize(
    "words",
    [["--help", "model=gan"], ["--help", "--cfg", "job"], ["--help", "no_such_group"], ["seed=1"], []],
)
def test_what_needs_a_composition_or_is_refused_is_left_to_the_whole_command(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert not answered(words)
    assert capsys.readouterr().out == ""


def test_the_examples_begin_with_the_command_that_was_called(capsys: pytest.CaptureFixture[str]) -> None:
    assert answered(["--help"], "genbench train")
    page = capsys.readouterr().out
    assert "  genbench train -m model=ddpm,vae,flow seed=0,1   a sweep" in page
    assert "main.py" not in page
    assert answered(["--help"])
    assert capsys.readouterr().out == page.replace("  genbench train", f"  {TRAIN}")


class Full(io.StringIO):
    """A stream on a full disk."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "the output cannot be written: No space left on device")


def test_a_page_that_cannot_be_written_ends_with_one_message_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(SystemExit) as left:
        answered(["--help"])
    assert left.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("genbench: the output cannot be written: No space left")
