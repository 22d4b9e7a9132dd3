"""End of a sweep: the table of its jobs, the comparison of its runs, and the commands to go on with."""

import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console

from genbench.app.sweeps import ledger
from genbench.records.sweep_ledger import Outcome, Status, outcome_table

__all__ = ["print_summary", "print_upload_command"]


def print_summary(console: Console) -> set[Status]:
    """Print how the jobs of this command ended, if it was a sweep, and compare its finished runs.
    Returns the statuses of all jobs, from which the exit code follows; none outside of a sweep.
    """
    record = ledger()
    outcomes: Sequence[Outcome] = record.outcomes() if record is not None else ()
    if not outcomes:
        return set()
    console.print(outcome_table(outcomes))
    print_comparison_of([Path(one.run) for one in outcomes if one.status in ("done", "skipped")], console)
    if busy := sum(one.status == "busy" for one in outcomes):
        console.print(
            f"Another process is at work on {busy} of these jobs, which the comparison lacks: the same "
            "command shows it when they are finished.",
            soft_wrap=True,
        )
    print_upload_command([Path(outcome.run) for outcome in outcomes if outcome.run], console)
    return {outcome.status for outcome in outcomes}


def print_comparison_of(run_dirs: Sequence[Path], console: Console) -> None:
    """Print the table of two or more finished runs, and the command that shows it again."""
    if len(run_dirs) < 2:
        return
    from genbench.report.compare import compare_runs
    from genbench.report.formats.markdown import markdown
    from genbench.report.formats.terminal import print_comparison

    try:
        found = compare_runs(run_dirs)
    except (OSError, ValueError) as error:  # a run that was moved away meanwhile is no failed sweep
        console.print(f"no table: {error}", soft_wrap=True, highlight=False)
        return
    if console.is_terminal:
        print_comparison(found, console)
    else:
        console.print(markdown(found), soft_wrap=True, highlight=False)
    place = Path(os.path.relpath(os.path.commonpath([path.parent for path in run_dirs])))
    command = shlex.join(["genbench", "report", str(place)])
    console.print(f"Show this table again: {command}", soft_wrap=True, highlight=False)


def print_upload_command(run_dirs: Iterable[Path], console: Console) -> None:
    """Print the one command that uploads what wandb left offline of some runs, if it left anything.
    run_dirs: the directories of the runs; those without such files, or that do not exist, are passed over.
    """
    from genbench.tracking.wandb import upload_command

    if (command := upload_command(run_dirs)) is not None:
        console.print(f"To upload: {command}", soft_wrap=True, highlight=False)
