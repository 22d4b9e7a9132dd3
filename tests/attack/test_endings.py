"""However a run is asked to end, and whatever becomes of the services around it, its work is saved."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.toys import TINY

LONG = (
    *(word for word in TINY if "samples" not in word and "budget" not in word),
    "metrics=none",
    "budget.images=4000000",
)
SHORT = (*LONG[:-1], "budget.images=6400")
JOBLIB = ("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=0,1")
"""Overrides of a run that nobody waits for the end of, of one that ends soon, and of a parallel sweep."""

pytestmark = pytest.mark.usefixtures("hears_hang_ups")
PROC = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds wandb's process in /proc")


def command(runs_dir: Path, words: Sequence[str]) -> list[str]:
    """A command line of main.py."""
    return [sys.executable, str(ROOT / "main.py"), *words, f"runs_dir={runs_dir}"]


def wait_for_training(runs_dir: Path, runs: int = 1) -> None:
    """Wait until so many runs have logged their first steps."""
    end = time.monotonic() + 200
    while sum(bool(path.read_text()) for path in runs_dir.rglob("metrics.jsonl")) < runs:
        assert time.monotonic() < end, "no training began"
        time.sleep(0.05)


def saved(runs_dir: Path) -> list[str]:
    """Return the endings of the runs below a directory, of those that have a checkpoint."""
    runs = [path.parents[1] for path in runs_dir.rglob("checkpoints/last.pt")]
    return [json.loads((run / "run.json").read_text())["status"] for run in runs]


def test_a_run_is_saved_when_its_terminal_closes(environment: dict[str, str], tmp_path: Path) -> None:
    """The kernel sends SIGHUP, and all that is printed from then on fails."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, command(tmp_path, LONG), environment)
    wait_for_training(tmp_path)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert (os.waitstatus_to_exitcode(status), saved(tmp_path)) == (130, ["stopped"])


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Starts a command in a session of its own, once its runs train; ends it after the test."""
    started: list[subprocess.Popen[str]] = []

    def begin(
        *words: str, runs: int = 1, nohup: bool = False, env: dict[str, str] = environment
    ) -> subprocess.Popen[str]:
        prefix = ["nohup"] if nohup else []
        with (tmp_path / "said.txt").open("w") as said:
            line = [*prefix, *command(tmp_path, words)]
            process = subprocess.Popen(line, env=env, stdout=said, stderr=said, start_new_session=True)
        started.append(process)
        wait_for_training(tmp_path, runs)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def said(tmp_path: Path) -> str:
    """All that a command printed."""
    return (tmp_path / "said.txt").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    "numbers",
    [
        [signal.SIGHUP],
        [signal.SIGHUP, signal.SIGHUP],
        [signal.SIGHUP, signal.SIGTERM],
        [signal.SIGTERM, signal.SIGHUP],
    ],
    ids=lambda numbers: "-".join(number.name for number in numbers),
)
def test_a_hang_up_saves_though_the_shell_and_the_login_manager_send_theirs_too(
    numbers: list[signal.Signals], start: Start, tmp_path: Path
) -> None:
    run = start(*LONG)
    for number in numbers:
        run.send_signal(number)
        time.sleep(0.02)
    assert (run.wait(timeout=120), saved(tmp_path)) == (130, ["stopped"])
    assert "the same command goes on from here" in said(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), ("trainer.devices=2",), JOBLIB], ids=["one", "devices", "joblib"])
def test_a_command_under_nohup_ignores_the_hang_up(
    words: tuple[str, ...], start: Start, tmp_path: Path
) -> None:
    runs = 2 if words == JOBLIB else 1
    process = start(*words, *SHORT, runs=runs, nohup=True)
    os.killpg(process.pid, signal.SIGHUP)
    assert (process.wait(timeout=300), saved(tmp_path)) == (0, ["done"] * runs)


@pytest.mark.slow
@pytest.mark.parametrize("whole_group", [True, False], ids=["as a terminal does", "by its number"])
@pytest.mark.parametrize(
    "words", [("-m", "seed=0,1"), ("trainer.devices=2",), JOBLIB], ids=["sweep", "devices", "joblib"]
)
def test_a_hang_up_saves_all_processes(
    words: tuple[str, ...], whole_group: bool, start: Start, tmp_path: Path
) -> None:
    runs = 2 if words == JOBLIB else 1
    process = start(*words, *LONG, runs=runs)
    os.killpg(process.pid, signal.SIGHUP) if whole_group else process.send_signal(signal.SIGHUP)
    assert (process.wait(timeout=200), saved(tmp_path)) == (130, ["stopped"] * runs)
    assert "Traceback" not in said(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "words", "code", "status"),
    [
        (signal.SIGINT, "Ctrl-C again to stop now", 130, "stopped"),
        (signal.SIGTERM, "a second signal stops now", -signal.SIGTERM, "running"),
    ],
)
def test_a_second_signal_acts_at_once(
    number: signal.Signals, words: str, code: int, status: str, start: Start, tmp_path: Path
) -> None:
    """In the middle of a step, which takes seconds; what a killed run says, the same command mends."""
    run = start(*LONG, "network.width=32", "trainer.batch_size=1024", "trainer.log_every_images=1")
    run.send_signal(number)
    while words not in said(tmp_path):
        time.sleep(0.01)
    run.send_signal(number)
    assert run.wait(timeout=60) == code
    (record,) = tmp_path.rglob("run.json")
    assert json.loads(record.read_text())["status"] == status
    assert not list(tmp_path.rglob("*.pt"))


MIRRORED = ("tracker=wandb", "tracker.project=p")


def wandb_of(pid: int) -> list[int]:
    """Processes of wandb below a process, and no other's."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    below = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    mine = [child for child in below if "wandb-core" in Path(f"/proc/{child}/cmdline").read_text()]
    return [*mine, *(found for child in below for found in wandb_of(child))]


@pytest.mark.slow
@PROC
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_wandb_that_is_killed_or_stopped_costs_a_run_nothing_but_the_mirror(
    number: signal.Signals, environment: dict[str, str], start: Start, tmp_path: Path
) -> None:
    """With scores, whose libraries are imported late: wandb hooks itself into imports."""
    scored = [word for word in TINY if not word.startswith(("tracker", "budget"))]
    env = environment | {"WANDB_MODE": "offline", "HOME": str(tmp_path)}
    run = start(*scored, *MIRRORED, "budget.images=12800", env=env)
    processes = wandb_of(run.pid)
    assert processes
    for process in processes:
        os.kill(process, number)
    assert (run.wait(timeout=300), saved(tmp_path)) == (0, ["done"])  # unbounded, it would wait for ever
    assert list(tmp_path.rglob("result.json"))
    assert said(tmp_path).count("genbench: the connection to wandb was lost") == 1
    assert "Traceback" not in said(tmp_path)
    assert not [process for process in processes if Path(f"/proc/{process}").exists()]


@pytest.mark.slow
def test_a_run_ends_though_wandbs_server_swallows_everything(
    environment: dict[str, str], start: Start, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        account = {"WANDB_BASE_URL": address, "WANDB_API_KEY": "a" * 40, "HOME": str(tmp_path)}
        short = [word for word in SHORT if not word.startswith("tracker")]
        run = start(*short, *MIRRORED, env=environment | account)
        assert (run.wait(timeout=300), saved(tmp_path)) == (0, ["done"])
    assert said(tmp_path).count("wandb runs offline") == 1
    assert "To upload: wandb sync" in said(tmp_path)
