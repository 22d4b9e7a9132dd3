"""Several processes for one run: torch's elastic launcher starts them, or torchrun did."""

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from genbench.app.build import build
from genbench.app.run_names import resolved, settings_once, without_hydra
from genbench.app.sweeps import stop_of_sweep
from genbench.errors import Damaged, Lost, MachineFault, OutOfMemory, Unmeasured, UsageError
from genbench.records.result import Result
from genbench.records.run_directory import Run
from genbench.runtime.launcher import launcher, signals_restored
from genbench.runtime.memory import FREE, memory_for
from genbench.runtime.printable import printable, spell_out_warnings
from genbench.runtime.sent_errors import describe_error, is_rebuilt, rebuild_error
from genbench.runtime.stop import Stopped
from genbench.runtime.streams import harden_streams
from genbench.session.machine_faults import is_saved, machine_faults

if TYPE_CHECKING:
    from genbench.session.run_parts import Configuration, Parts

__all__ = ["Task", "assemble", "launch", "torchrun_rank", "work"]

REPORTED = (UsageError, Unmeasured, Damaged, MachineFault, OutOfMemory, FloatingPointError, OSError, Stopped)
"""Errors that a process hands its parent by type and message; any other is a bug, with a traceback."""
NOTICED_SECONDS = 30.0  # in which the parent has seen that a process ended, and ends the others


class Task(NamedTuple):
    """A run as each of its processes gets it; choices: option of each group, job: its number in a sweep,
    in_sweep: False for the one run of a command.
    """

    cfg: DictConfig
    path: Path
    identity: str
    choices: Mapping[str, str]
    job: int
    in_sweep: bool = False

    def to_json(self) -> str:
        """Encode the task as JSON: text is all that a process is handed, since text executes nothing."""
        tree = OmegaConf.to_container(self.cfg)
        return json.dumps([tree, str(self.path), self.identity, dict(self.choices), self.job, self.in_sweep])

    @classmethod
    def from_json(cls, text: str) -> "Task":
        """Decode the task that `to_json` encoded."""
        tree, path, *rest = json.loads(text)
        return cls(OmegaConf.create(tree), Path(path), *rest)


def torchrun_rank() -> int | None:
    """Return the rank of this process among torchrun's, from 0; None where torchrun did not start it."""
    return int(os.environ["RANK"]) if "TORCHELASTIC_RUN_ID" in os.environ else None


def launch(task: Task, devices: int) -> Result:
    """Start `devices` processes of a task on this machine, wait for them, and return the recorded result.
    Raises what the first of them raised, Stopped on a signal, Lost where one was killed or has a bug.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    here = Run(task.path)
    with tempfile.TemporaryDirectory() as folder, signals_restored():  # a folder that nobody else can enter
        try:
            launcher(devices, worker, Path(folder).name)(task.to_json(), folder)
            finished = here.finished_result()
            assert finished is not None  # the first process wrote it before it ended without an error
            return finished
        except SignalException:
            ending: Exception = Stopped()
        except ChildFailedError as error:
            ending = reported_error(Path(folder), devices) or lost(error, here)
        record_ending(here, ending)
        raise ending


def worker(task: str, folder: str) -> None:
    """Work on a task, as JSON, in a process that `launch` started; an error is written to FOLDER/RANK."""
    harden_streams()
    spell_out_warnings()
    try:
        work(Task.from_json(task))
    except REPORTED as ending:
        if not is_of_another(ending.__cause__):  # its parent stopped it, since another one ended
            Path(folder, os.environ["RANK"]).write_text(json.dumps(describe_error(ending)))
        sys.exit(1)
    except Exception as error:
        if not is_of_another(error):
            raise
        time.sleep(NOTICED_SECONDS)  # the parent must not see this exit first
        sys.exit(1)


def is_of_another(error: BaseException | None) -> bool:
    """True for an error that another process of the run reports, with its own number and traceback: that it
    is gone, or that it has a bug.
    """
    return isinstance(error, Lost) or (is_rebuilt(error) and not isinstance(error, REPORTED))


def work(task: Task) -> Result:
    """Run a task as one of the processes that a launcher started for it; each of them returns the result.
    The first alone prints, and notes in run.json what the machine failed.
    """
    import torch

    from genbench.runtime.processes import joined
    from genbench.runtime.progress import Progress, terminal
    from genbench.session.session import Session

    each = int(os.environ["LOCAL_WORLD_SIZE"])
    torch.set_num_threads(max(torch.get_num_threads() // each, 1))
    parts, configuration = assemble(task, int(os.environ["LOCAL_RANK"]), each)
    here = Run(task.path)
    with joined(parts.device) as processes:
        context = parts.context(Progress(terminal() if processes.first else None), stop_of_sweep(), processes)
        with machine_faults(here) if processes.first else nullcontext():
            return Session(parts, here, configuration, context).run()


def assemble(task: Task, local: int = 0, each: int | None = None) -> "tuple[Parts, Configuration]":
    """Build the parts of a run from its task, and the configuration that its directory records.
    local: the number of this process among the `each` processes of the run on this machine.
    Raises UsageError on what the user has to mend, OutOfMemory where the model has no room.
    """
    from genbench.session.run_parts import Configuration

    cfg = without_hydra(task.cfg)  # a copy, since building fills in the facts of the data
    with memory_for("building the model", FREE):
        parts = build(cfg, job=task.job, local=local, each=each)
    values = resolved(cfg)
    settings = settings_once(without_hydra(task.cfg), values, task.choices)
    return parts, Configuration(task.identity, values, task.choices, settings, task.in_sweep)


def reported_error(folder: Path, devices: int) -> Exception | None:
    """Read the error of the first process that wrote one, None where none did.
    A process that failed comes before those that were stopped, which may be on its account.
    """
    endings = []
    for path in (folder / str(rank) for rank in range(devices)):
        if path.is_file():
            with suppress(ValueError):  # cut short: the process was killed while it wrote
                endings.append(rebuild_error(json.loads(path.read_bytes())))
    return min(endings, key=lambda ending: isinstance(ending, Stopped), default=None)


def lost(error: Any, here: Run) -> Lost:  # noqa: ANN401 (torch's, which is imported late)
    """Make the error that says which process was killed or failed, and where the same command resumes."""
    from genbench.training.fault_messages import going_on

    rank, failure = error.get_first_failure()
    if failure.exitcode < 0:
        number = signal.Signals(-failure.exitcode)
        often = ", as the system does where memory runs out" if number == signal.SIGKILL else ""
        how = f"was killed by {number.name}{often}"
    else:
        how = f"failed: {reason(failure)}"
    after = going_on(is_saved=is_saved(here))
    return Lost(f"process {rank} of this run {how}. {after}, also with another trainer.devices")


def record_ending(here: Run, ending: Exception) -> None:
    """Record how a run ended where its first process could not, or knew only that another was gone."""
    record = here.record()
    if record is None or not (record["status"] == "running" or str(record["error"]).startswith("Lost")):
        return
    stopped = isinstance(ending, Stopped | Unmeasured)
    here.end("stopped" if stopped else "failed", None if isinstance(ending, Stopped) else str(ending))


def reason(failure: Any) -> str:  # noqa: ANN401 (torch's, which is imported late)
    """Return the message of the exception that ended a process, and print its traceback: it is a bug."""
    story = failure.error_file_data.get("message", {})
    if not isinstance(story, Mapping):
        return failure.message
    print(printable(str(story.get("extraInfo", {}).get("py_callstack", ""))), file=sys.stderr)
    return str(story.get("message", ""))
