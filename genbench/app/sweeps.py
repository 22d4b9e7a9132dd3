"""A sweep: the ledger that its jobs write to, the request to stop, and the table at the end."""

import os
import shlex
import signal
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import FrameType

from rich.console import Console

from genbench.records.sweep_ledger import Ledger, Outcome, Status, outcome_table
from genbench.runtime.stop import StopRequest, ignoring_hangup, say_stopping, stop_signals

__all__ = [
    "LEDGER",
    "ask_workers_to_stop",
    "forget_unless_begun",
    "is_begun",
    "ledger",
    "outcomes_so_far",
    "print_summary",
    "print_upload_command",
    "statuses",
    "stop_of_sweep",
]

LEDGER = "GENBENCH_SWEEP"  # its path, in the environment of every job, wherever a launcher starts it


def ledger() -> Ledger | None:
    """Return the ledger of the sweep that this process belongs to, None outside of a sweep."""
    path = os.environ.get(LEDGER)
    return None if path is None else ledger_at(path)


@lru_cache(1)
def ledger_at(path: str) -> Ledger:
    """Return the ledger at a path, the same object each time, since it remembers what it has parsed."""
    return Ledger(Path(path))


def stop_of_sweep() -> StopRequest:
    """Return the request to stop that all jobs of a sweep share; outside of a sweep, this process's own.
    In a sweep, a file beside the ledger carries the request from one process to the others.
    """
    record = ledger()
    return StopRequest(None if record is None else record.path.with_suffix(".stop"))


def ask_workers_to_stop() -> None:
    """Pass the first SIGINT, SIGTERM or SIGHUP on to this sweep's worker processes, which then save and end.
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


def print_summary(console: Console) -> set[Status]:
    """Print how the jobs of this command ended, if it was a sweep, and compare its finished runs.
    Returns the statuses of all jobs, from which the exit code follows; none outside of a sweep.
    """
    if not (outcomes := outcomes_so_far()):
        return set()
    console.print(outcome_table(outcomes))
    made = [Path(outcome.run) for outcome in outcomes if outcome.run]
    finished = [Path(one.run) for one in outcomes if one.status in ("done", "skipped")]
    failed = [Path(one.run) for one in outcomes if one.status in ("failed", "unmended")]
    if not print_comparison_of(finished, failed, made, console):
        print_upload_command(made, console)
    if busy := sum(one.status == "busy" for one in outcomes):
        console.print(
            f"Another process is at work on {busy} of these jobs, which the comparison lacks: the same "
            "command shows it when they are finished.",
            soft_wrap=True,
        )
    return {outcome.status for outcome in outcomes}


def forget_unless_begun(ends: set[Status]) -> None:
    """Remove the ledger of a sweep none of whose jobs began, since all were refused.
    ends: the statuses of its jobs, none outside of a sweep.
    """
    if (record := ledger()) is not None and not is_begun(ends):
        with suppress(OSError):
            record.path.unlink(missing_ok=True)


def is_begun(ends: set[Status]) -> bool:
    """Return True where a job of a sweep did some work, False where all were refused."""
    return not ends <= {"refused", "not started"}


def statuses() -> set[Status]:
    """Return the statuses of the jobs of the sweep that this process belongs to, so far."""
    return {outcome.status for outcome in outcomes_so_far()}


def outcomes_so_far() -> Sequence[Outcome]:
    """Return the outcomes of the jobs of the sweep that this process belongs to; none outside of a sweep."""
    return record.outcomes() if (record := ledger()) is not None else ()


def print_comparison_of(
    run_dirs: Sequence[Path], failed: Sequence[Path], made: Iterable[Path], console: Console
) -> bool:
    """Print the table of two or more finished runs, beside those that failed, what uploads all that were
    made, and the command that shows the table again; returns False where there is no table.
    """
    if len(run_dirs) < 2:
        return False
    from genbench.report.compare import compare_runs
    from genbench.report.formats.markdown import markdown
    from genbench.report.formats.terminal import print_comparison
    from genbench.report.sweep import selection

    try:
        found = compare_runs(run_dirs, failed)
    except (OSError, ValueError) as error:  # a run that was moved away meanwhile is no failed sweep
        console.print(f"no table: {error}", soft_wrap=True, highlight=False)
        return False
    if console.is_terminal:
        print_comparison(found, console)
    else:
        console.print(markdown(found), soft_wrap=True, highlight=False)
    print_upload_command(made, console)
    place = Path(os.path.relpath(os.path.commonpath([path.parent for path in run_dirs])))
    only = [] if (record := ledger()) is None else selection(place, record.path)
    command = shlex.join(["genbench", "report", str(place), *only])
    console.print(f"Show this table again: {command}", soft_wrap=True, highlight=False)
    return True


def print_upload_command(run_dirs: Iterable[Path], console: Console) -> None:
    """Print the one command that uploads what wandb left offline of some runs, if it left anything.
    run_dirs: the directories of the runs; those without such files, or that do not exist, are passed over.
    """
    from genbench.tracking.wandb_upload import upload_command

    if (command := upload_command(run_dirs)) is not None:
        console.print(f"To upload: {command}", soft_wrap=True, highlight=False)
