"""Several jobs of one command: the ledger that they write to, and what is said at the end."""

import os
import re
import shlex
import signal
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console

from genbench.records.sweep_ledger import Ledger, Outcome, Status, outcome_table
from genbench.runtime.progress import terminal
from genbench.runtime.stop import StopRequest, ignoring_hangup, say_stopping, stop_signals

__all__ = ["KeepsLedger", "ledger", "plan", "stop_of_sweep", "summarise", "tell_upload"]

LEDGER = "GENBENCH_SWEEP"  # in the environment of every job, wherever a launcher starts it


class KeepsLedger(Callback):
    """Gives a sweep its ledger before its first job starts."""

    def on_multirun_start(self, config: DictConfig, config_name: str | None = None) -> None:
        """Hydra's hook."""
        moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        path = Path(config.runs_dir).resolve() / ".sweeps" / f"{moment}-{os.getpid()}.jsonl"
        os.environ[LEDGER] = str(path)
        # The workers of a cluster that runs already do not inherit this process's environment.
        config.hydra.overrides.hydra.append(f"++hydra.job.env_set.{LEDGER}={quoted(str(path))}")
        if (sweeper := config.hydra.sweeper)._target_.endswith(f".{BasicSweeper.__name__}"):
            sweeper._target_ = "hydra_plugins.combinations.Combinations"
        if "joblib" in config.hydra.launcher._target_:
            ask_workers_to_stop()

    def on_job_end(self, config: DictConfig, job_return: JobReturn) -> None:
        """Forget a job's configuration: Hydra keeps those of all jobs until a sweep ends, 0.3 MB each."""
        job_return.cfg = job_return.hydra_cfg = None


def stop_of_sweep() -> StopRequest:
    """Return the request that tells a job that its sweep, if there is one, was asked to stop."""
    kept = ledger()
    return StopRequest(None if kept is None else kept.path.with_suffix(".stop"))


def ask_workers_to_stop() -> None:
    """Pass the first SIGINT, SIGTERM or SIGHUP on to this sweep's processes, which save what they have.

    joblib by itself kills them at once, as it does at a second signal.
    """
    from joblib.externals.loky.backend.resource_tracker import ensure_running

    with ignoring_hangup():
        ensure_running()  # this helper of joblib's would be killed by it, and complain once it is there again

    def ask(number: int, frame: FrameType | None) -> None:
        if (sign := stop_of_sweep().sign) is not None:
            sign.parent.mkdir(parents=True, exist_ok=True)
            sign.touch()
        if say_stopping(number):
            for each in (signal.SIGINT, signal.SIGTERM):
                signal.signal(each, signal.default_int_handler)

    for number in stop_signals():
        signal.signal(number, ask)


def plan(jobs: Sequence[Sequence[str]], refused: Sequence[tuple[Sequence[str], str]]) -> None:
    """Enter in the ledger what is to be done, and, last, what cannot be, which is told at once."""
    kept, console = ledger(), terminal()
    assert kept is not None
    for number, words in enumerate(jobs):
        kept.add(Outcome(number, "not started", tuple(words), "", 0.0, ""))
    for number, (words, why) in enumerate(refused, len(jobs)):
        kept.add(Outcome(number, "refused", tuple(words), "", 0.0, why))
        told = f"job {number} refused ({' '.join(words)}): {why}"
        console.print(told, soft_wrap=True, markup=False, highlight=False)


def quoted(text: str) -> str:
    """Text as one value of Hydra's grammar, where a backslash is itself unless it stands before a quote."""
    return "'" + re.sub(r"(\\*)'", r"\1\1\\'", text) + "'"


def ledger() -> Ledger | None:
    """The ledger of the sweep that this process belongs to, if any."""
    path = os.environ.get(LEDGER)
    return None if path is None else Ledger(Path(path))


def summarise(console: Console) -> set[Status]:
    """Print what became of the jobs of this command, if it was a sweep; returns how they ended."""
    kept = ledger()
    outcomes: Sequence[Outcome] = kept.outcomes() if kept is not None else ()
    if not outcomes:
        return set()
    console.print(outcome_table(outcomes))
    show_comparison([Path(one.run) for one in outcomes if one.status in ("done", "skipped")], console)
    if busy := sum(one.status == "busy" for one in outcomes):
        console.print(
            f"Another process is at work on {busy} of these jobs, which the comparison lacks: the same "
            "command shows it when they are finished.",
            soft_wrap=True,
        )
    tell_upload([Path(outcome.run) for outcome in outcomes if outcome.run], console)
    return {outcome.status for outcome in outcomes}


def show_comparison(run_dirs: Sequence[Path], console: Console) -> None:
    """Print the table of the finished runs, and the command that makes it of all runs where they lie."""
    if len(run_dirs) < 2:
        return
    from genbench.report.compare import compare_runs
    from genbench.report.formats.markdown import markdown
    from genbench.report.formats.terminal import print_comparison

    try:
        found = compare_runs(run_dirs)
    except (OSError, ValueError) as error:  # a run that was moved away meanwhile is no failed sweep
        console.print(f"no table: {error}", soft_wrap=True, markup=False, highlight=False)
        return
    if console.is_terminal:
        print_comparison(found, console)
    else:
        console.print(markdown(found), soft_wrap=True, markup=False, highlight=False)
    place = Path(os.path.relpath(os.path.commonpath([path.parent for path in run_dirs])))
    command = shlex.join(["genbench", "report", str(place)])
    console.print(f"To compare with all runs there: {command}", soft_wrap=True, markup=False, highlight=False)


def tell_upload(run_dirs: Iterable[Path], console: Console) -> None:
    """Print the one command that uploads what wandb keeps offline of some runs, if it keeps anything."""
    from genbench.tracking.wandb import upload_command

    if (command := upload_command(run_dirs)) is not None:
        console.print(f"To upload: {command}", soft_wrap=True, markup=False, highlight=False)
