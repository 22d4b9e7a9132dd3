"""One job: a configuration, its run, its result."""

import logging
import math
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from genbench.app.build import build
from genbench.app.directory import check_directory, check_places, refusing, write_composition
from genbench.app.entry import EXIT_FAILED, EXIT_STOPPED, leave
from genbench.app.launch import Task, launch, torchrun_rank, work
from genbench.app.machine import is_saved, machine_faults
from genbench.app.recorded import at
from genbench.app.run_names import identity, without_hydra
from genbench.app.sweeps import ledger, stop_of_sweep, tell_upload
from genbench.errors import Busy, Failure, MachineFault, Unmeasured, UsageError
from genbench.records.metric_kinds import KINDS, Kind
from genbench.records.metric_name import of_ema
from genbench.records.result import Result
from genbench.records.run_directory import Run
from genbench.records.sweep_ledger import Ledger, Outcome, Status
from genbench.runtime.disk import explain
from genbench.runtime.memory import FREE, memory_for
from genbench.runtime.printable import complain, spell_out_warnings
from genbench.runtime.progress import terminal
from genbench.runtime.stop import Stopped, StopRequest, stop_signals
from genbench.runtime.streams import harden_streams

if TYPE_CHECKING:
    from genbench.session.session import Session

__all__ = ["run"]


class Stay(NamedTuple):
    """Ending of one job: its status, a note for the table, and the objective, nan where it has none."""

    status: Status
    note: str
    objective: float = math.nan
    seconds: float | None = None
    """Of an estimate; else the clock says it."""


def run(cfg: DictConfig) -> float:
    """One job, from its configuration to its result; returns what a search would minimise.

    Goes on where an earlier one of the same configuration left off.
    """
    logging.raiseExceptions = False  # or a full disk prints a traceback for each line of main.log
    harden_streams()
    spell_out_warnings()  # a parallel launcher's worker has come through no other entry point
    here = Run(Path(HydraConfig.get().runtime.output_dir))
    if torchrun_rank() is not None:
        check_torchrun(cfg)
    if torchrun_rank():
        return assist(cfg, here)
    launcher = str(HydraConfig.get().launcher._target_)
    alone = launcher.endswith(".BasicLauncher")
    if "joblib" in launcher:
        ignore_terminal()
    console = terminal("" if alone else f"job {HydraConfig.get().job.get('num', 0)}: ")
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        return one_of_many(cfg, here, console, alone=alone)
    return single(cfg, here, console)


def ignore_terminal() -> None:
    """Ignore what a terminal signals to all processes of a sweep, in one of its workers.

    Between two jobs it would kill the worker, and with it the others.
    """
    for number in stop_signals():
        if number != signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)


def single(cfg: DictConfig, here: Run, console: Console) -> float:
    """Run the one job of a command and return its objective; exit with a message where it fails or stops."""
    try:
        end = stay(cfg, here, console, StopRequest())
        if end.status == "estimated":
            console.print(end.note, highlight=False)
        return end.objective
    except (UsageError, Unmeasured, Failure, FloatingPointError) as error:
        leave(error)
    except Stopped as stopped:
        end = interrupted(stopped, here)
        console.print(f"{end.status.capitalize()}; {end.note}.", markup=False, highlight=False)
        sys.exit(EXIT_STOPPED if end.status == "stopped" else EXIT_FAILED)
    finally:
        tell_upload([here.path], console)
        point_to(here, console)


def one_of_many(cfg: DictConfig, here: Run, console: Console, *, alone: bool) -> float:
    """A job of a sweep: whatever becomes of it is told at once and kept, and the others follow.

    alone: no other one is at work, so that the process of the sweep ends with a job that is stopped.
    """
    stop = stop_of_sweep()
    if stop.requested:
        return math.inf
    started, end = time.monotonic(), interrupted(Stopped(), here)
    keep(Stay("running", "it did not come to its end: killed, or still at work", seconds=0.0), here, started)
    try:
        end = stay(cfg, here, console, stop)
    except Busy as error:
        end = Stay("busy", str(error))
    except (UsageError, Unmeasured) as error:
        end = Stay("refused", str(error))
    except Stopped as stopped:
        end = interrupted(stopped, here)
    except Exception as error:
        end = failed(error)
    finally:
        number = keep(end, here, started)
        console.print(f"job {number} {end.status}: {end.note}", markup=False, highlight=False)
        point_to(here, console)
    if alone and (stop.requested or end.status == "stopped"):  # also where the job was done before it heard
        sys.exit(EXIT_STOPPED)
    return math.inf if math.isnan(end.objective) else end.objective  # a search would fail on nan


