"""Several processes for one run: torch's elastic launcher starts them, or torchrun did."""

import logging
import os
import pickle
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from omegaconf import DictConfig, OmegaConf

from genbench.app.build import build
from genbench.app.sweeping import stop_of_sweep
from genbench.errors import Lost, Unmeasured, UsageError
from genbench.run import Run
from genbench.stop import Stopped, ignoring_hangup, stop_signals
from genbench.streams import harden_streams

__all__ = ["Task", "launch", "launcher", "torchrun_rank", "work"]

T = TypeVar("T")

TOLD = (UsageError, Unmeasured, FloatingPointError, Stopped)
"""Endings that a process tells its parent in its own words."""


class Task(NamedTuple):
    """What each process of a run is given."""

    cfg: DictConfig
    path: Path
    identity: str
    choices: Mapping[str, str]
    job: int


def torchrun_rank() -> int | None:
    """Which of torchrun's processes this one is; None where torchrun did not start it."""
    return int(os.environ["RANK"]) if "TORCHELASTIC_RUN_ID" in os.environ else None


def launch(task: Task, devices: int) -> dict[str, Any]:
    """Start the processes on this machine, wait for them, and return the run's result.

    Raises what the first of them raised, Stopped on a signal, RuntimeError where one was killed.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    with tempfile.TemporaryDirectory() as folder, as_before():
        try:
            return launcher(devices, worker, Path(folder).name)(task, Path(folder))[0]
        except SignalException:
            ending = Stopped()
        except ChildFailedError as error:
            ending = told(Path(folder)) or lost(error)
        close(Run(task.path), ending)
        raise ending


def launcher(devices: int, work: Callable[..., T], name: str) -> Callable[..., dict[int, T]]:
    """Calls `work` in so many processes of this machine; returns what each came to, by its number."""
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=devices,
        run_id=name,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        monitor_interval=0.2,
        start_method="spawn",
    )
    # No other signals: who says nohup means it. Torch before 2.9 takes them from the environment.
    signals = ",".join(number.name for number in stop_signals())
    os.environ["TORCHELASTIC_SIGNALS_TO_HANDLE"] = config.signals_to_handle = signals
    return elastic_launch(config, work)


def worker(task: Task, folder: Path) -> dict[str, Any] | None:
    """One process: its part of the work; the result, if it is the first."""
    harden_streams()
    try:
        return work(task)
    except Lost:  # another one's end, which the parent tells of
        sys.exit(1)
    except TOLD as ending:
        (folder / os.environ["RANK"]).write_bytes(pickle.dumps(ending))
        sys.exit(1)


def work(task: Task) -> dict[str, Any] | None:
    """The part of this process, whoever started it; the result, if it is the first."""
    import torch

    from genbench.progress import terminal
    from genbench.ranks import joined
    from genbench.session import Session

    local, each = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
    torch.set_num_threads(max(torch.get_num_threads() // each, 1))
    parts = build(task.cfg, job=task.job, local=local, each=each)
    config = OmegaConf.to_container(task.cfg, resolve=True)
    with joined(parts.device) as ranks:
        who = (task.identity, config, task.choices)
        session = Session(parts, Run(task.path), *who, terminal(), ranks, stop_of_sweep())
        if ranks.first:
            return session.run()
        session.assist()
    return None


def told(folder: Path) -> Exception | None:
    """What the processes told, of all the first."""
    stories = sorted(folder.iterdir(), key=lambda path: int(path.name))
    return pickle.loads(stories[0].read_bytes()) if stories else None


def lost(error: Any) -> Lost:  # noqa: ANN401 (torch's, which is imported late)
    """In plain words, which process ended how, and what is left."""
    rank, failure = error.get_first_failure()
    if failure.exitcode < 0:
        how = f"was killed by {signal.Signals(-failure.exitcode).name}"
    else:
        how = f"failed: {reason(failure)}"
    return Lost(
        f"process {rank} of this run {how}. The same command goes on from the last checkpoint, if one was "
        "written yet, also with another trainer.devices"
    )


def close(here: Run, ending: Exception) -> None:
    """Record how a run ended where its first process could not, or knew only that another was gone."""
    record = here.record()
    if record is None or not (record["status"] == "running" or str(record["error"]).startswith("Lost")):
        return
    stopped = isinstance(ending, Stopped | Unmeasured)
    here.end("stopped" if stopped else "failed", None if isinstance(ending, Stopped) else str(ending))


def reason(failure: Any) -> str:  # noqa: ANN401 (torch's, which is imported late)
    """The exception that ended a process; its traceback goes to the terminal, since it is a bug of ours."""
    story = failure.error_file_data.get("message", {})
    if not isinstance(story, Mapping):
        return failure.message
    print(story.get("extraInfo", {}).get("py_callstack", ""), file=sys.stderr)
    return str(story.get("message", ""))


@contextmanager
def as_before() -> Iterator[None]:
    """Leave signals and the launcher's log as they were; what it tells is told here in other words."""
    handlers = {number: signal.getsignal(number) for number in stop_signals()}
    # The work in hand may be a batch of samples on a CPU.
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "120")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # of sockets, when a process is gone
    with ignoring_hangup():
        resource_tracker.ensure_running()  # it would be killed by it, and miss what the others still name
    log = logging.getLogger("torch.distributed.elastic")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
        for number, handler in handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
