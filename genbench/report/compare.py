"""A directory of runs -> the comparison that a user asks for, which the formats write."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from genbench.report.footnotes import counted_once, left_out
from genbench.report.query import chosen_by_outcome, filtered, remarks, resolve
from genbench.report.runs import Runs, of_folders, read, without_reruns
from genbench.report.sweep import ledger_of, runs_of
from genbench.report.table import Query, Table, tables

__all__ = ["Comparison", "compare", "compare_runs"]


class Comparison(NamedTuple):
    """The tables of some runs with the notes before and behind them, and what they were made from."""

    runs: Runs  # those that meet the filters
    query: Query
    tables: list[Table]
    replaced: dict[str, str]  # runs that another one of the same configuration and seed stands for -> that
    warnings: Sequence[
        str
    ] = ()  # on filters that leave a part of a configuration's runs, words of two meanings

    @property
    def beginning(self) -> list[str]:
        """Notes that stand before all tables: on runs that are not counted beside those that they repeat."""
        return [*counted_once(self.replaced), *self.warnings]

    @property
    def ending(self) -> list[str]:
        """Notes that stand once behind all tables: on runs that are in none."""
        return left_out(self.runs.left_out, self.runs.passed_over)


def compare(
    runs_dir: Path,
    query: Query,
    *,
    conditions: Sequence[str] = (),
    unfinished: bool = False,
    sweep: str = "",
) -> Comparison:
    """Read the runs below a directory and lay out their tables.

    conditions: see `filtered`; sweep: the name of the one whose runs alone count, see `ledger_of`, all by
    default. Raises FileNotFoundError where there is nothing to compare (`unfinished`: no run at all),
    ValueError on a condition, a column or a sweep that does not fit.
    """
    only = runs_of(ledger_of(runs_dir, sweep)) if sweep else None
    runs = read(runs_dir, unfinished=unfinished, only=only)
    given = {"--by": query.by, "--columns": query.columns, "--sort": [query.sort.removeprefix("-")]}
    left = filtered(runs, conditions)  # which checks them
    warnings = [*chosen_by_outcome(runs, conditions), *remarks(runs, given)]
    return compared(left, query)._replace(warnings=warnings)


def compare_runs(run_dirs: Sequence[Path], failed: Sequence[Path] = ()) -> Comparison:
    """Lay out the tables of some finished runs, each named by its directory.

    failed: the directories of runs that failed beside them, which count in the table of stability alone.
    Raises OSError or ValueError on a directory whose result cannot be read.
    """
    runs = of_folders(run_dirs)
    paths = {**runs.paths, **{str(path): path for path in failed}}
    return compared(runs._replace(paths=paths), Query())


def compared(runs: Runs, query: Query) -> Comparison:
    """The tables of some runs. With `run` or `group` among the columns of a row reruns are rows too."""
    apart = [name for word in query.by for name in resolve(runs, word) if name in ("run", "group")]
    counted, replaced = without_reruns(runs, apart)
    return Comparison(runs, query, tables(counted, query), replaced)
