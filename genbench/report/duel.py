"""Two sets of runs against each other: which is better, and how sure that is."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from genbench.report.columns import column, metrics, shown_metrics
from genbench.report.group import Group, axes, data_sets, groups, identifying
from genbench.report.load import Row, Runs, of_folders, read
from genbench.report.noise import LEVEL, estimate
from genbench.report.select import filtered, without_reruns
from genbench.report.table import Line as Side
from genbench.report.table import budget, comparable
from genbench.report.verdict import Measured, verdict
from genbench.report.written import written

__all__ = ["Line", "both", "budgets", "duel", "duel_table", "paired"]


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
    names = [name for name in (*shown_metrics(metrics(a)), "bits_per_dim") if column(name).better]
    shared = [name for name in names if all(row.get(name) is not None for row in (*a.rows, *b.rows))]
    shared = [name for name in shared if comparable(sides, name)]
    if not shared:
        raise ValueError("the runs share no measure: compare runs of the same data and the same protocol")
    return [line(name, a.rows, b.rows) for name in shared]


def line(name: str, a: Sequence[Row], b: Sequence[Row]) -> Line:
    """One measure: paired over seeds where both have several, else by the spread over samples of one run."""
    higher = column(name).better > 0
    first, second = ({row["seed"]: float(row[name] or 0.0) for row in rows} for rows in (a, b))
    seeds = sorted(first.keys() & second.keys(), key=str)
    means = [estimate([float(row[name] or 0.0) for row in rows]).mean for rows in (a, b)]
    if len(seeds) > 1 and len(first) == len(a) and len(second) == len(b):
        better = [(first[seed] - second[seed]) * (1 if higher else -1) for seed in seeds]
        return Line(name, *means, paired(better), f"paired over {len(seeds)} seeds")
    kind, bracket, rest = name.partition("[")
    errors = [row.get(f"{kind}_se{bracket}{rest}") for row in (*a, *b)]
    if len(a) == len(b) == 1 and all(isinstance(se, float) and se > 0 for se in errors):
        sides = [Measured(mean, float(se)) for mean, se in zip(means, errors, strict=True)]
        return Line(name, *means, verdict(*sides, higher_is_better=higher), "interval over samples")
    return Line(name, *means, math.nan, "nothing tells how sure")


def paired(better: Sequence[float]) -> float:
    """The probability that differences of two or more pairs have a mean above 0: Student's posterior.

    nan of differences that are all the same, which do not say how far another pair would be from them.

    P = F_(n-1)(mean / (s / sqrt(n))), the one-sided t test's p value from 1. Source: Student 1908.
    """
    from scipy.special import stdtr

    found = estimate(better)
    if not found.std:
        return math.nan if found.mean else 0.5
    return float(stdtr(found.n - 1, found.mean / (found.std / math.sqrt(found.n))))


def duel_table(lines: Sequence[Line], a: str, b: str, budgets: Sequence[str] = ()) -> Table:
    """The lines; a probability of 95 % either way stands out. Several budgets are told in the title."""
    unequal = f"\nunequal budgets: {'; '.join(budgets)}" if len(budgets) > 1 else ""
    grid = Table(title=Text(f"A is {a}\nB is {b}{unequal}"), title_justify="left")
    for name in ("measure", "A", "B", "P(A better)", "by"):
        grid.add_column(name, justify="left" if name in ("measure", "by") else "right")
    for x in lines:
        sure = "bold" if max(x.p, 1 - x.p) >= LEVEL else ""
        shown = "n/a" if math.isnan(x.p) else f"{x.p:.3f}"
        name = x.name.replace("[", " [").replace(",", ", ")  # a narrow terminal breaks it there
        title = Text(f"{name} {column(x.name).arrow}")
        grid.add_row(title, written(x.a), written(x.b), Text(shown, style=sure), x.by)
    return grid
