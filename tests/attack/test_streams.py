"""Standard streams that are closed, full, gone or of a poor encoding end no command."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.toys import TINY

SHORT = (*(word for word in TINY if "samples" not in word and "budget" not in word), "metrics=none")
RESULT = {"genbench": "0.1.0", "choices": {"model": "ddpm"}, "metrics": {"fid[f,n=1,ref=train,ema]": 1.5}}

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


@contextmanager
def pipe_without_reader() -> Iterator[int]:
    """The end of a pipe whose reader has seen enough, as `head` has."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


def shell(redirections: str, *command: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A command with redirections of bash behind it (GONE: a pipe without a reader), and what it wrote."""
    words = ["bash", "-c", f'exec "$@" {redirections}', "bash", sys.executable, *command]
    with pipe_without_reader() as gone:
        return subprocess.run(
            [word.replace("GONE", str(gone)) for word in words],
            env=env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=300,
            pass_fds=[gone],
        )


def trained(runs_dir: Path) -> list[str]:
    """Return the endings of the runs below a directory, of those that have a result."""
    runs = [path.parent for path in runs_dir.rglob("result.json")]
    return [json.loads((run / "run.json").read_text())["status"] for run in runs]


@pytest.mark.slow
@pytest.mark.parametrize(
    "redirections",
    [
        ">&GONE",
        ">&GONE 2>&1",
        "<&-",
        ">&-",
        "2>&-",
        "<&- >&- 2>&-",
        ">/dev/full",
        ">/dev/full 2>/dev/full",
        "<&- >&GONE 2>/dev/full",
    ],
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_run_ends_with_its_result_over_any_streams(
    redirections: str, unbuffered: str, environment: dict[str, str], tmp_path: Path
) -> None:
    env = environment | {"PYTHONUNBUFFERED": unbuffered}
    words = ("main.py", *SHORT, "budget.images=64", f"runs_dir={tmp_path}")
    done = shell(redirections, *words, env=env)
    assert (done.returncode, trained(tmp_path)) == (0, ["done"]), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_a_run_and_its_report_need_no_unicode(
    variables: dict[str, str], environment: dict[str, str], tmp_path: Path
) -> None:
    env = environment | variables
    words = ("main.py", *TINY, f"runs_dir={tmp_path}")
    done = shell("", *words, env=env)
    assert (done.returncode, trained(tmp_path)) == (0, ["done"]), done.stderr
    for verb in ("report", "compare"):
        places = [str(tmp_path)] if verb == "report" else [str(tmp_path), str(tmp_path)]
        told = shell("", "-m", "genbench", verb, *places, env=env)
        assert told.returncode == 0, told.stderr
        assert told.stdout


@pytest.mark.slow
def test_a_run_ends_with_its_result_in_a_process_without_streams(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """As under pythonw, or some daemons."""
    words = ["main.py", *SHORT, "budget.images=64", f"runs_dir={tmp_path}"]
    script = (
        f"import sys, runpy; sys.stdin = sys.stdout = sys.stderr = None; sys.argv = {words!r}; "
        "runpy.run_path('main.py', run_name='__main__')"
    )
    done = shell("", "-c", script, env=environment)
    assert (done.returncode, trained(tmp_path)) == (0, ["done"])


@pytest.fixture
def runs(tmp_path: Path) -> str:
    """A directory with the result of one run."""
    path = tmp_path / "runs" / "g" / "a" / "result.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(RESULT))
    return str(tmp_path / "runs")


def test_a_report_ends_quietly_when_its_reader_has_seen_enough(
    runs: str, environment: dict[str, str]
) -> None:
    done = shell(">&GONE", "-m", "genbench", "report", runs, env=environment)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_report_onto_a_full_disk_is_one_message_and_exit_code_one(
    unbuffered: str, runs: str, environment: dict[str, str]
) -> None:
    env = environment | {"PYTHONUNBUFFERED": unbuffered}
    done = shell(">/dev/full", "-m", "genbench", "report", runs, env=env)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("genbench: ")
    assert "the output cannot be written: No space left on device" in line


@pytest.mark.slow
@pytest.mark.parametrize("redirections", [">&-", "2>&-", "<&- >&- 2>&-", ">&GONE 2>&GONE"])
def test_verbs_end_well_over_any_streams(redirections: str, runs: str, environment: dict[str, str]) -> None:
    for words in (["report", runs], ["report", runs, "--format", "json"], ["--help"], ["--version"]):
        assert shell(redirections, "-m", "genbench", *words, env=environment).returncode == 0
