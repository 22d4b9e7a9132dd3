"""Sweeps as a user meets them: what fails stays alone, what is finished is skipped, nothing is done twice."""

import importlib
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import RunMode
from omegaconf import DictConfig
from rich.console import Console

from genbench.app.sweeper import Combinations, KeepsLedger, register_sweeper
from genbench.app.sweeps import LEDGER
from genbench.records import sweep_ledger
from genbench.records.json_lines import Lines, parse_lines
from genbench.records.result import Cost
from genbench.records.run_directory import Run
from genbench.records.sweep_ledger import Ledger, Outcome, duration, outcome_table
from genbench.runtime.stop import StopRequest
from genbench.session import session
from tests.conftest import ROOT, Command
from tests.toys import TINY

SMALL = (*TINY, "budget.images=128", "schedule.T=30", "scores=[fid]", "metrics.likelihood_samples=0")
UNMEASURED = (*(word for word in TINY if "samples" not in word), "budget.images=128", "metrics=none")
BAD_AND_GOOD = ("optim.lr=1e30,0.001", "trainer.clip_norm=null")  # the first diverges at its first steps


def later_than(looks: int) -> property:
    """A request to stop that is not there yet when it is looked for so many times."""
    answers = iter([False] * looks)
    return property(lambda self: next(answers, True))


def statuses(runs_dir: Path) -> list[str]:
    """Of the last sweep, by job."""
    ledger = Ledger(max((runs_dir / ".sweeps").glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns))
    return [outcome.status for outcome in ledger.outcomes()]


def without_times(told: str) -> str:
    """Lines of a sweep in one, without what each job took."""
    return re.sub(r" after [\d:]*\d", "", told.replace("\n", ""))


def sessions(runs_dir: Path) -> dict[str, list[str]]:
    """Return the status that each session of each run ended with."""
    records = [json.loads(path.read_text()) for path in runs_dir.glob("default/*/run.json")]
    return {record["identity"]: [one["status"] for one in record["sessions"]] for record in records}


def test_a_failed_job_is_told_at_once_and_the_others_follow(main: Command, tmp_path: Path) -> None:
    sweep = ("-m", *SMALL, *BAD_AND_GOOD, f"runs_dir={tmp_path}")
    done = main(*sweep)
    assert done.returncode == 1
    assert statuses(tmp_path) == ["failed", "done"]
    told = without_times(done.stdout)
    assert told.index("job 1 of 2 failed: FloatingPointError: not finite") < told.index(
        "job 2 of 2 done: fid="
    )
    assert "sweep: 1 failed, 1 done" in told
    assert "bits/dim" not in told  # the tables of a job are left to the report

    # The same command again does no work, and says so
    again = main(*sweep)
    assert (again.returncode, statuses(tmp_path)) == (1, ["unmended", "skipped"])
    assert "retry_failed=true" in again.stdout
    assert sorted(map(len, sessions(tmp_path).values())) == [1, 1]

    # What failed is tried again where that is asked for
    retried = main(*sweep, "retry_failed=true")
    assert (retried.returncode, statuses(tmp_path)) == (1, ["failed", "skipped"])


