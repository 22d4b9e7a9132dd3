"""One job: a configuration, its run, its result."""

import logging
import math
import signal
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from genbench.app.build import asks_objective, check_objective
from genbench.app.find_run import check_directory, check_places, write_composition
from genbench.app.launch import Task, assemble, launch, torchrun_rank, work
from genbench.app.messages import EXIT_FAILED, EXIT_STOPPED, leave, refusing
from genbench.app.recorded_config import value_at
from genbench.app.run_names import identity, without_hydra
from genbench.app.sweep_watch import start_line
from genbench.app.sweeper import Combinations
from genbench.app.sweeps import (
    ledger,
    outcomes_so_far,
    print_upload_command,
    stop_of_sweep,
)
from genbench.app.words import overridden
from genbench.errors import Busy, Failure, MachineFault, Unmeasured, UsageError
from genbench.records.result import Result
from genbench.records.run_directory import Run
from genbench.records.sweep_ledger import Outcome, Status, duration, job_line
from genbench.runtime.disk import explain
from genbench.runtime.memory import FREE, memory_for
from genbench.runtime.printable import complain, spell_out_warnings
from genbench.runtime.progress import Progress, terminal
from genbench.runtime.stop import Stopped, StopRequest, stop_signals
from genbench.runtime.streams import harden_streams
from genbench.session.machine_faults import is_saved, machine_faults

if TYPE_CHECKING:
    from genbench.session.session import Session

__all__ = ["run"]

UNSHOWN = ("runs_dir", "name", "rerun", "retry_failed", "dry_run", "objective", "tracker", "device")
"""Keys that move no number, or whose value stands elsewhere in the table of a result."""


class JobEnd(NamedTuple):
    """End of one job: its status, a note for the sweep's table, and the objective, nan where it has none.
    seconds: the time that an estimate found; else None, and the clock says it.
    """

    status: Status
    note: str
    objective: float = math.nan
    seconds: float | None = None


def run(cfg: DictConfig) -> float:
    """Run one job, from its configuration to its result, and return the objective, which a search minimises.
    A run of the same configuration that was interrupted is resumed, a finished one is shown. A single job
    that fails or is stopped exits with the code that `leave` documents; one of a sweep never raises.
    """
    logging.raiseExceptions = False  # or a full disk prints a traceback for each line of main.log
    # What a library says of its own caches would make a main.log of a run that is then refused.
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    if cfg.dry_run:
        logging.getLogger().handlers.clear()  # an estimate writes nothing
    harden_streams()
    spell_out_warnings()  # a parallel launcher's worker has come through no other entry point
    here = Run(Path(HydraConfig.get().runtime.output_dir))
    if torchrun_rank() is not None:
        check_torchrun(cfg)
    if torchrun_rank():
        return work_silently(cfg, here)
    launcher = str(HydraConfig.get().launcher._target_)
    alone, job = launcher.endswith(".BasicLauncher"), hydra_part().job.get("num") or 0
    if "joblib" in launcher:
        for number in set(stop_signals()) - {signal.SIGTERM}:
            # Of a terminal, between two jobs: it would kill this worker, and with it the others.
            signal.signal(number, signal.SIG_IGN)
    # Jobs that run at the same time share the terminal: each line says whose it is.
    console = terminal("" if alone else f"job {job + 1}: ")
    # The sweep's own process shows where they are; what submitit starts writes to a file of its own.
    console.quiet = in_sweep() and not (alone or is_search() or "submitit" in launcher)
    if in_sweep():
        return run_in_sweep(cfg, here, console, alone=alone)
    return run_alone(cfg, here, console)


def run_alone(cfg: DictConfig, here: Run, console: Console) -> float:
    """Run the one job of a command and return its objective; exit with a message where it fails or stops."""
    refused = False
    try:
        return carry_out(cfg, here, console, StopRequest()).objective
    except (UsageError, Unmeasured, Failure, FloatingPointError) as error:
        refused = isinstance(error, UsageError)
        leave(error)
    except Stopped as stopped:
        end = stopped_end(stopped, here)
        console.print(f"{end.status.capitalize()}; {end.note}.", highlight=False)
        sys.exit(EXIT_STOPPED if end.status == "stopped" else EXIT_FAILED)
    finally:
        print_upload_command([here.path], console)
        if here.path.exists() and not refused and not cfg.dry_run:
            console.print(str(here.path), soft_wrap=True, highlight=False)