def interrupted(stopped: Stopped, here: Run) -> Stay:
    """A job that was asked to stop, and may have failed before it did: neither hides the other."""
    if stopped.__cause__ is not None:
        return failed(stopped.__cause__)
    if is_saved(here):
        return Stay("stopped", "the same command goes on from here")
    return Stay("stopped", "nothing was saved: the same command starts from the beginning")


def failed(error: BaseException) -> Stay:
    """A job that ended in an error, whose traceback is kept in main.log."""
    if isinstance(error, MachineFault):
        return Stay("failed", str(error))
    with suppress(OSError):  # main.log may lie on a full disk
        logging.getLogger(__name__).error("the job failed", exc_info=error)
    return Stay("failed", f"{type(error).__name__}: {error}")


def keep(end: Stay, here: Run, started: float) -> int:
    """Enter in the sweep's ledger how this job stands; returns its number."""
    job = HydraConfig.get()
    seconds = time.monotonic() - started if end.seconds is None else end.seconds
    words = tuple(OmegaConf.to_container(job.overrides.task))
    outcome = Outcome(job.job.num, end.status, words, str(here.path), seconds, end.note)
    if (kept := ledger()) is not None:
        enter(outcome, kept)
    return outcome.job


def enter(outcome: Outcome, kept: Ledger) -> None:
    """Add an outcome to the ledger; a disk that does not allow it must not end the sweep."""
    try:
        kept.add(outcome)
    except (OSError, ValueError) as error:  # a full disk, or a link in the place of the ledger
        why = explain(error) if isinstance(error, OSError) else str(error)
        complain(f"job {outcome.job} is not in the sweep's table. {why}")


def point_to(here: Run, console: Console) -> None:
    """Say where the run is, if there is one."""
    if here.path.exists():
        console.print(str(here.path), soft_wrap=True, highlight=False)


def stay(cfg: DictConfig, here: Run, console: Console, stop: StopRequest) -> Stay:
    """Show the result of a run that is finished, estimate one for dry_run=true, work on any other."""
    task = task_of(cfg, here)  # building changes the configuration
    with ExitStack() as locked:
        with refusing():
            check_directory(here, task.identity)
            finished = here.finished_result()
            if finished is None:
                locked.enter_context(here.exclusively())
                finished = here.finished_result()  # by another process, meanwhile
            if finished is not None:
                show(finished, console, again=True)
                return Stay("skipped", f"finished; {headline(finished, cfg)}", objective(finished, cfg))
            if sweeping() and not cfg.retry_failed and is_failed_for_good(here, cfg):
                return Stay("unmended", "failed before; retry_failed=true tries it again")
            session = open_session(cfg, here, console, stop)
            if not cfg.dry_run:
                check_places(here, session.parts.model)
                write_composition(task.cfg, here)
        if cfg.dry_run:
            return estimated(session)
        with machine_faults(here):
            if torchrun_rank() is None and cfg.trainer.devices == 1:
                result = session.run()
            else:
                del session  # each process has its own
                result = launch(task, cfg.trainer.devices) if torchrun_rank() is None else work(task)
    show(result, console)
    return Stay("done", headline(result, cfg), objective(result, cfg))


def is_failed_for_good(here: Run, cfg: DictConfig) -> bool:
    """Return True where a run failed and would fail again in the same way.

    It would not where the machine was at fault, nor where trainer.on_nonfinite=skip was added meanwhile.
    """
    before = at(here.record(), ("config", "trainer", "on_nonfinite"))
    skips_now = cfg.trainer.on_nonfinite == "skip" and before == "stop"
    return here.is_failed_for_good and not skips_now


