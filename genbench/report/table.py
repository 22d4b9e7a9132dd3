"""Runs -> the comparison that a reader sees: one table a data set and protocol, a row a configuration."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from genbench.records.feature_network import WEAK_SIGN
from genbench.records.metric_name import MetricName, is_metric
from genbench.records.titles import UNCONDITIONAL, shared_conditioning
from genbench.report.budgets import budgets, stopped_early
from genbench.report.columns import (
    AXES,
    COSTS,
    FIRST,
    MAIN,
    Column,
    best_of,
    column,
    leading,
    measured_metrics,
    shown_metrics,
)
from genbench.report.data_frame import Cell, DataFrame, cells, distinct, groups, present
from genbench.report.groups import axes, constants, data_sets, identifying, protocols, unseen
from genbench.report.numbers import shared_decimals, whole, written
from genbench.report.query import in_order, measure, order, resolve
from genbench.report.runs import Runs
from genbench.report.settings import plain
from genbench.report.statistics import Leader, adjusted, leader
from genbench.report.table_cell import (
    NOT_MEASURED,
    Entry,
    comparable,
    entries,
    guidance_marked,
    is_guided,
    joined,
    measures_of,
)

__all__ = [
    "CONDITIONS",
    "Line",
    "Query",
    "Table",
    "budget_groups",
    "differences",
    "tables",
]

CONDITIONS = ("conditional", "guidance", "guidance.scale", "model.guidance", "model.prompts", "text")
"""Choices and settings that the one column `conditioning` says, see `records.titles.conditioning`."""


class Query(NamedTuple):
    """Rows, order and columns that a user asks for, as typed on the command line and split at commas."""

    by: Sequence[str] = ()  # the columns whose values a row stands for; by default all but the seed
    sort: str = ""  # a column; a metric goes from best to worst, all else ascending; -: descending
    columns: Sequence[str] = ()  # the measures to show, by default the usual ones


class Line(NamedTuple):
    """One row of a table: the runs of one configuration, or of what the user takes as a row."""

    rows: DataFrame  # its runs
    entries: list[Entry]  # one in each column of the table
    budgets: set[str]  # the training budgets of its runs in words

    @property
    def runs(self) -> list[str]:
        """Names of the runs that the row is the mean of."""
        return [str(name) for name in self.cells("run")]

    @property
    def is_given(self) -> bool:
        """True for images that another tool made: no training is known of them, so they are not ranked."""
        return all(value is not None for value in self.cells("given"))

    @property
    def is_guided(self) -> bool:
        """True where samples of its runs, or of one of them, are guided towards classes or texts, by any
        means and at any scale.
        """
        return is_guided(self.rows)

    @property
    def seeds(self) -> list[Cell]:
        """The different seeds of its runs, in the order of the runs."""
        return distinct(self.cells("seed"))

    def cells(self, name: str) -> list[Cell]:
        """Return what each of its runs has in a column, None for nothing."""
        return cells(self.rows, name)


class Table(NamedTuple):
    """The comparison of one data set under one protocol, laid out but not yet text."""

    title: str  # the data, what all samples are conditioned on, and the protocol where there are several
    columns: list[Column]
    lines: list[Line]
    constants: dict[str, Cell]  # what has no column since it is the same in all rows
    budgets: list[str]  # the training budgets of the runs in words; several make the rows unequal
    runs: Runs
    leaders: dict[str, Leader]  # best row of each column in which rows were tested; p values after Holm
    data: str = ""  # the title without what the samples are conditioned on

    @property
    def tested(self) -> int:
        """Number of the columns in which rows were tested against one another."""
        return len(self.leaders)

    @property
    def is_conditional(self) -> bool:
        """True if the samples of all rows are conditioned on labels or texts, which the title then says."""
        return self.title != self.data

    @property
    def entries(self) -> list[tuple[Entry, ...]]:
        """The entries of each column, one a row."""
        return list(zip(*(line.entries for line in self.lines), strict=True))

    @property
    def is_number(self) -> list[bool]:
        """True of each column that holds measured numbers, which stand below one another at the right."""
        return [any(entry.estimate for entry in column) for column in self.entries]

    def texts(self, escape: Callable[[str], str], bold: str) -> list[list[str]]:
        """Return the text of each place of each row, escaped; bold: how the best is set, such as **{}**."""
        return [
            [
                (bold if entry.is_best else "{}").format(escape(whole(entry, col.name)))
                for entry, col in zip(line.entries, self.columns, strict=True)
            ]
            for line in self.lines
        ]


def tables(runs: Runs, query: Query) -> list[Table]:
    """Return the tables of all data sets and protocols, by name.

    runs: without reruns, which would count as further seeds. Raises ValueError where the query names a
    column that these runs do not have.
    """
    return [
        table((data, protocol), part, query)
        for data, same_data in data_sets(runs)
        for protocol, part in protocols(same_data)
    ]


def table(names_of_it: tuple[str, str], runs: Runs, query: Query) -> Table:
    """Lay out one table, of runs of one data set and protocol, whose names are given."""
    data, protocol = names_of_it
    by = [name for word in query.by for name in resolve(runs, word)]
    parts = groups(runs.frame, by or identifying(runs))
    # Of images that another tool made no budget and no seeds are known.
    is_run_given = [value is not None for value in cells(runs.frame, "given")]
    is_row_given = [all(is_run_given[i] for i in places) for places in parts]
    run_budgets, table_budgets = budgets(runs.frame), set(budgets(runs.trained.frame))

    # Columns: what tells rows apart, then what was measured
    names = measures(runs, query)
    # A cost that is the same in all rows is said once below the table, unless it was asked for.
    costs = [name for name in names if name in COSTS and (len(parts) > 1 or name == "device")]
    same = {} if query.columns else constants(runs, costs)
    # No table is read without budgets and numbers of seeds where they differ.
    counts = entries(runs.frame, parts, "seeds")
    seeds = {x.value for x, is_given in zip(counts, is_row_given, strict=True) if not is_given}
    wanted = {"budget": len(table_budgets) > 1, "seeds": not by and len(seeds) > 1}
    telling = [name for name in axes(runs) if name != "data" and name.partition(".")[0] != "budget"]
    left = with_conditioning(by, by or telling or ["model"], runs)
    left = [*left, *(name for name, is_wanted in wanted.items() if is_wanted and name not in by)]
    columns = [column(name, runs.kinds) for name in left]
    columns += marked([name for name in names if name not in (*same, *left)], runs)

    # Rows, from best to worst, or as the user wants; what has no value comes last
    content, leaders = ranked(
        [entries(runs.frame, parts, col.name) for col in columns], columns, runs, is_row_given
    )
    frames = [runs.frame.iloc[places] for places in parts]
    lines = [
        Line(rows, guidance_marked(row, rows), {run_budgets[i] for i in places if not is_run_given[i]})
        for rows, places, row in zip(frames, parts, zip(*content, strict=True), strict=True)
    ]
    col = columns[leading(columns) or 0]
    col, down = order(runs, query.sort) if query.sort else (col, col.better > 0)
    places = in_order([x.value for x in entries(runs.frame, parts, col.name)], down=down)
    if not query.sort:  # images of another tool are not ranked, so none of them leads
        places = sorted(places, key=is_row_given.__getitem__)
    tests = {columns[i].name: test.moved(places.index) for i, test in leaders.items()}

    # Title, and what all rows share
    conditions = {None if x is None else str(x) for x in cells(runs.frame, "conditioning")}
    said = ["conditioning"] if conditions != {UNCONDITIONAL} else []
    choices = constants(runs, ["data", *AXES, *said, "budget"])
    choices = {n: data if n == "data" and data else x for n, x in choices.items() if n not in left}
    if "budget" in choices and (early := stopped_early(runs.frame)):
        choices["budget"] = f"{choices['budget']} (not spent by {len(early)} of {len(runs.frame)} runs)"
    title, own = (
        ", ".join(filter(None, words))
        for words in ((data, shared_conditioning(conditions), protocol), (data, protocol))
    )
    return Table(
        title,
        columns,
        [lines[i] for i in places],
        choices | same,
        [] if all(is_run_given) else sorted(table_budgets),
        runs,
        tests,
        own,
    )


def with_conditioning(by: Sequence[str], left: Sequence[str], runs: Runs) -> list[str]:
    """Return the columns that say what rows are, and what their samples are conditioned on where runs differ.

    No guided row may look unconditional, whatever else tells rows apart. One column stands for those of the
    labels, the guidance and its scale. by: what the user asked for, which stays as it is, and which needs no
    such column where it names all of these in which runs differ.
    """
    differ = {name for name in CONDITIONS if len(distinct(cells(runs.frame, name))) > 1}
    conditions = {*cells(runs.frame, "conditioning")}
    is_one = len(conditions) < 2 or conditions <= {None, UNCONDITIONAL}
    if is_one or "conditioning" in by or (by and differ <= {*by}):
        return [*left]
    return [*(name for name in left if name in by or name not in CONDITIONS), "conditioning"]


def measures(runs: Runs, query: Query) -> list[str]:
    """Columns of numbers: those asked for, or the usual ones that some run has."""
    if query.columns:
        return list(dict.fromkeys(name for word in query.columns for name in measure(runs, word)))
    there = measures_of(runs.frame)
    is_told = all(str(words).endswith(" images") for words in cells(runs.trained.frame, "budget"))
    if is_told and not stopped_early(runs.frame):
        there = [name for name in there if name != "images_seen"]  # the budget says it
    shown = shown_metrics(measured_metrics(runs.frame.columns), runs.kinds)
    # Metrics that stem from later evaluations alone come behind the runs' own.
    shown = sorted(shown, key=lambda name: not any(runs.own(name)))
    # What is read first stands first, so that it has room on a narrow terminal and in a column of a paper.
    first = [name for name in shown if MetricName.parse(name).kind in FIRST and any(runs.own(name))] or shown[
        :1
    ]
    main = [name for name in there if name in MAIN]
    rest = [name for name in (*shown, *there) if name not in (*first, *main)]
    # Of the best weights the first metrics and the bits alone: CSV and JSON have the others.
    return [*best_of(first, runs.frame.columns), *main, *rest]


def marked(names: Sequence[str], runs: Runs) -> list[Column]:
    """Columns of measures; metrics of the same features and number of samples share a footnote."""
    basis = {name: MetricName.parse(name).basis for name in names if is_metric(name)}
    marks = {shared: number for number, shared in enumerate(dict.fromkeys(basis.values()), 1)}
    weak = {protocol for protocol, network in runs.networks.items() if network.is_weak}
    found = [column(name, runs.kinds, marks[basis[name]] if name in basis else 0) for name in names]
    return [
        col._replace(is_weak=col.mark > 0 and MetricName.parse(col.name).protocol in weak) for col in found
    ]


def ranked(
    content: Sequence[list[Entry]], columns: Sequence[Column], runs: Runs, is_given: Sequence[bool]
) -> tuple[list[list[Entry]], dict[int, Leader]]:
    """Entries of each column with its decimals and its best row, and the best row of each column, by the
    place of the column, in which rows are tested, with its p value after Holm's correction.

    The best beats every other row at 95 %, by two-sided tests with Holm's correction over the columns. None
    is sought where budgets differ, or numbers are of several kinds. What lacks some of its row's runs is
    compared with, but never the best.
    Numbers of weights that validation chose are shown and not ranked.
    is_given: of each row, if another tool made its images, so that it is neither tested nor ranked.
    """
    equal = len(set(budgets(runs.trained.frame))) == 1
    # Runs that end at their target are as good as that by design: they are ranked by their time to it.
    has_target = bool(present(cells(runs.frame, "target")))
    found, best = {}, set()
    for place, (col, places) in enumerate(zip(columns, content, strict=True)):
        # An error of exactly 0 is not ranked: earlier records have it of models that invert themselves.
        is_exact = [col.name == "reconstruction_mse" and x.value == 0 for x in places]
        known = [
            None if left_out or exact else x.estimate
            for x, left_out, exact in zip(places, is_given, is_exact, strict=True)
        ]
        if has_target and col.name != "target_seconds":
            continue
        if col.is_of_best:  # like is compared with like, the last weights with the last
            continue
        if equal and comparable([runs.frame], col.name) and (first := leader(known, col.better)):
            found[place] = first
    # Each family of tests has its own correction: a lead over all rows is one over the second row as well.
    p_values = adjusted([first.p_value for first in found.values()])
    p_of_second = adjusted([first.p_of_second for first in found.values()])
    leaders = {
        place: first._replace(p_value=p, p_of_second=p_2)
        for (place, first), p, p_2 in zip(found.items(), p_values, p_of_second, strict=True)
    }
    for place, first in leaders.items():
        if first.is_significant and not content[place][first.place].is_partial:
            best.add((place, first.place))
    digits = [shared_decimals([x.estimate for x in places if x.estimate]) for places in content]
    marked = [
        [
            signed(x, columns[place])._replace(is_best=(place, i) in best, digits=digits[place])
            for i, x in enumerate(places)
        ]
        for place, places in enumerate(content)
    ]
    return marked, leaders


def signed(entry: Entry, col: Column) -> Entry:
    """Put the sign of weak features beside a number of a column of such, see `Column.is_weak`."""
    return entry._replace(sign=WEAK_SIGN) if col.is_weak and entry.estimate else entry


def budget_groups(lines: Sequence[Line]) -> dict[str, list[int]]:
    """Return the places of the lines that may be ranked against one another, those of one budget, by budget.

    A line that pools runs of several budgets is in no group.
    """
    found: dict[str, list[int]] = {}
    for place, line in enumerate(lines):
        if len(line.budgets) == 1:
            (budget,) = line.budgets
            found.setdefault(budget, []).append(place)
    return found


def differences(table: Table, rows: int) -> list[tuple[str, list[str]]]:
    """Return the choices and settings in which the first rows of a table differ, with the text of each row.

    rows: how many of them. A setting that some runs lack is one in which they differ only if the others do.
    """
    lines = table.lines[:rows]
    places = [place for line in lines for place in line.rows.index]
    names = unseen(table.runs._replace(frame=table.runs.frame.loc[places]), [])
    return [
        (
            name,
            [
                NOT_MEASURED
                if line.is_given and name != "model"
                else written(joined(map(plain, line.cells(name))))
                for line in lines
            ],
        )
        for name in names
    ]
