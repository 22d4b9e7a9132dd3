"""Runs -> the comparison that a reader sees: one table a data set and protocol, a row a configuration."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from genbench.records.metric_name import MetricName, is_metric
from genbench.report.columns import AXES, COSTS, MEASURES, Column, column, measured_metrics, shown_metrics
from genbench.report.entry import Entry, comparable, entries, entry, joined
from genbench.report.frame import Cell, cells, distinct, groups, present
from genbench.report.groups import axes, constants, data_sets, identifying, protocols, unseen
from genbench.report.numbers import shared_decimals, written
from genbench.report.query import in_order, measure, resolve
from genbench.report.runs import Runs
from genbench.report.statistics import Leader, holm, leader

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Line", "Query", "Table", "budget_groups", "budgets", "differences", "tables"]


class Query(NamedTuple):
    """Rows, order and columns that a user asks for, as typed on the command line and split at commas."""

    by: Sequence[str] = ()
    """The columns whose values a row stands for; by default all but the seed."""
    sort: str = ""
    """A column; a metric goes from best to worst, all else ascending; with - before it descending."""
    columns: Sequence[str] = ()
    """The measures to show, by default the usual ones."""


class Line(NamedTuple):
    """One row of a table: the runs of one configuration, or of what the user takes as a row."""

    rows: "pd.DataFrame"
    """Its runs."""
    entries: list[Entry]
    """One in each column of the table."""
    budgets: set[str]
    """The training budgets of its runs in words."""

    @property
    def runs(self) -> list[str]:
        """Names of its runs."""
        return [str(name) for name in self.cells("run")]

    @property
    def seeds(self) -> list[Cell]:
        """The different seeds of its runs, in the order of the runs."""
        return distinct(self.cells("seed"))

    def cells(self, name: str) -> list[Cell]:
        """Return what each of its runs has in a column, None for nothing."""
        return cells(self.rows, name)

    def entry(self, name: str) -> Entry:
        """Return its entry of any column, also of one that the table does not show."""
        return entry(self.rows, name)

    def value(self, name: str) -> Cell:
        """Return the value that its runs share in a column, or the different ones as text with commas."""
        return joined(self.cells(name))


class Table(NamedTuple):
    """The comparison of one data set under one protocol, laid out but not yet text."""

    title: str
    columns: list[Column]
    lines: list[Line]
    constants: dict[str, Cell]
    """What has no column since it is the same in all rows."""
    budgets: list[str]
    """The training budgets of the runs in words; several make the rows unequal."""
    runs: Runs
    tested: int
    """Number of the columns in which rows were tested against one another."""


def tables(runs: Runs, query: Query) -> list[Table]:
    """Return the tables of all data sets and protocols, by name.

    runs: without reruns, which would count as further seeds. Raises ValueError where the query names a
    column that these runs do not have.
    """
    return [
        table(", ".join(filter(None, (data, protocol))), part, query)
        for data, same_data in data_sets(runs)
        for protocol, part in protocols(same_data)
    ]


def table(title: str, runs: Runs, query: Query) -> Table:
    """Lay out one table, of runs of one data set and protocol."""
    by = [name for word in query.by for name in resolve(runs, word)]
    parts = groups(runs.frame, by or identifying(runs))
    words = budgets(runs.frame)
    names = measures(runs, query)
    # A cost that is the same in all rows is said once below the table, unless it was asked for.
    costs = [name for name in names if name in COSTS and (len(parts) > 1 or name == "device")]
    same = {} if query.columns else constants(runs, costs)
    # No table is read without budgets and numbers of seeds where they differ.
    seeds = {x.value for x in entries(runs.frame, parts, "seeds")}
    wanted = {"budget": len(set(words)) > 1, "seeds": not by and len(seeds) > 1}
    telling = [name for name in axes(runs) if name != "data" and name.partition(".")[0] != "budget"]
    left = by or telling or ["model"]
    left = [*left, *(name for name, is_wanted in wanted.items() if is_wanted and name not in by)]
    columns = [column(name, runs.kinds) for name in left]
    columns += marked([name for name in names if name not in same], runs)
    # Entries are computed column by column, then put into the lines.
    lines = [Line(runs.frame.iloc[places], [], {words[i] for i in places}) for places in parts]
    tested = fill(lines, [entries(runs.frame, parts, col.name) for col in columns], columns, runs)
    choices = {n: value for n, value in constants(runs, ["data", *AXES, "budget"]).items() if n not in left}
    order = ranked(parts, columns, query.sort, runs)
    return Table(title, columns, [lines[i] for i in order], choices | same, sorted(set(words)), runs, tested)


def measures(runs: Runs, query: Query) -> list[str]:
    """Columns of numbers: those asked for, or the usual ones that some run has."""
    if query.columns:
        return list(dict.fromkeys(name for word in query.columns for name in measure(runs, word)))
    there = [name for name in MEASURES if present(cells(runs.frame, name))]
    if all(str(words).endswith(" images") for words in cells(runs.frame, "budget")):
        there = [name for name in there if name != "images_seen"]  # the budget says it
    shown = shown_metrics(measured_metrics(runs.frame), runs.kinds)
    # Metrics that stem from later evaluations alone come behind the runs' own.
    return [*sorted(shown, key=lambda name: not any(runs.own(name))), *there]


def marked(names: Sequence[str], runs: Runs) -> list[Column]:
    """Columns of measures; metrics of the same features and number of samples share a footnote."""
    basis = {name: MetricName.parse(name).basis for name in names if is_metric(name)}
    marks = {shared: number for number, shared in enumerate(dict.fromkeys(basis.values()), 1)}
    return [column(name, runs.kinds, marks[basis[name]] if name in basis else 0) for name in names]


def fill(
    lines: Sequence[Line], content: Sequence[Sequence[Entry]], columns: Sequence[Column], runs: Runs
) -> int:
    """Put the entries of each column into the lines; return the number of columns whose rows are tested.

    The best of a column is marked where it beats every other row at 95 %, by two-sided tests with Holm's
    correction over the columns. What lacks some of its row's runs is compared with, but never the best. All
    values of a column get the decimals that it shares.
    """
    found = leaders(lines, content, columns, runs)
    significant = holm([first.p_value for first in found.values()])
    best = {
        place: first.place
        for (place, first), is_sure in zip(found.items(), significant, strict=True)
        if is_sure
    }
    for place, col in enumerate(content):
        digits = shared_decimals([x.estimate for x in col if x.estimate])
        for i, (line, x) in enumerate(zip(lines, col, strict=True)):
            is_best = best.get(place) == i and not x.is_partial
            line.entries.append(x._replace(is_best=is_best, digits=digits))
    return len(found)


def leaders(
    lines: Sequence[Line], content: Sequence[Sequence[Entry]], columns: Sequence[Column], runs: Runs
) -> dict[int, Leader]:
    """First row of each column in which rows can be tested, by the column's place.

    None where budgets differ; not of a column whose numbers are of several kinds, or in which a row has a
    single run.
    """
    if list(budget_groups(lines).values()) != [list(range(len(lines)))]:
        return {}
    found = {}
    for place, col in enumerate(columns):
        # An error of exactly 0 is not ranked: earlier records have it of models that invert themselves.
        is_exact = [col.name == "reconstruction_mse" and x.value == 0 for x in content[place]]
        known = [None if exact else x.estimate for x, exact in zip(content[place], is_exact, strict=True)]
        first = leader(known, col.better) if comparable([runs.frame], col.name) else None
        if first is not None:
            found[place] = first
    return found


def budgets(frame: "pd.DataFrame") -> list[str]:
    """Return the training budget of each run in words, which runs that may be ranked share.

    Seconds are equal on one device alone: 600 seconds on cpu. Runs whose record names no budget have the
    number of images that they saw.
    """
    facts = zip(*(cells(frame, name) for name in ("budget", "device", "images_seen")), strict=True)
    return [
        f"{'unknown' if seen is None else seen} images seen"
        if words is None
        else f"{words} on {device}"
        if "seconds" in str(words)
        else str(words)
        for words, device, seen in facts
    ]


def budget_groups(lines: Sequence[Line]) -> dict[str, list[int]]:
    """Return the places of the lines that may be ranked against one another, those of one budget, by budget.

    A line that pools runs of several budgets is in no group.
    """
    found: dict[str, list[int]] = {}
    for place, line in enumerate(lines):
        if len(line.budgets) == 1:
            found.setdefault(*line.budgets, []).append(place)
    return found


def ranked(parts: Sequence[Sequence[int]], columns: Sequence[Column], sort: str, runs: Runs) -> list[int]:
    """Places of the groups from best to worst, or as the user wants; what has no value comes last."""
    col = next((col for col in columns if col.better), columns[0])
    if sort:
        col = column(measure(runs, sort.removeprefix("-"))[0], runs.kinds)
    down = (col.better > 0) != sort.startswith("-")
    return in_order([x.value for x in entries(runs.frame, parts, col.name)], down=down)


def differences(table: Table, rows: int) -> list[tuple[str, list[str]]]:
    """Return the choices and settings in which the first rows of a table differ, with the text of each row.

    rows: how many of them. A setting that some runs lack is one in which they differ only if the others do.
    """
    lines = table.lines[:rows]
    places = [place for line in lines for place in line.rows.index]
    names = unseen(table.runs._replace(frame=table.runs.frame.loc[places]), [])
    return [(name, [written(line.value(name)) for line in lines]) for name in names]
