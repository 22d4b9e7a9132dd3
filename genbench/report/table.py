"""Runs -> the comparison that a reader sees: one table a data set, a row a configuration."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from genbench.records.metric_kinds import Kind
from genbench.records.metric_name import MetricName, is_metric
from genbench.report.columns import AXES, COSTS, LIKELIHOOD, Column, column, metrics, shown_metrics
from genbench.report.group import Group, axes, constants, data_sets, groups, identifying, is_own, protocols
from genbench.report.noise import Estimate, estimate
from genbench.report.rounding import shared_decimals
from genbench.report.runs import Cell, Runs
from genbench.report.select import by_value, measure, resolve
from genbench.report.verdict import Leader, holm, leader

__all__ = ["NOT_MEASURED", "Entry", "Line", "Query", "Table", "leaders", "leagues", "tables"]

MEASURED = (
    "bits_per_dim",
    "solver_error_bits",
    "floor_bits_per_dim",
    "gap_bits_per_dim",
    "reconstruction_mse",
    "parameters",
    "images_seen",
    "training_seconds",
    "passes_per_sample",
    "seconds_per_image",
    "device",
)
NOT_MEASURED = "–"  # of a model that has the number, where none was asked for
SIGNS = {"exact": "", "lower": "≤", "estimate": "≈"}  # a lower bound of the likelihood bounds bits from above


class Query(NamedTuple):
    """What a user asks for."""

    by: Sequence[str] = ()
    """What a row stands for; by default all but the seed."""
    sort: str = ""
    """A column; a metric goes from best to worst, all else upwards; with - before it the other way round."""
    columns: Sequence[str] = ()
    """The measures to show, by default the usual ones."""


class Entry(NamedTuple):
    """What stands in one place of a table."""

    value: Cell
    estimate: Estimate | None = None
    """Of a number, with its spread."""
    sign: str = ""
    runs: int = 0
    """Of the row; more than the estimate's where some of them lack the number."""
    is_best: bool = False
    digits: int | None = None
    """Decimals, where the values of the column share them."""

    @property
    def is_partial(self) -> bool:
        """Whether it stands for a part of the row's runs alone."""
        return self.estimate is not None and self.estimate.n < self.runs


class Line(NamedTuple):
    """One row of a table."""

    group: Group
    entries: list[Entry]

    @property
    def runs(self) -> list[str]:
        """The names of its runs."""
        return [str(row["run"]) for row in self.group.rows]


class Table(NamedTuple):
    """The comparison of one data set under one protocol."""

    title: str
    columns: list[Column]
    lines: list[Line]
    constants: dict[str, Cell]
    """What has no column since it is the same in all rows."""
    budgets: list[str]
    """What the runs were allowed; several make the rows unequal."""
    runs: Runs


def tables(runs: Runs, query: Query) -> list[Table]:
    """The tables of all data sets and protocols, by name. Raises ValueError on a column that is not there."""
    return [
        table(", ".join(filter(None, (data, protocol))), part, query)
        for data, same_data in sorted(data_sets(runs), key=lambda pair: pair[0])
        for protocol, part in protocols(same_data)
    ]


def table(title: str, runs: Runs, query: Query) -> Table:
    """One data set's table."""
    by = [name for word in query.by for name in resolve(runs, word)]
    found = groups(runs.rows, by or identifying(runs))
    budgets = sorted({budget(row) for row in runs.rows})
    names = measures(runs, query)
    same = (
        {}
        if query.columns
        else constants(runs, [n for n in names if n in COSTS and (len(found) > 1 or n == "device")])
    )
    left = [*(by or shown_axes(runs)), *extra_axes(by, found, budgets)]
    columns = [*map(column, left), *marked([name for name in names if name not in same], runs.kinds)]
    lines = [Line(group, [entry(group, col.name) for col in columns]) for group in found]
    lines = aligned(with_best(lines, columns))
    lines = ordered(lines, columns, query.sort, runs)
    kept = {
        name: value for name, value in constants(runs, ["data", *AXES, "budget"]).items() if name not in left
    }
    return Table(title, columns, lines, kept | same, budgets, runs)


def shown_axes(runs: Runs) -> list[str]:
    """The columns that tell rows apart; budgets are one column of words."""
    told = [name for name in axes(runs) if name not in ("budget", "data") and not name.startswith("budget.")]
    return told or ["model"]


def extra_axes(by: Sequence[str], found: Sequence[Group], budgets: Sequence[str]) -> list[str]:
    """The columns that no table is read without: budgets and numbers of seeds, where they differ."""
    wanted = {"budget": len(budgets) > 1, "seeds": not by and many_seeds(found)}
    return [name for name, is_wanted in wanted.items() if is_wanted and name not in by]


def many_seeds(found: Sequence[Group]) -> bool:
    """Whether rows stand for unequal numbers of seeds."""
    return len({group.seeds for group in found}) > 1


def budget(row: dict[str, Cell]) -> str:
    """What a run was allowed; seconds are equal on one device alone."""
    words = row.get("budget")
    if words is None:
        return f"{row.get('images_seen', 'unknown')} images seen"
    return f"{words} on {row.get('device')}" if "seconds" in str(words) else str(words)


def measures(runs: Runs, query: Query) -> list[str]:
    """The columns of numbers: those asked for, or the usual ones that some run has."""
    if query.columns:
        return list(dict.fromkeys(name for word in query.columns for name in measure(runs, word)))
    there = {name for row in runs.rows for name, value in row.items() if value is not None}
    if all(str(row.get("budget")).endswith(" images") for row in runs.rows):
        there -= {"images_seen"}  # the budget says it
    shown = shown_metrics(metrics(runs), runs.kinds)
    own = {name for name in shown if any(is_own(row, name, runs) for row in runs.rows)}
    return [*sorted(shown, key=lambda name: name not in own), *(name for name in MEASURED if name in there)]