def assist(cfg: DictConfig, here: Run) -> float:
    """The part of one of torchrun's processes that is not the first; nothing is said here."""
    if here.finished_result() is None and not cfg.dry_run:
        try:
            work(task_of(cfg, here))
        except (UsageError, Unmeasured, Failure, FloatingPointError):  # the first process says it
            sys.exit(EXIT_FAILED)
        except Stopped:
            sys.exit(EXIT_STOPPED)
    return 0.0


def check_torchrun(cfg: DictConfig) -> None:
    """Raise UsageError on what torchrun's processes cannot do, each of which composes for itself."""
    if sweeping() or cfg.rerun:
        raise UsageError(
            "torchrun starts the processes of one run: leave out -m and rerun=true, or leave out torchrun "
            "and take trainer.devices=N"
        )
    if cfg.trainer.devices > 1:
        raise UsageError("torchrun says how many processes there are: leave out trainer.devices")


def task_of(cfg: DictConfig, here: Run) -> Task:
    """Return the task that each of several processes is handed, from a copy of the configuration."""
    words = without_hydra(cfg)  # a copy
    return Task(words, here.path, identity(cfg), chosen(cfg), HydraConfig.get().job.get("num") or 0)


def sweeping() -> bool:
    """Return True in a job of a sweep (-m), False in a command for one run."""
    return HydraConfig.get().mode == RunMode.MULTIRUN


def show(result: Result, console: Console, *, again: bool = False) -> None:
    """The tables of a run; in a sweep its headline is told, and at its end the comparison of all."""
    if sweeping():
        return
    from genbench.report import print_result

    if again:
        console.print("This run is finished; rerun=true starts it afresh in a directory beside it.")
    print_result(result, console)


def estimated(session: "Session") -> Stay:
    """Measure a few steps and return the estimated cost of the run, in seconds and memory."""
    from genbench.session.estimate import estimate

    with memory_for("the estimate of this run", FREE):
        found = estimate(session)
    several = session.parts.trainer.devices > 1
    note = f"{found.note}; for one device alone" if several else found.note
    return Stay("estimated", note, objective=0.0, seconds=found.seconds)


def headline(result: Result, cfg: DictConfig) -> str:
    """The objective, as it is called."""
    value = objective(result, cfg)
    return f"{cfg.objective}={value:.4g}" if math.isfinite(value) else f"{cfg.objective} not measured"


def objective(result: Result, cfg: DictConfig) -> float:
    """Return what a search minimises: a distance of the EMA weights, or bits_per_dim; nan without one."""
    if cfg.objective == "bits_per_dim":
        bits = result.likelihood.bits_per_dim
        return math.nan if bits is None else bits
    return float(of_ema(result.metrics).get(cfg.objective, math.nan))


def check_objective(objective: str, kinds: Iterable[Kind]) -> None:
    """Raise ValueError unless the objective is bits_per_dim or a metric kind of which lower is better.

    kinds: those of the composed scores, among which may be some that genbench does not ship.
    """
    known = {**KINDS, **{kind.key: kind for kind in kinds}}.values()
    legal = [kind.key for kind in known if kind.better < 0] + ["bits_per_dim"]
    if objective not in legal:
        raise ValueError(f"objective is {objective!r}; lower must be better, so legal are {', '.join(legal)}")


def open_session(cfg: DictConfig, here: Run, console: Console, stop: StopRequest) -> "Session":
    """All that the user may have to mend: the configuration, the data, the checkpoint, another process."""
    who = identity(cfg)
    with memory_for("building the model", FREE):
        parts = build(cfg)
        check_objective(cfg.objective, parts.metrics.kinds)
        from genbench.session.session import Session

        config = OmegaConf.to_container(cfg, resolve=True)
        return Session(parts, here, who, config, chosen(cfg), console, stop=stop)


def chosen(cfg: DictConfig) -> dict[str, str]:
    """The option chosen in each group: model -> ddpm, schedule -> cosine, .."""
    options = {
        group.partition("@")[0]: option
        for group, option in HydraConfig.get().runtime.choices.items()
        if option is not None and not group.startswith(("hydra", "tuned"))  # tuned follows from the others
    }
    return {**options, "conditional": str(cfg.conditional).lower()}
