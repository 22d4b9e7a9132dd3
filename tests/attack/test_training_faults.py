"""A training that meets what is not finite, or runs out of memory, says so once, and loses nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.conftest import Command, Done, Make
from tests.toys import TINY

QUICK = (
    *(word for word in TINY if not word.startswith("metrics.")),
    "metrics=likelihood",
    "metrics.likelihood_samples=16",
    "schedule.T=50",
)
"""Overrides with which a run takes no second."""

LEAST = (*QUICK[: len(QUICK) - 3], "metrics=none", "variance=posterior")
"""The same without any evaluation."""

Fault = Callable[[Tensor], Tensor]


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Callable[[Fault, Fault], None]:
    """Send what enters the network through one fault in training, and through another in all else."""
    forward = torch.nn.Conv2d.forward

    def install(in_training: Fault, elsewhere: Fault) -> None:
        def patched(self: torch.nn.Conv2d, x: Tensor) -> Tensor:
            if self.in_channels == 1:
                x = (in_training if torch.is_grad_enabled() else elsewhere)(x)
            return forward(self, x)

        monkeypatch.setattr(torch.nn.Conv2d, "forward", patched)

    return install


def nothing(x: Tensor) -> Tensor:
    """No fault."""
    return x


def out_of_memory(x: Tensor) -> Tensor:
    """CUDA's error."""
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def out_of_host_memory(x: Tensor) -> Tensor:
    """The CPU's error, as its allocator raises it: 2^60 bytes."""
    return x + torch.empty(2**58)[: len(x)]


def after(calls: int, fault: Fault) -> Fault:
    """A fault that begins after some calls."""
    left = iter(range(calls))
    return lambda x: x if next(left, None) is not None else fault(x)


def of_size(n: int, fault: Fault) -> Fault:
    """A fault that batches of n images alone meet."""
    return lambda x: fault(x) if len(x) == n else x


def poisoned(x: Tensor) -> Tensor:
    """Not finite in steps that their seeds choose, the same ones however often they come: 4 and 6 of 8."""
    return x * torch.nan if torch.initial_seed() % 5 == 4 else x


def run_of(runs: Path) -> Path:
    """The one run."""
    (record,) = runs.rglob("run.json")
    return record.parent


def record_of(runs: Path) -> dict[str, Any]:
    return json.loads((run_of(runs) / "run.json").read_text())


def checked(done: Done, code: int) -> str:
    """The one message that a command complained in."""
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("genbench: ")]
    return line


@pytest.mark.parametrize("fault", [out_of_memory, out_of_host_memory])
def test_out_of_memory_at_the_first_step_names_batch_device_and_remedy(
    main: Command, faulty: Callable[[Fault, Fault], None], tmp_path: Path, fault: Fault
) -> None:
    faulty(fault, nothing)
    told = checked(main(*QUICK, f"runs_dir={tmp_path}"), 1)
    assert "out of memory in training on cpu, 64 images at a time (trainer.batch_size=64)" in told
    assert "trainer.accumulate=2 computes 32 at a time and starts a new run" in told
    assert "Nothing was saved yet" in told
    assert "checkpoint" not in told
    record = record_of(tmp_path)
    assert record["status"] == "failed"
    assert "trainer.accumulate=2" in record["error"]


def test_out_of_memory_later_names_the_images_from_which_the_same_command_goes_on(
    main: Command, faulty: Callable[[Fault, Fault], None], tmp_path: Path
) -> None:
    words = (*LEAST, "trainer.checkpoint_every_seconds=1e-6", f"runs_dir={tmp_path}")
    faulty(after(6, out_of_memory), nothing)
    told = checked(main(*words), 1)
    assert "The same command resumes from the last checkpoint, of 384 images" in told
    faulty(nothing, nothing)
    done = main(*words)
    assert done.returncode == 0, done.stderr
    assert "Resuming at 384 images" in done.stdout


