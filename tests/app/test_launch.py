"""Several processes for one run, as a user starts them: one's numbers, and ends that can be gone on from."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from genbench.app import launch
from genbench.errors import UsageError
from genbench.runtime.sent_errors import describe_error, rebuild_error
from tests.conftest import ROOT, Command

TOY = (
    "trainer.log_every_images=64",
    "metrics.samples=48",
    "metrics.batch_size=16",
    "metrics.likelihood_samples=32",
    "scores=[fid,precision_recall]",  # is and kid would load torchmetrics in every process
    "tracker=jsonl",
)
DDPM = ("model=ddpm", "network.width=8", "network.blocks=1", "sampler.steps=4", "schedule.T=100", *TOY)


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.rglob(pattern)
    return found


def curve(runs: Path) -> list[float]:
    lines = [json.loads(line) for line in only(runs, "metrics.jsonl").read_text().splitlines()]
    return [value for line in lines for name, value in line.items() if name.endswith("/loss")]


def result(runs: Path) -> dict[str, Any]:
    return json.loads(only(runs, "result.json").read_text())


@pytest.mark.slow
def test_two_processes_have_the_curve_samples_and_scores_of_one(
    tmp_path: Path, main: Command, process: Command
) -> None:
    for devices, command in ((1, main), (2, process)):
        words = (*DDPM, "budget.images=512", "trainer.sample_every_images=256", f"trainer.devices={devices}")
        done = command(*words, f"runs_dir={tmp_path / str(devices)}")
        assert done.returncode == 0, done.stderr
    same_but_for_rounding(*(only(tmp_path / name, "ddpm-*") for name in "12"))


SMALL = ("network.width=8", "sampler.steps=4", "schedule.T=100", "budget.images=512", *TOY)
VALIDATED = ("data.validation=0.1", "trainer.keep=best", "trainer.validate_every_images=128")
BY_A_SCORE = ("trainer.keep_by=fid", "trainer.evaluate_samples=48")


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("model=cascade", "base_model.network.width=8"),
        ("model=unclip", "vector_network.width=16", "solver.steps=2"),
        ("model=ddpm", "process=variance_exploding", "density.steps=4"),
        ("model=ddpm", *VALIDATED),
        ("model=ddpm", *VALIDATED, *BY_A_SCORE),
    ],
    ids=["cascade", "unclip", "variance exploding", "best by its loss", "best by a score"],
)
def test_two_processes_train_evaluate_and_choose_as_one(
    words: tuple[str, ...], tmp_path: Path, main: Command, process: Command
) -> None:
    for devices, command in ((1, main), (2, process)):
        done = command(*SMALL, *words, f"trainer.devices={devices}", f"runs_dir={tmp_path / str(devices)}")
        assert done.returncode == 0, done.stderr
    same_but_for_rounding(*(only(tmp_path / name, "*-digits-*") for name in "12"))
    alone, both = (result(tmp_path / name).get("best") for name in "12")
    assert (alone is None) == (both is None) == ("trainer.keep=best" not in words)
    if alone is not None and both is not None:
        assert both["images_seen"] == alone["images_seen"]
        assert both["value"] == pytest.approx(alone["value"], rel=1e-3)
        one, two = (torch.load(only(tmp_path / name, "best.pt"), weights_only=True)["ema"] for name in "12")
        assert all(torch.allclose(two[name], value, atol=1e-3) for name, value in one.items())


@pytest.mark.slow
def test_the_runs_of_a_sweep_have_two_processes_each(tmp_path: Path, process: Command) -> None:
    words = ("-m", "model=gan,flow,latent_diffusion", "budget.images=512", *TOY)
    for devices in (1, 2):
        done = process(*words, f"runs_dir={tmp_path / str(devices)}", f"trainer.devices={devices}")
        assert done.returncode == 0, done.stderr
    for model in ("gan", "flow"):
        same_but_for_rounding(*(only(tmp_path / name, f"{model}-*") for name in "12"))
    # Its codes' moments are those of the whole batch: only their first stage draws for images.
    one, two = (curve(only(tmp_path / name, "latent_diffusion-*")) for name in "12")
    assert two == pytest.approx(one, rel=1e-2)


def same_but_for_rounding(one: Path, two: Path) -> None:
    """Assert that two runs, of one process and of two, came to the same."""
    assert one.name == two.name  # devices are the machine's affair, no other run
    # float32 sums in another order, over 8 steps of Adam
    assert curve(two) == pytest.approx(curve(one), rel=1e-4)
    for picture in (one / "samples").glob("samples_*.png"):
        apart = pixels(picture) - pixels(two / "samples" / picture.name)
        assert abs(apart).max() <= 1  # a level's rounding
    alone, both = result(one), result(two)
    assert both["metrics"] == pytest.approx(alone["metrics"], rel=1e-3, abs=1e-3)
    if alone["likelihood"]["bits_per_dim"] is not None:
        assert both["likelihood"]["bits_per_dim"] == pytest.approx(alone["likelihood"]["bits_per_dim"], 1e-5)
    assert both["cost"]["passes_per_sample"] == alone["cost"]["passes_per_sample"]
    assert both["cost"]["device"].startswith("2 x ")


def pixels(path: Path) -> Any:
    import numpy as np
    from PIL import Image

    return np.asarray(Image.open(path)).astype(int)


@pytest.mark.slow  # tests/runtime/test_processes.py kills one of two processes without a run
def test_a_killed_process_ends_the_run_which_goes_on_with_another_number(
    tmp_path: Path, main: Command, environment: dict[str, str]
) -> None:
    words = (*DDPM, "budget.images=3200", "trainer.checkpoint_every_seconds=0.1")
    going = start(tmp_path / "killed", *words, "trainer.devices=2", env=environment)
    wait_for(tmp_path / "killed", "last.pt")
    os.kill(workers_of(going.pid)[1], signal.SIGKILL)
    _, said = going.communicate(timeout=120)
    assert going.returncode == 1
    assert "was killed by SIGKILL" in said
    assert "resumes from the last checkpoint, also with another trainer.devices" in said
    assert "Traceback" not in said
    record = json.loads(only(tmp_path / "killed", "run.json").read_text())
    assert record["status"] == "failed"
    assert "SIGKILL" in record["error"]

    went_on = main(*words, f"runs_dir={tmp_path / 'killed'}")
    assert went_on.returncode == 0, went_on.stderr
    assert "Resuming at" in went_on.stdout
    whole = main(*words, f"runs_dir={tmp_path / 'whole'}")
    assert whole.returncode == 0, whole.stderr
    assert curve(tmp_path / "killed") == pytest.approx(curve(tmp_path / "whole"), rel=2e-2)
    one, other = (result(tmp_path / name)["likelihood"]["bits_per_dim"] for name in ("killed", "whole"))
    assert one == pytest.approx(other, rel=1e-2)  # 50 steps of Adam let rounding grow


@pytest.mark.slow
def test_ctrl_c_stops_all_processes_with_a_checkpoint(tmp_path: Path, environment: dict[str, str]) -> None:
    """The terminal signals every process of the group."""
    words = (*DDPM, "budget.images=640000", "trainer.devices=2")
    going = start(tmp_path, *words, env=environment)
    wait_for(tmp_path, "metrics.jsonl")
    time.sleep(1)
    os.killpg(going.pid, signal.SIGINT)
    said, _ = going.communicate(timeout=120)
    assert going.returncode == 130
    assert "Stopped; the same command goes on from here." in said
    assert json.loads(only(tmp_path, "run.json").read_text())["status"] == "stopped"
    assert only(tmp_path, "last.pt").exists()


@pytest.mark.slow
def test_torchruns_processes_are_one_run(tmp_path: Path, main: Command, environment: dict[str, str]) -> None:
    words = (*DDPM, "budget.images=256")
    alone = main(*words, f"runs_dir={tmp_path / 'one'}")
    assert alone.returncode == 0, alone.stderr
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    command = [*torchrun, str(ROOT / "main.py"), *words, f"runs_dir={tmp_path / 'two'}"]
    both = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert both.returncode == 0, both.stderr
    assert curve(tmp_path / "two") == pytest.approx(curve(tmp_path / "one"), rel=1e-4)
    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("This run is finished") == 1


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (("trainer.devices=0",), "trainer.devices is 0; each takes an equal part"),
        (("trainer.devices=3",), "choose from 1, 2, 4, 8, 16, 32, 64"),
        (
            ("trainer.devices=2", "trainer.accumulate=64"),
            "the 1 images of trainer.batch_size=64, accumulate=64: choose from 1",
        ),
    ],
)
def test_a_batch_that_cannot_be_divided_is_refused(
    tmp_path: Path, main: Command, words: tuple[str, ...], refusal: str
) -> None:
    refused = main("model=ddpm", *words, f"runs_dir={tmp_path}")
    assert refused.returncode == 2
    assert refusal in refused.stderr


@pytest.mark.parametrize(
    ("error", "ended", "reports"),
    [
        (TypeError("a bug"), TypeError, False),  # torch's launcher reports it, with its traceback
        (rebuild_error(describe_error(TypeError("a bug"))), SystemExit, False),
        (rebuild_error(describe_error(KeyError("a bug"))), SystemExit, False),
        (UsageError("a fault"), SystemExit, True),
        (rebuild_error(describe_error(UsageError("a fault"))), SystemExit, True),
    ],
)
def test_a_bug_is_reported_by_the_process_that_has_its_traceback_alone(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    ended: type[BaseException],
    reports: bool,
) -> None:
    def broken(task: launch.Task) -> None:
        raise error

    monkeypatch.setattr(launch, "work", broken)
    monkeypatch.setattr(launch, "harden_streams", lambda: None)
    monkeypatch.setattr(launch, "spell_out_warnings", lambda: None)
    monkeypatch.setattr(launch, "NOTICED_SECONDS", 0)
    monkeypatch.setenv("RANK", "1")
    task = launch.Task(OmegaConf.create({}), tmp_path, "identity", {}, 0)
    with pytest.raises(ended):
        launch.worker(task.to_json(), str(tmp_path))
    assert (tmp_path / "1").exists() == reports


def start(runs: Path, *words: str, env: dict[str, str]) -> subprocess.Popen[str]:
    """The command in a process group of its own, as from a terminal."""
    command = [sys.executable, str(ROOT / "main.py"), *words, f"runs_dir={runs}"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=env, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def wait_for(runs: Path, name: str) -> None:
    """Until a file of the run is there."""
    until = time.monotonic() + 120
    while not list(runs.rglob(name)):
        assert time.monotonic() < until, f"no {name}"
        time.sleep(0.1)


def workers_of(parent: int) -> list[int]:
    """The processes of a run by their rank, which is the order of their start."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    spawned = [pid for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
    return [int(pid) for pid in spawned]
