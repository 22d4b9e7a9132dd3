"""Sweeps as a user meets them: what fails stays alone, what is finished is skipped, nothing is done twice."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from genbench.sweep import Ledger, Outcome, duration
from tests.conftest import ROOT, Command
from tests.toys import TINY

SMALL = (*TINY, "budget.images=128", "schedule.T=30")
GOOD_AND_BAD = ("optim.lr=0.001,1e30", "trainer.clip_norm=null")  # the second diverges at its first steps


def statuses(runs_dir: Path) -> list[str]:
    """Of the last sweep, by job."""
    ledger = Ledger(max((runs_dir / ".sweeps").iterdir()))
    return [outcome.status for outcome in ledger.outcomes()]


def sessions(runs_dir: Path) -> dict[str, list[str]]:
    """How each session of each run ended."""
    records = [json.loads(path.read_text()) for path in runs_dir.glob("default/*/run.json")]
    return {record["identity"]: [one["status"] for one in record["sessions"]] for record in records}


def test_a_failed_job_is_told_at_once_and_the_others_follow(main: Command, tmp_path: Path) -> None:
    done = main("-m", *SMALL, *GOOD_AND_BAD, "seed=0,1", f"runs_dir={tmp_path}")
    assert done.returncode == 1
    assert statuses(tmp_path) == ["done", "done", "failed", "failed"]
    told = done.stdout.replace("\n", "")
    assert told.index("job 2 failed: FloatingPointError: not finite") < told.index("job 3 failed")
    assert "sweep: 2 done, 2 failed" in told

    # The same command again does no work, and says so
    again = main("-m", *SMALL, *GOOD_AND_BAD, "seed=0,1", f"runs_dir={tmp_path}")
    assert (again.returncode, statuses(tmp_path)) == (1, ["skipped", "skipped", "unmended", "unmended"])
    assert "retry_failed=true" in again.stdout
    assert sorted(map(len, sessions(tmp_path).values())) == [1, 1, 1, 1]

    # What failed is tried again where that is asked for
    retried = main("-m", *SMALL, *GOOD_AND_BAD, "seed=0", f"runs_dir={tmp_path}", "retry_failed=true")
    assert (retried.returncode, statuses(tmp_path)) == (1, ["skipped", "failed"])


def test_a_dry_run_estimates_every_job_and_leaves_nothing(main: Command, tmp_path: Path) -> None:
    done = main("-m", *SMALL, "seed=0,1", f"runs_dir={tmp_path}", "dry_run=true")
    assert done.returncode == 0, done.stderr
    assert statuses(tmp_path) == ["estimated", "estimated"]
    assert "MiB" in done.stdout
    assert [path for path in (tmp_path / "default").rglob("*") if path.name != "multirun.yaml"] == []


def test_a_dry_run_of_one_run_tells_what_it_would_take(main: Command, tmp_path: Path) -> None:
    done = main(*SMALL, f"runs_dir={tmp_path}", "dry_run=true")
    assert done.returncode == 0, done.stderr
    assert "training 0:0" in done.stdout
    assert "parameters" in done.stdout
    assert not list(tmp_path.rglob("run.json"))


@pytest.mark.parametrize("objective", ["fdi", "is"])
def test_an_objective_that_cannot_be_minimised_is_refused(
    objective: str, main: Command, tmp_path: Path
) -> None:
    done = main(*SMALL, f"runs_dir={tmp_path}", f"objective={objective}")
    assert done.returncode == 2
    assert f"objective is '{objective}'; lower must be better, so legal are fid," in done.stderr


def test_a_sweep_that_was_killed_goes_on_where_it_was(
    main: Command, tmp_path: Path, environment: dict[str, str]
) -> None:
    words = ["-m", *TINY, "seed=0,1", "trainer.checkpoint_every_seconds=0.1", "budget.images=6400"]
    command = [sys.executable, str(ROOT / "main.py"), *words, f"runs_dir={tmp_path}/killed"]
    process = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("killed/default/*seed0*/checkpoints/last.pt")):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline, "no checkpoint came"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert main(*words, f"runs_dir={tmp_path}/killed").returncode == 0
    assert main(*words, f"runs_dir={tmp_path}/whole").returncode == 0
    killed, whole = (
        [json.loads(path.read_text())["metrics"] for path in sorted(tmp_path.glob(f"{name}/*/*/result.json"))]
        for name in ("killed", "whole")
    )
    assert killed == whole
    assert len(killed) == 2
    assert sorted(sessions(tmp_path / "killed").values()) == [["done"], ["stopped", "done"]]


def test_two_processes_on_one_sweep_share_its_jobs(tmp_path: Path, environment: dict[str, str]) -> None:
    command = [sys.executable, str(ROOT / "main.py"), "-m", *SMALL, "seed=0,1,2", f"runs_dir={tmp_path}"]
    both = [
        subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL) for _ in range(2)
    ]
    assert [process.wait(timeout=300) for process in both] == [0, 0]
    ledgers = [Ledger(path).outcomes() for path in (tmp_path / ".sweeps").iterdir()]
    ended = sorted(outcome.status for outcomes in ledgers for outcome in outcomes)
    assert ended.count("done") == 3
    assert set(ended) <= {"done", "skipped", "busy"}
    assert list(sessions(tmp_path).values()) == [["done"]] * 3


LAUNCHERS = {
    "joblib": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
    "submitit": ("hydra/launcher=submitit_local", "hydra.launcher.timeout_min=10"),
}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_parallel_launchers_run_the_same_sweep(launcher: str, main: Command, tmp_path: Path) -> None:
    pytest.importorskip(f"hydra_plugins.hydra_{launcher}_launcher", reason='pip install "genbench[sweep]"')
    done = main("-m", *LAUNCHERS[launcher], *SMALL, *GOOD_AND_BAD, f"runs_dir={tmp_path}")
    assert done.returncode == 1, done.stdout + done.stderr
    assert statuses(tmp_path) == ["done", "failed"]


@pytest.mark.slow
def test_a_search_by_optuna_finds_its_best_trial(main: Command, tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason='pip install "genbench[sweep]"')
    small = [word for word in SMALL if "width" not in word]
    done = main("sweep=search", "hydra.sweeper.n_trials=3", *small, f"runs_dir={tmp_path}")
    assert done.returncode == 0, done.stdout + done.stderr
    best = (tmp_path / "default" / "optimization_results.yaml").read_text()
    results = [json.loads(path.read_text()) for path in tmp_path.glob("default/*/result.json")]
    fids = [result["metrics"]["fid[digits-cnn-v1,n=64,ref=train,ema]"] for result in results]
    assert float(best.split("best_value:")[1].split()[0]) == pytest.approx(min(fids), rel=1e-9)


@pytest.mark.parametrize("preset", sorted(path.stem for path in (ROOT / "conf" / "sweep").glob("*.yaml")))
def test_every_preset_composes_its_jobs(preset: str, environment: dict[str, str]) -> None:
    if preset == "search":
        pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason='pip install "genbench[sweep]"')
    command = [sys.executable, str(ROOT / "main.py"), f"sweep={preset}", "--cfg", "hydra", "-p", "hydra.mode"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "MULTIRUN" in done.stdout


def test_a_ledger_gives_back_what_was_added_by_job(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "deep" / "ledger.jsonl")
    assert ledger.outcomes() == []
    second = Outcome(1, "failed", ("a=1", "b=|<x>\n"), "runs/b", 2.5, "why\nnot")
    first = Outcome(0, "done", ("a=0",), "runs/a", 1.0, "fid=1")
    ledger.add(second)
    ledger.add(first)
    assert ledger.outcomes() == [first, second]


def test_durations_read_as_clocks_do() -> None:
    assert [duration(s) for s in (0.4, 65, 3600, 7265)] == ["0:00", "1:05", "1:00:00", "2:01:05"]
