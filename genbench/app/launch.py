"""Several processes for one run: torch's elastic launcher starts them, or torchrun did."""

import json
import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from genbench.app.build import build
from genbench.app.machine import is_saved, machine_faults
from genbench.app.sweeps import stop_of_sweep
from genbench.errors import Damaged, Lost, MachineFault, OutOfMemory, Unmeasured, UsageError
from genbench.records.result import Result
from genbench.records.run_directory import Run
from genbench.runtime.endings import describe_error, rebuild_error
from genbench.runtime.printable import printable, spell_out_warnings
from genbench.runtime.stop import Stopped, ignoring_hangup, stop_signals
from genbench.runtime.streams import harden_streams

__all__ = ["Task", "launch", "launcher", "torchrun_rank", "work"]

TOLD = (UsageError, Unmeasured, Damaged, MachineFault, OutOfMemory, FloatingPointError, OSError, Stopped)
"""Endings that a process tells its parent in its own words."""
NOTICED_SECONDS = 30.0  # in which the parent has seen that a process ended, and ends the others


class Task(NamedTuple):
    """Configuration, directory and identity of a run, as each of its processes gets them."""

    cfg: DictConfig
    path: Path
    identity: str
    choices: Mapping[str, str]
    job: int

    def to_json(self) -> str:
        """The task as text, which is all that a process is handed."""
        tree = OmegaConf.to_container(self.cfg)
        return json.dumps([tree, str(self.path), self.identity, dict(self.choices), self.job])

    @classmethod
    def from_json(cls, text: str) -> "Task":
        """The task that `to_json` wrote."""
        tree, path, *rest = json.loads(text)
        return cls(OmegaConf.create(tree), Path(path), *rest)


def torchrun_rank() -> int | None:
    """Return the rank of this process among torchrun's, None where torchrun did not start it."""
    return int(os.environ["RANK"]) if "TORCHELASTIC_RUN_ID" in os.environ else None


def launch(task: Task, devices: int) -> Result:
    """Start the processes on this machine, wait for them, and return the run's result, as it is recorded.

    Raises what the first of them raised, Stopped on a signal, RuntimeError where one was killed.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    here = Run(task.path)
    with tempfile.TemporaryDirectory() as folder, as_before():  # a folder that nobody else can enter
        try:
            launcher(devices, worker, Path(folder).name)(task.to_json(), folder)
            finished = here.finished_result()
            assert finished is not None  # the first process wrote it before it ended without an error
            return finished
        except SignalException:
            ending: Exception = Stopped()
        except ChildFailedError as error:
            ending = told(Path(folder), devices) or lost(error, here)
        close(here, ending)
        raise ending


def launcher(devices: int, work: Callable[..., None], name: str) -> Callable[..., object]:
    """Calls `work` in so many processes of this machine, with the strings that the result is called with.

    Strings alone, and nothing is returned, since the launcher would pickle it.
    """
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    from genbench.app.rendezvous import LOOPBACK, register

    register()
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=devices,
        run_id=name,
        rdzv_backend=LOOPBACK,
        local_addr="localhost",
        max_restarts=0,
        monitor_interval=0.2,
        start_method="spawn",
    )
    # No other signals: who says nohup means it. Torch before 2.9 takes them from the environment.
    signals = ",".join(number.name for number in stop_signals())
    os.environ["TORCHELASTIC_SIGNALS_TO_HANDLE"] = config.signals_to_handle = signals
    return elastic_launch(config, work)


def worker(task: str, folder: str) -> None:
    """One process: its part of the work on a task, as JSON; how it ended goes to a file in the folder."""
    harden_streams()
    spell_out_warnings()
    try:
        work(Task.from_json(task))
    except TOLD as ending:
        if not isinstance(ending.__cause__, Lost):  # whom its parent stopped, since another one ended
            Path(folder, os.environ["RANK"]).write_text(json.dumps(describe_error(ending)))
        sys.exit(1)
    except Lost:  # another one's end, which the parent tells of: it must not see this one's before
        time.sleep(NOTICED_SECONDS)
        sys.exit(1)


def work(task: Task) -> Result | None:
    """The part of this process, whoever started it; the result, if it is the first."""
    import torch

    from genbench.runtime.processes import joined
    from genbench.runtime.progress import terminal
    from genbench.session.session import Session

    local, each = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
    torch.set_num_threads(max(torch.get_num_threads() // each, 1))
    parts = build(task.cfg, job=task.job, local=local, each=each)
    config = OmegaConf.to_container(task.cfg, resolve=True)
    with joined(parts.device) as ranks:
        who = (task.identity, config, task.choices)
        session = Session(parts, Run(task.path), *who, terminal(), ranks, stop_of_sweep())
        if ranks.first:
            with machine_faults(session.here):
                return session.run()
        session.assist()
    return None


def told(folder: Path, devices: int) -> Exception | None:
    """The error that the first of the processes ended with, None where none wrote one.

    A process that failed comes before those that were stopped, which may be on its account.
    """
    endings = []
    for path in (folder / str(rank) for rank in range(devices)):
        if path.is_file():
            with suppress(ValueError):  # cut short: the process was killed while it wrote
                endings.append(rebuild_error(json.loads(path.read_bytes())))
    return min(endings, key=lambda ending: isinstance(ending, Stopped), default=None)


def lost(error: Any, here: Run) -> Lost:  # noqa: ANN401 (torch's, which is imported late)
    """Return the error that says which process ended how, and where the same command goes on."""
    from genbench.training.faults import going_on

    rank, failure = error.get_first_failure()
    if failure.exitcode < 0:
        number = signal.Signals(-failure.exitcode)
        often = ", as the system does where memory runs out" if number == signal.SIGKILL else ""
        how = f"was killed by {number.name}{often}"
    else:
        how = f"failed: {reason(failure)}"
    after = going_on(is_saved=is_saved(here))
    return Lost(f"process {rank} of this run {how}. {after}, also with another trainer.devices")


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
    print(printable(str(story.get("extraInfo", {}).get("py_callstack", ""))), file=sys.stderr)
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