def test_out_of_memory_in_drawing_names_the_batch_size_that_may_fit(
    verb: Command, faulty: Callable[[Fault, Fault], None], made: Make, tmp_path: Path
) -> None:
    words = ("sample", made("model=ddpm", "network.width=8"), "--n", 8, "--device", "cpu")
    faulty(nothing, of_size(8, out_of_memory))  # loading tries an image alone
    told = checked(verb(*words, "--out", tmp_path / "drawn"), 1)
    assert "out of memory in drawing 8 images at once (--batch-size) on cpu" in told
    assert "take --batch-size 4" in told


@pytest.mark.slow
def test_a_network_that_is_larger_than_the_memory_leaves_nothing(main: Command, tmp_path: Path) -> None:
    least = [word for word in LEAST if not word.startswith("network.width")]
    told = checked(main(*least, "network.width=16000", f"runs_dir={tmp_path}"), 2)
    assert "weights take over" in told
    assert "network.width=16000" in told
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.slow
def test_out_of_memory_after_the_training_loses_nothing_of_it(
    main: Command, verb: Command, faulty: Callable[[Fault, Fault], None], tmp_path: Path
) -> None:
    words = (*TINY, "metrics.samples=48", f"runs_dir={tmp_path / 'runs'}")
    faulty(nothing, of_size(48, out_of_memory))
    told = checked(main(*words), 1)
    assert "48 images at a time (metrics.batch_size)" in told
    assert "`genbench evaluate RUN --set metrics.batch_size=24" in told
    assert "The trained model is saved: the same command repeats the evaluation" in told
    run = run_of(tmp_path / "runs")
    told = checked(verb("evaluate", run), 1)
    assert "--set metrics.batch_size=24" in told
    faulty(nothing, nothing)
    assert main(*words).returncode == 0
    assert record_of(tmp_path / "runs")["status"] == "done"


def test_batches_that_are_not_finite_stop_a_run_and_skip_goes_on_from_its_checkpoint(
    main: Command, verb: Command, faulty: Callable[[Fault, Fault], None], tmp_path: Path
) -> None:
    """All that is skipped is counted in the log, on the terminal, in the result and below the table."""
    words = (*QUICK, "trainer.checkpoint_every_seconds=1e-6", f"runs_dir={tmp_path}")
    faulty(poisoned, nothing)
    told = checked(main(*words), 1)
    assert "not finite in phase 'net' at step" in told
    assert "trainer.on_nonfinite=skip resumes from the checkpoint and skips such batches" in told
    done = main(*words, "trainer.on_nonfinite=skip")
    assert done.returncode == 0, done.stderr
    assert "Resuming at" in done.stdout
    result = json.loads((run_of(tmp_path) / "result.json").read_text())
    skipped = result["cost"]["skipped_batches"]
    assert f"{skipped} of 8 batches were skipped" in done.stdout
    reported = verb("report", tmp_path)
    told = " ".join(reported.stdout.split())
    assert "(trainer.on_nonfinite=skip)" in told
    assert f"default/{run_of(tmp_path).name} ({skipped})" in told


@pytest.mark.slow
def test_a_sweep_tries_again_what_need_not_come_again_or_is_now_skipped(
    main: Command, faulty: Callable[[Fault, Fault], None], tmp_path: Path
) -> None:
    sweep = (*LEAST, "-m", "seed=0", f"runs_dir={tmp_path}")
    for fault, told in ((after(2, out_of_memory), "out of memory"), (poisoned, "not finite")):
        faulty(fault, nothing)
        done = main(*sweep)
        assert done.returncode == 1
        assert told in done.stdout.replace("\n", " ")
    done = main(*sweep, "trainer.on_nonfinite=skip")
    assert done.returncode == 0, done.stdout
    assert record_of(tmp_path)["machine_fault"] is False


def test_another_word_for_it_is_refused(main: Command, tmp_path: Path) -> None:
    told = checked(main(*QUICK, "trainer.on_nonfinite=ignore", f"runs_dir={tmp_path}"), 2)
    assert "trainer.on_nonfinite is 'ignore'; it must be" in told
    assert "skip" in told