def run_in_sweep(cfg: DictConfig, here: Run, console: Console, *, alone: bool) -> float:
    """Run a job of a sweep and return its objective; however it ends is printed and entered in the ledger.
    alone: no other job runs at the same time, so that the sweep's process ends with a job that is stopped.
    """
    stop = stop_of_sweep()
    if stop.requested:
        return math.inf
    started, end = time.monotonic(), stopped_end(Stopped(), here)
    number = enter_end(
        JobEnd("running", "it did not end: killed, or still at work", seconds=0.0), here, started
    )
    if alone:
        console.print(
            start_line(outcomes_so_far(), name_of_job(number), number), soft_wrap=True, highlight=False
        )
    try:
        end = carry_out(cfg, here, console, stop)
    except Busy as error:
        end = JobEnd("busy", str(error))
    except (UsageError, Unmeasured) as error:
        end = JobEnd("refused", str(error))
    except Stopped as stopped:
        end = stopped_end(stopped, here)
    except Exception as error:
        end = failed_end(error)
    finally:
        enter_end(end, here, started)
        after = duration(time.monotonic() - started)
        console.print(
            f"{name_of_job(number)} {end.status} after {after}: {end.note}", soft_wrap=True, highlight=False
        )
        if end.status in ("refused", "estimated"):
            with suppress(OSError):  # it has files of an earlier run
                here.path.rmdir()
        if here.path.exists() and end.status != "refused":
            console.print(str(here.path), soft_wrap=True, highlight=False)
    if alone and (stop.requested or end.status == "stopped"):  # also where the job was done before it heard
        sys.exit(EXIT_STOPPED)
    return math.inf if math.isnan(end.objective) else end.objective  # a search would fail on nan


def stopped_end(stopped: Stopped, here: Run) -> JobEnd:
    """Return the end of a job that was asked to stop: "failed" where an error came first, else "stopped"."""
    if stopped.__cause__ is not None:
        return failed_end(stopped.__cause__)
    if is_saved(here):
        return JobEnd("stopped", "the same command goes on from here")
    return JobEnd("stopped", "nothing was saved: the same command starts from the beginning")


def failed_end(error: BaseException) -> JobEnd:
    """Return the end of a job that an error ended, and write the traceback to main.log."""
    if isinstance(error, MachineFault):
        return JobEnd("failed", str(error))
    with suppress(OSError):  # main.log may lie on a full disk
        logging.getLogger(__name__).error("the job failed", exc_info=error)
    return JobEnd("failed", f"{type(error).__name__}: {error}")


def enter_end(end: JobEnd, here: Run, started: float) -> int:
    """Enter the end of this job, or its start, in the sweep's ledger; returns the number of the job.
    started: as time.monotonic() said. A disk that refuses the ledger does not end the sweep.
    """
    job = HydraConfig.get()
    seconds = time.monotonic() - started if end.seconds is None else end.seconds
    words: Any = OmegaConf.to_container(job.overrides.task)
    measured = end.objective if end.status in ("done", "skipped") and math.isfinite(end.objective) else None
    outcome = Outcome(job.job.num, end.status, tuple(words), str(here.path), seconds, end.note, measured)
    try:
        if (record := ledger()) is not None:
            record.add(outcome)
    except (OSError, ValueError) as error:  # a full disk, or a link in the place of the ledger
        why = explain(error) if isinstance(error, OSError) else str(error)
        complain(f"job {outcome.number} is not in the sweep's table. {why}")
    return outcome.job


def carry_out(cfg: DictConfig, here: Run, console: Console, stop: StopRequest) -> JobEnd:
    """Show the result of a finished run, estimate one for dry_run=true, or else train and evaluate it.
    Raises UsageError where the run cannot begin, Busy where another process works on it, Unmeasured where it
    cannot be evaluated, Failure or FloatingPointError where it fails, Stopped on a request to stop.
    """
    task = task_of(cfg, here)
    with ExitStack() as locked:
        with refusing():
            check_directory(here, task.identity)
            finished = here.finished_result()
            if finished is None and not cfg.dry_run:  # which writes nothing, also beside a run in progress
                locked.enter_context(here.exclusively())
                finished = here.finished_result()  # by another process, meanwhile
            if finished is not None:
                show_result(finished, console, again=True)
                return ended("skipped", finished, cfg)
            if in_sweep() and not cfg.retry_failed and is_failed_for_good(here, cfg):
                return JobEnd("unmended", "failed before; retry_failed=true tries it again")
            progress = Progress(console)
            with progress.waiting("loading libraries"):
                from genbench.session.session import Session  # late: a finished run is shown without torch

                parts, configuration = assemble(task)
            whole = cast("DictConfig", HydraConfig.instance().cfg)  # declared as its own part
            check_objective(cfg.objective, parts, is_asked=asks_objective(whole), is_minimised=is_search())
            session = Session(parts, here, configuration, parts.context(progress, stop))
            note_overridden(console)
            if not cfg.dry_run:
                check_places(here, parts.model)
                write_composition(task.cfg, here)
        if cfg.dry_run:
            return estimated(session, progress)
        with machine_faults(here):
            if torchrun_rank() is None and cfg.trainer.devices == 1:
                result = session.run()
            else:
                del session, parts  # each process has its own
                result = launch(task, cfg.trainer.devices) if torchrun_rank() is None else work(task)
    show_result(result, console)
    return ended("done", result, cfg)