@pytest.mark.slow
def test_a_sweep_that_was_interrupted_lists_what_it_did_not_start_and_ends_in_a_comparison(
    main: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = ("-m", *SMALL, "loss=l1,l2", f"runs_dir='{tmp_path}/it\\'s'")
    with monkeypatch.context() as asked:
        asked.setattr(StopRequest, "requested", later_than(1))
        stopped = main(*sweep)
    runs_dir = tmp_path / "it's"
    assert stopped.returncode == 130
    assert statuses(runs_dir) == ["stopped", "not started"]
    assert "sweep: 1 stopped, 1 not started" in stopped.stdout
    assert "loss=l2" in stopped.stdout
    assert "genbench report" not in stopped.stdout

    done = main(*sweep)
    assert (done.returncode, statuses(runs_dir)) == (0, ["done", "done"])
    assert sorted(sessions(runs_dir).values()) == [["done"], ["stopped", "done"]]
    assert "job 2 of 2: loss=l2, about " in done.stdout
    rows = [line.split("|")[1].strip() for line in done.stdout.splitlines() if line.startswith("|")]
    assert sorted(rows[2:]) == ["l1", "l2"]
    assert rows[0] == "loss"
    command = done.stdout.partition("genbench report ")[2].strip()
    assert command.startswith("'")  # quoted for the shell, as the name needs


def test_a_combination_that_cannot_be_is_refused_alone_and_before_the_others_run(
    main: Command, tmp_path: Path
) -> None:
    words = ("model=gan,vae,autoencoder", "-m", "likelihood=gaussian", "dry_run=true", f"runs_dir={tmp_path}")
    done = main(*words)
    assert done.returncode == 1
    assert statuses(tmp_path) == ["estimated", "estimated", "refused"]
    refused = done.stdout.index("job 3 refused (model=gan ")
    assert done.stdout.index("model=gan does not accept likelihood; its groups are network") > refused
    assert refused < done.stdout.index("job 1 of 3 estimated")


def test_a_value_that_no_constructor_takes_is_refused_alone_and_before_the_others_run(
    main: Command, tmp_path: Path
) -> None:
    done = main("-m", *SMALL, "seed=0", "network.width=8,0", "dry_run=true", f"runs_dir={tmp_path}")
    assert statuses(tmp_path) == ["estimated", "refused"]
    refused = done.stdout.index("job 2 refused (")
    assert "network.width" in done.stdout[refused:].splitlines()[0]
    assert refused < done.stdout.index("job 1 of 2 estimated")


def test_a_combination_that_refers_to_another_models_settings_is_refused_alone(
    main: Command, tmp_path: Path
) -> None:
    done = main("model=vae,gan", "network=resnet_vae", "dry_run=true", f"runs_dir={tmp_path}", "--multirun")
    assert (done.returncode, statuses(tmp_path)) == (1, ["estimated", "refused"])
    assert "network=resnet_vae does not fit model=gan: choose from dcgan, r3gan, resnet_gan" in done.stdout


def test_a_signal_that_comes_when_all_is_measured_still_ends_the_sweep(
    main: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cost = session.run_cost

    def interrupted(*given: Any, processes: int, seconds: float) -> Cost:
        os.kill(os.getpid(), signal.SIGINT)
        return cost(*given, processes=processes, seconds=seconds)

    with monkeypatch.context() as late:
        late.setattr(session, "run_cost", interrupted)
        stopped = main("-m", *UNMEASURED, "seed=0,1", f"runs_dir={tmp_path}")
    assert stopped.returncode == 130
    assert statuses(tmp_path) == ["done", "not started"]


def test_a_sweep_whose_jobs_are_all_refused_is_one_message(main: Command, tmp_path: Path) -> None:
    done = main("-m", "model=ddpm,gan", "likelihood=gaussian", f"runs_dir={tmp_path}")
    assert done.returncode == 2
    assert (
        "genbench: all 2 jobs are refused, the first since model=ddpm does not accept likelihood"
        in done.stderr
    )
    assert "sweep:" not in done.stdout


def test_a_job_that_fails_once_it_was_asked_to_stop_is_told_as_failed_and_ends_the_sweep(
    main: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as asked:
        asked.setattr(StopRequest, "requested", later_than(3))  # after a first step; the second one diverges
        stopped = main("-m", *SMALL, *BAD_AND_GOOD, f"runs_dir={tmp_path}")
    assert stopped.returncode == 130
    assert statuses(tmp_path) == ["failed", "not started"]
    assert "job 1 of 2 failed: FloatingPointError: not finite" in without_times(stopped.stdout)
    assert list(sessions(tmp_path).values()) == [["failed"]]
    (log,) = tmp_path.glob("default/*/main.log")
    assert "Traceback" in log.read_text()


def test_a_dry_run_estimates_every_job_and_leaves_nothing(main: Command, tmp_path: Path) -> None:
    done = main("-m", *SMALL, "seed=0,1", f"runs_dir={tmp_path}", "dry_run=true")
    assert done.returncode == 0
    assert statuses(tmp_path) == ["estimated", "estimated"]
    assert re.search("[MG]B of memory", done.stdout)
    assert re.search(r"^  ddpm on digits, [\d,]+ parameters, cpu fp32, ", done.stdout, re.MULTILINE)
    assert [path for path in (tmp_path / "default").rglob("*") if path.name != "multirun.yaml"] == []


def test_a_dry_run_leaves_nothing_where_libraries_fill_their_own_caches(
    main: Command, tmp_path: Path
) -> None:
    """On a new machine matplotlib logs that it lists its fonts, which once went into the run's directory."""
    environment = {**os.environ, "MPLCONFIGDIR": str(tmp_path / "fonts")}
    words = (*SMALL, "seed=0", f"runs_dir={tmp_path}/runs")
    assert main(*words, "dry_run=true", env=environment).returncode == 0
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_of_one_run_tells_what_it_would_take(main: Command, tmp_path: Path) -> None:
    likelihood = "metrics.likelihood_samples=16"
    words = (*SMALL, f"runs_dir={tmp_path}", likelihood, "dry_run=true", "seed=0", "seed=1")
    done = main(*words)
    assert done.returncode == 0
    assert done.stderr.endswith("genbench: seed=0 has no effect, since seed=1 comes later\n")
    first, *lines = done.stdout.splitlines()
    facts = r"ddpm on digits \(1,438 images 1x8x8\), [\d,]+ parameters, cpu fp32, [\d,]+ images -> (\S+)"
    (place,) = re.fullmatch(facts, first).groups()
    parts = ["training", "pictures", "sampling", "likelihood", "evaluation", "costs"]
    assert [line.split()[0] for line in lines[1:]] == [*parts, "total", "memory", "disk"]
    assert re.fullmatch(r"  total +\d+:\d\d  started now, it would end at .*\d\d:\d\d", lines[7])
    assert not list(tmp_path.rglob("*.json*"))
    with Run(Path(place)).exclusively():  # as a run in progress holds it
        assert main(*words).returncode == 0
        assert "another process" in main(*words[:-3], "seed=1").stderr


def test_nothing_is_noted_of_words_of_a_command_that_is_refused(main: Command, tmp_path: Path) -> None:
    done = main(*SMALL, f"runs_dir={tmp_path}", "seed=0", "seed=1", "network.width=0")
    assert done.returncode == 2
    assert "no effect" not in done.stderr


def test_a_dry_run_counts_the_training_of_a_classifier_and_makes_none(main: Command, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    words = (*SMALL, "metrics=classifier", "scores=[fid]", "dry_run=true", f"runs_dir={tmp_path}")
    done = main(*words, env={**os.environ, "GENBENCH_CACHE": str(cache), "COLUMNS": "160"})
    assert done.returncode == 0, done.stderr
    assert re.search(r"^  classifier +\d+:\d\d  trained on 120,000 images, once", done.stdout, re.MULTILINE)
    assert "those of 1,797 real images too" in done.stdout
    assert not (cache / "features").exists()


@pytest.mark.parametrize("objective", ["fdi", "is"])
def test_an_objective_that_cannot_be_minimised_is_refused(
    objective: str, main: Command, tmp_path: Path
) -> None:
    done = main(*SMALL, f"runs_dir={tmp_path}", f"objective={objective}")
    assert done.returncode == 2
    assert f"objective is '{objective}'; lower must be better: choose from fid," in done.stderr


@pytest.mark.slow  # tests/test_main.py kills a run, and the ledger is read without one below
def test_a_sweep_that_was_killed_goes_on_where_it_was(
    main: Command, tmp_path: Path, environment: dict[str, str]
) -> None:
    """That the numbers are those of an uninterrupted run, tests/test_main.py holds of each run."""
    small = [word for word in SMALL if "budget" not in word]
    words = ["-m", *small, "trainer.batch_size=16", "budget.images=1600", "seed=0,1", f"runs_dir={tmp_path}"]
    often = "trainer.checkpoint_every_seconds=0.05"  # which does not make it another run
    command = [sys.executable, str(ROOT / "main.py"), *words, often]
    process = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("default/*seed0*/checkpoints/last.pt")):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline, "no checkpoint came"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert statuses(tmp_path) == ["running", "not started"]
    assert main(*words).returncode == 0
    assert sorted(sessions(tmp_path).values()) == [["done"], ["stopped", "done"]]


@pytest.mark.slow
def test_two_processes_on_one_sweep_share_its_jobs(
    main: Command, tmp_path: Path, environment: dict[str, str]
) -> None:
    words = ["-m", *UNMEASURED, "seed=0,1", f"runs_dir={tmp_path}"]
    command = [sys.executable, str(ROOT / "main.py"), *words]
    other = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL)
    while not list(tmp_path.glob("default/*/run.json")):
        assert other.poll() is None, "it ended before it had begun"
        time.sleep(0.02)
    assert [main(*words).returncode, other.wait(timeout=300)] == [0, 0]
    ledgers = [Ledger(path).outcomes() for path in (tmp_path / ".sweeps").iterdir()]
    ended = sorted(outcome.status for outcomes in ledgers for outcome in outcomes)
    assert ended.count("done") == 2
    assert set(ended) <= {"done", "skipped", "busy"}
    assert list(sessions(tmp_path).values()) == [["done"]] * 2


def test_hydra_finds_the_sweeper_by_a_name_that_needs_no_folder_of_plugins() -> None:
    name = register_sweeper()
    assert Plugins.instance().class_name_to_class[name] is Combinations
    assert Combinations in Plugins.instance().discover(Sweeper)
    assert (
        pickle.loads(pickle.dumps(Combinations)) is Combinations
    )  # as launchers do with what they are given
    with pytest.raises(ImportError):
        importlib.import_module(name.rpartition(".")[0])


LAUNCHERS = {
    "joblib": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
    "submitit": ("hydra/launcher=submitit_local", "hydra.launcher.timeout_min=10"),
    "ray": ("hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2"),
}
EXTRAS = {"joblib": "sweep", "submitit": "sweep", "ray": "ray"}


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit", "ray"])
def test_parallel_launchers_run_the_same_sweep(launcher: str, process: Command, tmp_path: Path) -> None:
    extra = f'pip install "genbench[{EXTRAS[launcher]}]"'
    pytest.importorskip(f"hydra_plugins.hydra_{launcher}_launcher", reason=extra)
    done = process("-m", *LAUNCHERS[launcher], *UNMEASURED, *BAD_AND_GOOD, f"runs_dir={tmp_path}")
    assert done.returncode == 1, done.stdout + done.stderr
    assert statuses(tmp_path) == ["failed", "done"]
    assert "job 1 of 2 started: lr=1e+30" in done.stdout
    assert "job 2 of 2 done after " in done.stdout
    assert "sweep: 1 failed, 1 done" in done.stdout


@pytest.mark.slow  # quick tests stop a sweep without a launcher, and runs by signals of their own
@pytest.mark.parametrize("whole_group", [True, False], ids=["as a terminal does", "by its number"])
def test_a_signal_to_parallel_jobs_saves_all_and_starts_no_other(
    whole_group: bool, tmp_path: Path, environment: dict[str, str]
) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason='pip install "genbench[sweep]"')
    small = [word for word in UNMEASURED if "budget" not in word]
    words = [
        "-m",
        *LAUNCHERS["joblib"],
        *small,
        "budget.images=1000000",
        "seed=0,1,2",
        f"runs_dir={tmp_path}",
    ]
    command = [sys.executable, str(ROOT / "main.py"), *words]
    sweep = subprocess.Popen(
        command, env=environment, cwd=tmp_path, text=True, stdout=subprocess.PIPE, start_new_session=True
    )
    while len(list(tmp_path.glob("default/*/metrics.jsonl"))) < 2:
        assert sweep.poll() is None, "it ended before it could be stopped"
        time.sleep(0.05)
    os.killpg(sweep.pid, signal.SIGINT) if whole_group else sweep.send_signal(signal.SIGINT)
    told, _ = sweep.communicate(timeout=120)
    assert sweep.returncode == 130
    assert statuses(tmp_path) == ["stopped", "stopped", "not started"]
    assert len(list(tmp_path.glob("default/*/checkpoints/last.pt"))) == 2
    assert "sweep: 2 stopped, 1 not started" in told
    # The process of the sweep alone prints what becomes of the jobs
    lines = told.splitlines()
    assert sorted(line for line in lines if "started: seed" in line) == [
        "job 1 of 3 started: seed=0",
        "job 2 of 3 started: seed=1",
    ]
    assert sum("stopped after" in line for line in lines) == 2


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


@pytest.fixture
def composed() -> Iterator[Callable[..., DictConfig]]:
    """Configurations with Hydra's own part."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        yield lambda *words: compose("config", overrides=list(words), return_hydra_config=True)


@pytest.mark.parametrize("preset", sorted(path.stem for path in (ROOT / "conf" / "sweep").glob("*.yaml")))
def test_every_preset_composes_its_jobs(preset: str, composed: Callable[..., DictConfig]) -> None:
    if preset == "search":
        pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason='pip install "genbench[sweep]"')
    cfg = composed(f"sweep={preset}")
    assert cfg.hydra.mode == RunMode.MULTIRUN
    for key, values in cfg.hydra.sweeper.params.items():
        options = {path.stem for path in (ROOT / "conf" / key).glob("*.yaml")}
        assert not options or set(re.findall(r"\w+", values.removeprefix("choice"))) <= options


def test_jobs_find_the_ledger_where_they_do_not_inherit_the_environment(
    composed: Callable[..., DictConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LEDGER, "")
    cfg = composed("sweep=schedule_x_loss")
    cfg.hydra.overrides.task.append("seed=1,2")
    cfg.runs_dir = str(tmp_path / "it's a \\ here")
    KeepsLedger().on_multirun_start(cfg)
    of_job = composed(*cfg.hydra.overrides.hydra).hydra.job.env_set
    assert of_job[LEDGER] == os.environ[LEDGER]


@pytest.mark.slow
def test_the_ledger_of_a_sweep_begins_with_all_its_jobs(main: Command, tmp_path: Path) -> None:
    """A dry run of each would take long; none starts where a stop is asked for at once."""
    planned: list[Outcome] = []
    add = Ledger.add

    with pytest.MonkeyPatch.context() as watched:
        watched.setattr(Ledger, "add", lambda self, outcome: (planned.append(outcome), add(self, outcome))[1])
        watched.setattr(StopRequest, "requested", True)
        main("sweep=schedule_x_loss", "seed=2", "budget.images=64", f"runs_dir={tmp_path}")
    assert [(one.job, one.status) for one in planned] == [(job, "not started") for job in range(12)]
    assert planned[-1].overrides[:3] == ("model=ddpm", "schedule=sigmoid", "loss=hybrid")
    assert {"seed=2", "budget.images=64", "sweep=schedule_x_loss"} <= set(planned[-1].overrides)


def test_a_reference_to_what_varies_is_resolved_by_each_job(main: Command, tmp_path: Path) -> None:
    """Hydra resolves what it hands to a sweeper: there seed would be that of no job."""
    planned: list[Outcome] = []
    with pytest.MonkeyPatch.context() as watched:
        watched.setattr(Ledger, "add", lambda _, outcome: planned.append(outcome))
        watched.setattr(StopRequest, "requested", True)
        main("-m", "seed=1,2", "trainer.samples_per_class=${seed}", f"runs_dir={tmp_path}")
    assert [one.overrides[:2] for one in planned] == [
        (f"seed={seed}", "trainer.samples_per_class=${seed}") for seed in (1, 2)
    ]


def test_the_last_word_of_a_job_counts_and_one_that_never_ended_is_to_be_looked_at(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for job in range(3):
        ledger.add(Outcome(job, "not started", (), "", 0.0, ""))
    for status in ("running", "done"):
        ledger.add(Outcome(0, status, (), "runs/a", 1.0, ""))
    ledger.add(Outcome(1, "running", (), "runs/b", 0.0, "killed"))
    found = ledger.outcomes()
    assert [one.status for one in found] == ["done", "running", "not started"]
    assert [one.bad for one in found] == [False, True, False]
    console = Console(width=100)
    with console.capture() as shown:
        console.print(outcome_table(found))
    title = " ".join(shown.get().split())
    assert "sweep: 1 done, 1 running, 1 not started; total run time 0:01" in title
    assert "runs/b" in shown.get()


def test_a_ledger_gives_back_what_was_added_by_job(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "deep" / "ledger.jsonl")
    assert ledger.outcomes() == []
    second = Outcome(1, "failed", ("a=1", "b=|<x>\n"), "runs/b", 2.5, "why\nnot")
    first = Outcome(0, "done", ("a=0",), "runs/a", 1.0, "fid=1")
    ledger.add(second)
    ledger.add(first)
    assert ledger.outcomes() == [first, second]


def test_a_ledger_that_is_read_again_and_again_parses_each_line_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And finds the same as one that reads all of it, with lines that are damaged, incomplete or replaced."""
    path = tmp_path / "ledger.jsonl"
    ledger, parsed = Ledger(path), list[bytes]()

    def parse(content: bytes) -> Lines:
        parsed.append(content)
        return parse_lines(content)

    monkeypatch.setattr(sweep_ledger, "parse_lines", parse)
    for job in range(3):
        ledger.add(Outcome(job, "not started", (f"seed={job}",), "", 0.0, ""))
        assert len(ledger.outcomes()) == job + 1
    assert sum(map(len, parsed)) == path.stat().st_size
    ledger.add(Outcome(1, "done", (), "runs/b", 1.0, "", 2.5))
    with path.open("ab") as file:
        file.write(b'no outcome\n{"job": 2')
    for _ in range(2):
        with pytest.warns(UserWarning, match="line 5, 6 is not the outcome"):
            again = ledger.outcomes()
        with pytest.warns(UserWarning, match="line 5, 6 is not the outcome"):
            assert again == Ledger(path).outcomes()
    path.unlink()
    assert ledger.outcomes() == []


def test_durations_read_as_clocks_do() -> None:
    assert [duration(s) for s in (0.4, 65, 3600, 7265)] == ["0:00", "1:05", "1:00:00", "2:01:05"]