def marked(names: Sequence[str], kinds: Mapping[str, Kind]) -> list[Column]:
    """Their columns; metrics of the same features and number of samples share the mark of a foot-note."""
    bases = {name: MetricName.parse(name).basis for name in names if is_metric(name)}
    numbers = {basis: number for number, basis in enumerate(dict.fromkeys(bases.values()), 1)}
    return [column(name, kinds, numbers[bases[name]] if name in bases else 0) for name in names]


def entry(group: Group, name: str) -> Entry:
    """What a group has in a column."""
    if name == "seeds":
        return Entry(group.seeds)
    found = group.values(name)
    numbers = [x for x in found if isinstance(x, int | float) and not isinstance(x, bool)]
    if name == "bits_per_dim" and not found and 0 in group.values("likelihood_n"):
        return Entry(None, sign=NOT_MEASURED)
    if not numbers or len(numbers) < len(found) or not is_measure(name):
        return Entry(group.value(name))
    low, high = ends(group, name)
    known = estimate(numbers, low, high)
    value = numbers[0] if len(set(numbers)) == 1 else known.mean
    return Entry(value, known, sign(group, name), len(group.rows))


def is_measure(name: str) -> bool:
    """Whether the values of several seeds in a column have a mean."""
    return (
        is_metric(name)
        or name in (*COSTS, *LIKELIHOOD)
        or name.startswith(("reconstruction", "bits_per_dim"))
    )


def ends(group: Group, name: str) -> tuple[float | None, float | None]:
    """The recorded 95 % interval of a metric of one run; None and None where there is none."""
    metric = MetricName.parse(name) if is_metric(name) else None
    if metric is None or metric.spread:
        return None, None
    return only(group, str(metric.beside("_low"))), only(group, str(metric.beside("_high")))


def only(group: Group, name: str) -> float | None:
    """The number that a group of one run has."""
    found = [value for value in group.values(name) if isinstance(value, int | float)]
    return found[0] if len(found) == 1 else None


def sign(group: Group, name: str) -> str:
    """How a likelihood is to be read."""
    if name != "bits_per_dim":
        return ""
    signs = {SIGNS.get(str(bound), "?") for bound in group.values("bound")}
    return signs.pop() if len(signs) == 1 else "?"


def with_best(lines: list[Line], columns: Sequence[Column]) -> list[Line]:
    """The same lines, the best of each column marked where it beats every other row at 95 %.

    By two-sided tests, with Holm's correction over the columns. What lacks some of its row's runs is compared
    with, but never the best.
    """
    found = leaders(lines, columns)
    sure = holm([first.p_value for first in found.values()])
    for (place, first), is_sure in zip(found.items(), sure, strict=True):
        entries = lines[first.place].entries
        if is_sure and not entries[place].is_partial:
            entries[place] = entries[place]._replace(is_best=True)
    return lines


def leaders(lines: Sequence[Line], columns: Sequence[Column]) -> dict[int, Leader]:
    """The first row of each column in which rows can be tested, by the column's place.

    None where budgets differ; not of a column whose numbers are of several kinds, or in which a row has a
    single run.
    """
    if list(leagues(lines).values()) != [list(range(len(lines)))]:
        return {}
    found = {
        place: leader([rankable(line.entries[place], col.name) for line in lines], col.better)
        for place, col in enumerate(columns)
        if comparable(lines, col.name)
    }
    return {place: first for place, first in found.items() if first is not None}


def leagues(lines: Sequence[Line]) -> dict[str, list[int]]:
    """The places of the lines that may be ranked against one another, those of one budget, by the budget.

    A line that pools runs of several budgets is in none.
    """
    found: dict[str, list[int]] = {}
    for place, line in enumerate(lines):
        budgets = {budget(row) for row in line.group.rows}
        if len(budgets) == 1:
            found.setdefault(budgets.pop(), []).append(place)
    return found


def rankable(entry: Entry, name: str) -> Estimate | None:
    """What takes part in a ranking: no error of exactly 0, which only models that are inverted have.

    Records of today have none of these (see `Latent.inverts`), earlier ones do.
    """
    return None if name == "reconstruction_mse" and entry.value == 0 else entry.estimate


def aligned(lines: list[Line]) -> list[Line]:
    """The same lines, each column with as many decimals throughout as its values allow."""
    columns = zip(*(line.entries for line in lines), strict=True)
    digits = [shared_decimals([entry.estimate for entry in column if entry.estimate]) for column in columns]
    return [
        line._replace(entries=[e._replace(digits=d) for e, d in zip(line.entries, digits, strict=True)])
        for line in lines
    ]


def comparable(lines: Sequence[Line], name: str) -> bool:
    """Whether the numbers of a column are of one kind: a bound says nothing against an estimate."""
    kinds = ("bound", "method", "likelihood_n")
    if name != "bits_per_dim":
        return True
    measured = [row for line in lines for row in line.group.rows if row.get(name) is not None]
    return len({tuple(row.get(kind) for kind in kinds) for row in measured}) == 1


def ordered(lines: list[Line], columns: Sequence[Column], sort: str, runs: Runs) -> list[Line]:
    """The lines from best to worst, or as the user wants; what has no value comes last."""
    backwards = sort.startswith("-")
    if sort:
        col = column(measure(runs, sort.removeprefix("-"))[0], runs.kinds)
    else:
        col = next((col for col in columns if col.better), columns[0])
    down = (col.better > 0) != backwards
    return by_value([(entry(line.group, col.name).value, line) for line in lines], down=down)
