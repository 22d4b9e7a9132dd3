"""Two sets of runs against each other: which is better, and how sure that is."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from genbench.records.metric_name import MetricName, is_metric
from genbench.report.columns import Column, column, metrics, shown_metrics
from genbench.report.group import Group, axes, data_sets, groups, identifying
from genbench.report.noise import estimate
from genbench.report.runs import Row, Runs, of_folders, read
from genbench.report.select import filtered, without_reruns
from genbench.report.table import Line as Side
from genbench.report.table import budget, comparable
from genbench.report.verdict import Measured, holm, paired, two_sided, verdict, welch
from genbench.report.written import written

__all__ = ["Line", "both", "budgets", "duel", "duel_table"]


class Line(NamedTuple):
    """One measure of both."""

    name: str
    a: float
    b: float
    """Means over runs."""
    p: float
    """The probability that A is better; nan where nothing says how sure it is."""
    by: str
    """What the probability comes from."""
    is_sure: bool = False
    """True if they differ at 95 %, two-sided, with Holm's correction over all tested measures."""
    arrow: str = ""
    """Which way is better, as the title of a column shows it."""
    is_tested: bool = False
    """True if both have two runs or more: one run says nothing of the noise of training."""


def both(a: Path, b: Path, of_a: Sequence[str] = (), of_b: Sequence[str] = ()) -> tuple[Runs, Runs]:
    """The runs of two directories, the last of reruns, with the settings in which any of them differ.

    of_a, of_b: conditions on either's, see `filtered`.
    """
    first, second = (
        [str(runs.paths[str(row["run"])]) for row in filtered(runs, conditions).rows]
        for runs, conditions in ((read(a), of_a), (read(b), of_b))
    )
    all_runs = of_folders([Path(name) for name in (*first, *second)])
    one, two = (
        all_runs.with_rows([row for row in all_runs.rows if row["run"] in side]) for side in (first, second)
    )
    return without_reruns(one)[0], without_reruns(two)[0]


def check_sides(a: Runs, b: Runs) -> None:
    """Raise ValueError where a side is several configurations, or the sides are of other data."""
    for name, runs in (("A", a), ("B", b)):
        if len(groups(runs.rows, identifying(runs))) > 1:
            raise ValueError(
                f"{name} is several configurations, which differ in {', '.join(axes(runs))}: "
                f"give a run, a directory with runs of one, or --{name.lower()} model=ddpm and the like"
            )
    sets = data_sets(a.with_rows([*a.rows, *b.rows]))
    if len(sets) > 1:
        raise ValueError(
            f"A is of {sets[0][0]}, B of {sets[1][0]}: numbers of two sets of images do not compare"
        )


def budgets(a: Runs, b: Runs) -> list[str]:
    """What the runs were allowed; several make the two unequal."""
    return sorted({budget(row) for row in (*a.rows, *b.rows)})


def duel(a: Runs, b: Runs) -> list[Line]:
    """Every measure of the EMA weights that all runs of both have under one protocol, with a better way.

    A likelihood is left out where the two are of other kinds: a bound says nothing against an estimate.
    Raises ValueError where there is no measure, a side is several configurations, or their data differ.
    """
    check_sides(a, b)
    sides = [Side(Group((), list(runs.rows)), []) for runs in (a, b)]
    known = [*shown_metrics(metrics(a), a.kinds), "bits_per_dim"]
    names = [name for name in known if column(name, a.kinds).better]
    shared = [name for name in names if all(row.get(name) is not None for row in (*a.rows, *b.rows))]
    shared = [name for name in shared if comparable(sides, name)]
    if not shared:
        raise ValueError("the runs share no measure: compare runs of the same data and the same protocol")
    return with_sure([line(column(name, a.kinds), a.rows, b.rows) for name in shared])


def with_sure(lines: Sequence[Line]) -> list[Line]:
    """The same lines, those marked in which the two differ at 95 %."""
    tested = [x for x in lines if x.is_tested]
    sure = dict(zip((x.name for x in tested), holm([two_sided(x.p) for x in tested]), strict=True))
    return [x._replace(is_sure=sure.get(x.name, False)) for x in lines]


def line(col: Column, a: Sequence[Row], b: Sequence[Row]) -> Line:
    """One measure: paired where both have the same seeds, else by Welch's test; single runs over samples."""
    name, higher = col.name, col.better > 0
    first, second = ({row["seed"]: float(row[name] or 0.0) for row in rows} for rows in (a, b))
    known = [estimate([float(row[name] or 0.0) for row in rows]) for rows in (a, b)]
    means = [x.mean for x in known]
    if min(len(a), len(b)) > 1:
        if first.keys() == second.keys() and len(first) == len(a) == len(b):
            p = paired(*([side[seed] for seed in first] for side in (first, second)), higher_is_better=higher)
            return Line(name, *means, p, f"paired over {len(first)} seeds", arrow=col.arrow, is_tested=True)
        p = welch(*known, higher_is_better=higher)
        return Line(name, *means, p, f"{len(a)} and {len(b)} runs", arrow=col.arrow, is_tested=True)
    se = str(MetricName.parse(name).beside("_se")) if is_metric(name) else f"{name}_se"
    errors = [row.get(se) for row in (*a, *b)]
    if len(a) == len(b) == 1 and all(isinstance(se, float) and se > 0 for se in errors):
        sides = [Measured(mean, float(se)) for mean, se in zip(means, errors, strict=True)]
        p = verdict(*sides, higher_is_better=higher)
        return Line(name, *means, p, "samples of one run each", arrow=col.arrow)
    return Line(name, *means, math.nan, "nothing tells how sure", arrow=col.arrow)


def duel_table(lines: Sequence[Line], a: str, b: str, budgets: Sequence[str] = ()) -> Table:
    """The lines, and below them when a probability is in bold. Several budgets stand in the title."""
    unequal = f"\nunequal budgets: {'; '.join(budgets)}" if len(budgets) > 1 else ""
    grid = Table(
        title=Text(f"A is {a}\nB is {b}{unequal}"),
        title_justify="left",
        caption=Text(" ".join(rule(lines))),
        caption_justify="left",
    )
    for name in ("measure", "A", "B", "P(A better)", "by"):
        grid.add_column(name, justify="left" if name in ("measure", "by") else "right")
    for x in lines:
        shown = "n/a" if math.isnan(x.p) else f"{x.p:.3f}"
        name = x.name.replace("[", " [").replace(",", ", ")  # a narrow terminal breaks it there
        title = Text(f"{name} {x.arrow}")
        grid.add_row(title, written(x.a), written(x.b), Text(shown, style="bold" if x.is_sure else ""), x.by)
    return grid


def rule(lines: Sequence[Line]) -> Iterator[str]:
    """When a probability is in bold, and why none is."""
    tested = sum(x.is_tested for x in lines)
    if tested:
        holms = f", with Holm's correction over {tested} measures" if tested > 1 else ""
        yield f"Bold: A and B differ at 95 % by a two-sided t test over runs{holms}."
    else:
        yield (
            "Nothing is in bold: one run says nothing of the noise of training, whatever its interval over"
            " samples; train both with two seeds or more."
        )
