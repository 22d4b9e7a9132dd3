"""A directory of runs -> the text of a report, in each of its formats."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from genbench.report.latex import latex
from genbench.report.markdown import markdown
from genbench.report.notes import counted_once, left_out
from genbench.report.records import csv_text, json_text, row_records, run_records
from genbench.report.runs import Runs, of_folders, read
from genbench.report.select import (
    arranged,
    chosen_by_outcome,
    filtered,
    keys,
    measure,
    resolve,
    without_reruns,
)
from genbench.report.table import Query, Table, tables

__all__ = ["Comparison", "as_csv", "as_json", "as_keys", "as_latex", "as_markdown", "compare", "compare_runs"]


class Comparison(NamedTuple):
    """What a report is written from."""

    runs: Runs
    """Those that meet the filters."""
    query: Query
    tables: list[Table]
    replaced: dict[str, str]
    """Runs that another one of the same configuration and seed stands for -> that one."""
    torn: Sequence[str] = ()
    """What a filter on a measure took of rows of which it left the rest."""

    @property
    def beginning(self) -> list[str]:
        """What is said before all tables: which runs are not counted beside those that they repeat."""
        return [*counted_once(self.replaced), *self.torn]

    @property
    def ending(self) -> list[str]:
        """What is said once, of all tables: which runs are in none."""
        return left_out(self.runs.left_out, self.runs.passed_over)


def compare(
    runs_dir: Path, query: Query, *, conditions: Sequence[str] = (), unfinished: bool = False
) -> Comparison:
    """Read the runs below a directory and lay out their tables.

    conditions: see `filtered`. Raises FileNotFoundError where there is nothing to compare (`unfinished`: no
    run at all), ValueError on a condition or a column that does not fit.
    """
    runs = read(runs_dir, unfinished=unfinished)
    return compared(filtered(runs, conditions), query)._replace(torn=chosen_by_outcome(runs, conditions))


def compare_runs(run_dirs: Sequence[Path]) -> Comparison:
    """The same of some finished runs. Raises OSError or ValueError on one that cannot be read."""
    return compared(of_folders(run_dirs), Query())


def compared(runs: Runs, query: Query) -> Comparison:
    """The tables of some runs."""
    apart = [name for word in query.by for name in resolve(runs, word) if name in ("run", "group")]
    kept, replaced = without_reruns(runs, apart)
    return Comparison(runs, query, tables(kept, query), replaced)


def as_markdown(found: Comparison) -> str:
    """Tables that can be read as they are."""
    return markdown(found.tables, found.ending, found.beginning)


def as_latex(found: Comparison) -> str:
    """The same for a paper."""
    return latex(found.tables, [*found.beginning, *found.ending])


def as_csv(found: Comparison) -> str:
    """One line a run, or a row of the tables where the user says what a row is."""
    return csv_text(records(found))


def as_json(found: Comparison) -> str:
    """The same as a list of objects."""
    return json_text(records(found))


def as_keys(found: Comparison, *, every: bool = False) -> str:
    """What columns may be called, and what the runs have there; by default those that tell runs apart."""
    return keys(found.runs, every=every)


def records(found: Comparison) -> Sequence[dict]:
    """What CSV and JSON hold."""
    runs, query = found.runs, found.query
    if query.by:
        return row_records(found.tables)
    only = [name for word in query.columns for name in measure(runs, word)]
    return run_records(arranged(runs, query.sort) if query.sort else runs, only)
