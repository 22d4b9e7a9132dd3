"""The directory of a run is its own: others' files stay as they are, and all may see a finished run."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from tests.attack.driving import SMALL, contents, record, refused, train
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def cache(environment: dict[str, str]) -> Path:
    return Path(environment["GENBENCH_CACHE"])


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """The directory of another run, with what must not change in it."""
    run = tmp_path / "others" / "default" / "run"
    (run / ".hydra").mkdir(parents=True)
    (run / ".hydra" / "config.yaml").write_text("seed: 5\n")
    (run / "main.log").write_text("what it said\n")
    (run / "run.json").write_text(json.dumps({"identity": "other", "status": "done", "sessions": []}))
    (run / "result.json").write_text(json.dumps({"genbench": "0.1.0", "metrics": {}}))
    return run


def of_another_run(run: Path, mine: Path) -> list[str]:
    return [f"hydra.run.dir={run}"]


def within_another_run(run: Path, mine: Path) -> list[str]:
    return [f"hydra.run.dir={run}/below"]


def runs_dir_is_a_run(run: Path, mine: Path) -> list[str]:
    return [f"runs_dir={run}"]


def sweep_into_a_run(run: Path, mine: Path) -> list[str]:
    return ["-m", "seed=0,1", f"hydra.sweep.dir={run}"]


def job_of_a_sweep_within_a_run(run: Path, mine: Path) -> list[str]:
    return ["-m", "seed=0", f"hydra.sweep.dir={run.parent}", f"hydra.sweep.subdir={run.name}/below"]


def folder_of_the_user(run: Path, mine: Path) -> list[str]:
    return [f"hydra.run.dir={mine}"]


def file_of_the_user(run: Path, mine: Path) -> list[str]:
    return [f"hydra.run.dir={mine}/main.log"]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (of_another_run, ["belongs to a run of identity other", "another directory"]),
        (within_another_run, ["is the directory of a run", "name another place"]),
        (runs_dir_is_a_run, ["is the directory of a run"]),
        (sweep_into_a_run, ["is the directory of a run"]),
        (job_of_a_sweep_within_a_run, ["is the directory of a run"]),
        (folder_of_the_user, ["is not a run's directory and holds .hydra, main.log"]),
        (file_of_the_user, ["Not a directory"]),
    ],
)
def test_a_directory_that_is_not_the_runs_is_refused_before_anything_is_written(
    cache: Path,
    tmp_path: Path,
    other: Path,
    place: Callable[[Path, Path], list[str]],
    words: list[str],
) -> None:
    mine = tmp_path / "mine"
    (mine / ".hydra").mkdir(parents=True)
    (mine / ".hydra" / "config.yaml").write_text("of another program\n")
    (mine / "main.log").write_text("precious\n")
    before, folders = contents(tmp_path), sorted(tmp_path.rglob("*"))
    runs = [] if place is runs_dir_is_a_run else [f"runs_dir={tmp_path}/runs"]
    refused(train(cache, *place(other, mine), *SMALL, *runs), *words)
    assert contents(tmp_path) == before
    assert [path for path in sorted(tmp_path.rglob("*")) if path != tmp_path / "runs"] == folders


def test_other_files_may_lie_beside_a_run_and_none_that_it_would_overwrite(
    cache: Path, tmp_path: Path
) -> None:
    run = tmp_path / "out"
    (run / "samples").mkdir(parents=True)
    (run / "out.log").write_text("what the command prints")
    (run / "samples" / "holiday.png").write_text("mine")
    words = (*SMALL, "budget.images=64", f"runs_dir={tmp_path}/runs", f"hydra.run.dir={run}")
    refused(train(cache, *words), "holds samples", "would overwrite", "choose another directory")
    (run / "samples" / "holiday.png").unlink()
    assert train(cache, *words).code == 0
    assert (run / "out.log").read_text() == "what the command prints"


def test_nothing_is_written_through_a_link_in_the_place_of_a_folder_of_a_run(
    cache: Path, tmp_path: Path
) -> None:
    run, precious = tmp_path / "run", tmp_path / "precious"
    precious.mkdir()
    run.mkdir()
    (precious / "config.yaml").write_text("mine")
    for name in (".hydra", "samples"):
        (run / name).symlink_to(precious)
        words = (*SMALL, f"runs_dir={tmp_path}/runs", f"hydra.run.dir={run}")
        refused(train(cache, *words), f"{run / name} is a link", "put a folder there")
        (run / name).unlink()
    assert contents(tmp_path) == {precious / "config.yaml": b"mine"}


def test_a_finished_run_is_shown_unchanged_while_others_look_at_it(cache: Path, tmp_path: Path) -> None:
    place = tmp_path / "chosen" / "by hand"  # an empty one is legal
    command = (*SMALL, "budget.images=64", f"runs_dir={tmp_path}", f"hydra.run.dir='{place}'")
    assert train(cache, *command).code == 0
    assert {path.name for path in (place / ".hydra").iterdir()} == {
        "config.yaml",
        "hydra.yaml",
        "overrides.yaml",
    }
    before = {path: (path.stat().st_mtime_ns, content) for path, content in contents(tmp_path).items()}
    with FileLock(place / ".lock"):
        again = train(cache, *command)
    assert again.code == 0, again.err
    assert "This run is finished" in again.out
    assert {path: (path.stat().st_mtime_ns, c) for path, c in contents(tmp_path).items()} == before


def started(runs: Path, environment: dict[str, str], *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "main.py"), *SMALL, f"runs_dir={runs}", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, env=environment, **pipes)


def ended(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    told = [process.communicate(timeout=600) for process in processes]
    return [(process.returncode, *each) for process, each in zip(processes, told, strict=True)]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints" / "last.pt", weights_only=True)["ema"]


@pytest.mark.slow
def test_six_processes_that_ask_for_a_finished_run_all_get_its_result(
    environment: dict[str, str], tmp_path: Path
) -> None:
    assert ended([started(tmp_path, environment)])[0][0] == 0
    for code, out, err in ended([started(tmp_path, environment) for _ in range(6)]):
        assert code == 0, err
        assert "This run is finished" in out
        assert "Traceback" not in err


@pytest.mark.slow
def test_of_six_processes_that_ask_for_a_new_run_one_trains_and_the_others_say_so_or_show_it(
    environment: dict[str, str], tmp_path: Path
) -> None:
    words = ("budget.images=4096",)
    done = ended([started(tmp_path, environment, *words) for _ in range(6)])
    assert {code for code, _, _ in done} <= {0, 2}
    assert all("another process is working on" in err for code, _, err in done if code == 2)
    (run,) = tmp_path.glob("default/*")
    assert record(run)["status"] == "done"
    assert len(record(run)["sessions"]) == 1
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = [event["images_seen"] for event in events if "net/loss" in event]
    assert losses == sorted(set(losses))
    (tmp_path / "alone").mkdir()
    assert ended([started(tmp_path / "alone", environment, *words)])[0][0] == 0
    (alone,) = (tmp_path / "alone").glob("default/*")
    expected = weights(alone)
    assert all(torch.equal(value, expected[name]) for name, value in weights(run).items())


@pytest.mark.slow
def test_twenty_processes_over_four_runs_and_one_new_cache_are_right_bit_for_bit(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """Each of the four runs is asked for five times at once; a busy one again, until its result is there."""
    words = ("metrics=standard", "metrics.samples=64", "scores=[fid]")
    shared = environment | {"GENBENCH_CACHE": str(tmp_path / "cache")}
    asked = {
        (seed, k): started(tmp_path / "runs", shared, *words, f"seed={seed}")
        for seed in range(4)
        for k in range(5)
    }
    done = dict(zip(asked, ended(list(asked.values())), strict=True))
    for (seed, _), (code, _, err) in done.items():
        assert code in (0, 2), err
        assert "Traceback" not in err
        if code == 2:
            assert "another process is working on" in err
            assert ended([started(tmp_path / "runs", shared, *words, f"seed={seed}")])[0][0] == 0
    for run in (tmp_path / "runs" / "default").iterdir():
        own = environment | {"GENBENCH_CACHE": str(tmp_path / f"cache of {run.name}")}
        seed = record(run)["seed"]
        assert ended([started(tmp_path / "alone", own, *words, f"seed={seed}")])[0][0] == 0
        alone = tmp_path / "alone" / "default" / run.name
        results = [json.loads((path / "result.json").read_text())["metrics"] for path in (run, alone)]
        assert results[0] == results[1]
        expected = weights(alone)
        assert all(torch.equal(value, expected[name]) for name, value in weights(run).items())
        shutil.rmtree(alone)
