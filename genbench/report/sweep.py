"""The runs of one sweep, by the ledger that its jobs wrote beside their runs."""

import re
from pathlib import Path

from genbench.records.sweep_ledger import Ledger
from genbench.report.runs import run_folders

__all__ = ["FOLDER", "ledger_of", "runs_of", "selection"]

FOLDER = ".sweeps"  # of the ledgers, in the directory that holds the runs of all sweeps
NAME = re.compile(r"\d{8}-\d{6}-\d+")


def ledger_of(runs_dir: Path, sweep: str) -> Path:
    """Return the ledger of a sweep by its name, 20261130-010800-4711, from a directory that holds its runs:
    the ledger is there, or in a directory above.

    Raises ValueError, with the newest of the names that are there, where there is none.
    """
    folders = [place / FOLDER for place in (runs_dir.resolve(), *runs_dir.resolve().parents)]
    if NAME.fullmatch(sweep):
        for folder in folders:
            if (path := folder / f"{sweep}.jsonl").is_file():
                return path
    names = [path.stem for folder in folders if folder.is_dir() for path in folder.glob("*.jsonl")]
    known = sorted(filter(NAME.fullmatch, names))[-3:]
    there = f"the newest there are {', '.join(known)}" if known else "none is recorded there"
    raise ValueError(f"--sweep {sweep!r} is no sweep of {runs_dir}; {there}")


def runs_of(ledger: Path) -> set[Path]:
    """Return the directories, resolved, of the runs that the jobs of a sweep came to, finished or not.

    Raises OSError where the ledger cannot be read.
    """
    return {Path(outcome.run).resolve() for outcome in Ledger(ledger).outcomes() if outcome.run}


def selection(runs_dir: Path, ledger: Path) -> list[str]:
    """Return the words by which a report on a directory shows the runs of one sweep alone: none where it
    holds no others, or where that sweep's ledger is not beside or above them.
    """
    runs = runs_of(ledger)
    is_alone = all(path.resolve() in runs for _, path in run_folders(runs_dir))
    is_beside = ledger.parent.parent.resolve() in (runs_dir.resolve(), *runs_dir.resolve().parents)
    return ["--sweep", ledger.stem] if is_beside and not is_alone else []