def ended(status: Literal["done", "skipped"], result: Result, cfg: DictConfig) -> JobEnd:
    """Return the end of a job that has a result: its note names the objective, as in fid=12.3.
    The objective is what a search minimises: a distance of the EMA weights, or bits_per_dim.
    """
    value = result.value(cfg.objective)
    note = f"{cfg.objective}={value:.4g}" if math.isfinite(value) else f"{cfg.objective} not measured"
    # Of a number that is to be high, for which a target may be set, a sweep has no best: that is the lowest.
    lowest = math.nan if result.better(cfg.objective) > 0 else value
    return JobEnd(status, f"finished; {note}" if status == "skipped" else note, lowest)


def is_failed_for_good(here: Run, cfg: DictConfig) -> bool:
    """Return True where a run failed and would fail again in the same way.
    It would not where the machine was at fault, nor where trainer.on_nonfinite=skip was added meanwhile.
    """
    before = value_at(here.record(), ("config", "trainer", "on_nonfinite"))
    skips_now = cfg.trainer.get("on_nonfinite") == "skip" and before == "stop"
    return here.is_failed_for_good and not skips_now


def work_silently(cfg: DictConfig, here: Run) -> float:
    """Do the work of another of torchrun's processes than the first, which alone prints messages."""
    if here.finished_result() is None and not cfg.dry_run:
        try:
            work(task_of(cfg, here))
        except (UsageError, Unmeasured, Failure, FloatingPointError):  # the first process prints it
            sys.exit(EXIT_FAILED)
        except Stopped:
            sys.exit(EXIT_STOPPED)
    return 0.0


def check_torchrun(cfg: DictConfig) -> None:
    """Raise UsageError on what torchrun's processes cannot do, each of which composes for itself."""
    if in_sweep() or cfg.rerun:
        raise UsageError(
            "torchrun starts the processes of one run: leave out -m and rerun=true, or leave out torchrun "
            "and use trainer.devices=N"
        )
    if cfg.trainer.devices > 1:
        raise UsageError("torchrun says how many processes there are: leave out trainer.devices")


def task_of(cfg: DictConfig, here: Run) -> Task:
    """Return the task of this job, with a copy of its configuration.
    Its choices, which results are grouped by, are the option of each group, {"model": "ddpm", ..}, and
    `conditional`, which is no group.
    """
    job = hydra_part()
    choices = {
        group.partition("@")[0]: option
        for group, option in job.runtime.choices.items()
        if option is not None and not group.startswith(("hydra", "tuned"))  # tuned follows from the others
    }
    choices["conditional"] = str(cfg.conditional).lower()
    number = job.job.get("num") or 0
    return Task(without_hydra(cfg), here.path, identity(cfg), choices, number, in_sweep())


def hydra_part() -> DictConfig:
    """Return Hydra's own part of this job's configuration, which Hydra declares as a dataclass."""
    return cast("DictConfig", HydraConfig.get())


def in_sweep() -> bool:
    """Return True in a job of a sweep (-m), False in a command for one run."""
    return HydraConfig.get().mode == RunMode.MULTIRUN


def note_overridden(console: Console) -> None:
    """Name on stderr the words of this command without effect, since a later one sets the same key; called
    once it is known that the run can begin. In a sweep the command does so at its end.
    """
    if not in_sweep() and not console.quiet:
        for earlier, later in overridden(hydra_part().overrides.task):
            complain(f"{earlier} has no effect, since {later} comes later")


def is_search() -> bool:
    """Return True in a job of a search, which chooses its jobs one after another, by a sweeper of its own."""
    return not str(hydra_part().sweeper._target_).endswith((".BasicSweeper", f".{Combinations.__name__}"))


def name_of_job(job: int) -> str:
    """Return the number of a job for users, "job 3 of 27", or "job 3" in a search, whose end is not known."""
    return job_line(outcomes_so_far(), job, total=not is_search())


def show_result(result: Result, console: Console, *, again: bool = False) -> None:
    """Print the tables of a finished run; nothing in a sweep, which ends in a comparison of all its runs."""
    if in_sweep():
        return
    from genbench.report import print_result

    if again:
        console.print("This run is finished; rerun=true starts it afresh in a directory beside it.")
    given = [word for word in hydra_part().overrides.task if word.partition("=")[0] not in UNSHOWN]
    print_result(result, console, given)


def estimated(session: "Session", progress: Progress) -> JobEnd:
    """Measure a few steps of all that the run does, and return what it would take. The whole estimate is
    printed for the one run of a command; a job of a sweep has a line of it in the table of jobs.
    """
    from genbench.session.estimate import estimate

    with memory_for("the estimate of this run", FREE):
        session.prepare_device()
        session.introduce()
        with progress.waiting("measuring a few steps"):
            found = estimate(session)
    several = session.parts.trainer.devices > 1
    alone = "for one device alone"
    if not in_sweep():
        progress.say([*found.lines(), *([f"These figures are {alone}."] if several else [])])
    return JobEnd("estimated", f"{found.note}; {alone}" if several else found.note, 0.0, found.seconds)
