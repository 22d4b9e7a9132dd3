"""Two sets of runs against each other: which is better, and how sure that is."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from genbench.records.feature_network import WEAK_SIGN, FeatureNetwork, merged_networks
from genbench.records.metric_name import MetricName, is_metric
from genbench.report.budgets import budgets
from genbench.report.columns import Column, column, measured_metrics, shown_metrics
from genbench.report.data_frame import Cell, cells, distinct, groups, present
from genbench.report.groups import axes, data_titles, identifying
from genbench.report.numbers import p_words, rounded, shared_decimals, written
from genbench.report.query import filtered
from genbench.report.runs import Runs, of_folders, read, without_reruns
from genbench.report.statistics import adjusted, estimate, holm, p_normal, p_paired, p_welch, two_sided
from genbench.report.table_cell import NOT_MEASURED, beside, comparable

PAIRS = 3  # from which on seeds are paired: with two the t test has one degree of freedom, Welch's up to two

__all__ = ["Measure", "Values", "compare_sides", "compare_values", "read_sides", "sides_table"]


class Values(NamedTuple):
    """One measure of the runs of one side: values with their seeds and standard errors, one each a run."""

    values: list[float]
    seeds: list[Cell]
    errors: list[Cell]  # standard errors over samples, None where none was recorded


class Measure(NamedTuple):
    """One measure of both sides, with the probability that A is better and the test that it comes from."""

    column: Column
    a: float  # mean over the runs of A
    b: float
    p: float  # the probability that A is better; nan where nothing shows how sure it is
    by: str  # the test behind the probability
    is_tested: bool = False  # if both have two runs or more: one does not show how much training varies
    is_significant: bool = False  # if they differ at 95 %, with Holm's correction over all tested measures
    digits: int | None = None  # decimals of both, as a report's column of the two has them

    @property
    def texts(self) -> tuple[str, str]:
        """The two means as text, with the decimals of a report on the same runs."""
        one, other = (
            written(x) if self.digits is None or 0 < abs(x) < 1e-4 else rounded(x, self.digits)
            for x in (self.a, self.b)
        )
        return one, other


def read_sides(a: Path, b: Path, of_a: Sequence[str] = (), of_b: Sequence[str] = ()) -> tuple[Runs, Runs]:
    """Read the runs of two directories, the last of reruns, with the settings in which any of them differ.

    of_a, of_b: conditions on the runs of either, see `filtered`, which also says what is raised.
    """
    asked = ((a, of_a, "--a"), (b, of_b, "--b"))
    sides = [filtered(read(folder), conditions, option=option) for folder, conditions, option in asked]
    names = [[str(runs.paths[str(run)]) for run in runs.frame["run"]] for runs in sides]
    # Read anew together: a setting in which only the two sides differ is none within either.
    both = of_folders([Path(name) for name in (*names[0], *names[1])])
    one, two = (both.with_frame(both.frame.loc[both.frame["run"].isin(side)]) for side in names)
    return without_reruns(one)[0], without_reruns(two)[0]


def compare_sides(a: Runs, b: Runs) -> list[Measure]:
    """Compare every measure of the EMA weights that all runs of both have under one protocol.

    Only those with a better side; a likelihood is left out where the two are of other kinds: a bound says
    nothing against an estimate. Raises ValueError where there is no measure, a side is several
    configurations, they share a run, or their data differ.
    """
    for name, runs in (("A", a), ("B", b)):
        if len(groups(runs.frame, identifying(runs))) > 1:
            differ = axes(runs)
            raise ValueError(
                f"{name} is several configurations, which differ in {', '.join(differ)}: give a run, a "
                f"directory with runs of one, or one more condition, as in --{name.lower()} "
                f"{differ[0]}={cells(runs.frame, differ[0])[0]}"
                if differ
                else f"{name} is several configurations: give a run, or a directory with runs of one"
            )
    if both := places(a) & places(b):
        raise ValueError(
            f"{min(both)} is a run of both A and B, which does not differ from itself: give two "
            "directories, or conditions such as --a model=ddpm --b model=vae"
        )
    data_a, data_b = data_titles([a, b])
    if data_a != data_b:
        raise ValueError(f"A is of {data_a}, B of {data_b}: numbers of two sets of images do not compare")
    shared = list[tuple[Column, Values, Values]]()
    for name in (*shown_metrics(measured_metrics(a.frame.columns), a.kinds), "bits_per_dim"):
        col = column(name, a.kinds)
        values = [cells(runs.frame, name) for runs in (a, b)]
        if col.better and None not in (*values[0], *values[1]) and comparable((a.frame, b.frame), name):
            side_a, side_b = (
                Values(
                    [float(value) for value in found if value is not None],
                    cells(runs.frame, "seed"),
                    cells(runs.frame, beside(name, "_se")),
                )
                for found, runs in zip(values, (a, b), strict=True)
            )
            shared.append((col, side_a, side_b))
    if not shared:
        raise ValueError("the runs share no measure: compare runs of the same data and the same protocol")
    return compare_values(shared)


def places(runs: Runs) -> set[Path]:
    """Return the directories of some runs, as far as they were read from directories."""
    return {runs.paths[name].resolve() for name in map(str, cells(runs.frame, "run")) if name in runs.paths}


def compare_values(measures: Iterable[tuple[Column, Values, Values]]) -> list[Measure]:
    """Compare several measures of two sides, those marked in which the two differ at 95 %.

    The tests are two-sided, with Holm's correction over all measures of which both have two runs or more.
    """
    found = [compared(*measure) for measure in measures]
    significant = iter(holm([two_sided(x.p) for x in found if x.is_tested]))
    return [x._replace(is_significant=x.is_tested and next(significant)) for x in found]


def compared(col: Column, a: Values, b: Values) -> Measure:
    """One measure: paired where both have the same PAIRS seeds or more, else by Welch's test; single runs
    over samples. Seeds alone choose the test, never its outcome, so that the error stays that of one test.
    """
    # Of a measure of which higher is better, A is better where B is lower.
    low, high = (b, a) if col.better > 0 else (a, b)
    of_a, of_b, of_low, of_high = (estimate(side.values) for side in (a, b, low, high))
    digits = shared_decimals([of_a, of_b])
    p, by, is_tested = math.nan, "no standard error recorded", min(of_a.n, of_b.n) > 1
    pairs = [dict(zip(side.seeds, side.values, strict=True)) for side in (low, high)]
    if PAIRS <= len(pairs[0]) == of_a.n == of_b.n and pairs[0].keys() == pairs[1].keys():
        p = p_paired(*([side[seed] for seed in pairs[0]] for side in pairs))
        by = f"paired t test over {of_a.n} seeds"
    elif is_tested:
        p, by = p_welch(of_low, of_high), f"Welch's test, {of_a.n} and {of_b.n} runs"
    elif of_a.n == of_b.n and all(isinstance(se, float) and se > 0 for se in (*low.errors, *high.errors)):
        p = p_normal(*low.values, *high.values, *low.errors, *high.errors)
        by = "samples of one run each"
    return Measure(col, of_a.mean, of_b.mean, p, by, is_tested, digits=digits)


def sides_table(measures: Sequence[Measure], names: Sequence[str], sides: Sequence[Runs]) -> Table:
    """Return the measures as a table for the terminal, with p values after Holm's correction, and below them
    when one is in bold.

    names, sides: of A and B; where their training budgets differ the title says so.
    """
    allowed = sorted({words for runs in sides for words in budgets(runs.frame)})
    unequal = f"\nunequal budgets: {'; '.join(allowed)}" if len(allowed) > 1 else ""
    tested = sum(x.is_tested for x in measures)
    holms = f", with Holm's correction over {tested} measures" if tested > 1 else ""
    rule = (
        f"p: of the two-sided test named beside it{holms}. Bold: below 0.05, A and B differ significantly."
        if tested
        else "Nothing is in bold: one run does not show how much training varies, whatever its interval over "
        "samples; train both with two seeds or more."
    )
    networks = merged_networks(runs.networks for runs in sides)
    behind = {x.column.name: network_of(x.column, networks) for x in measures}
    notes = [
        f"{protocol}: {network.words}"
        + (f"\n{WEAK_SIGN} weak features: {network.weakness}." if network.is_weak else "")
        for protocol, network in networks.items()
        if network in behind.values()
    ]
    grid = Table(
        title=Text("\n".join(map(side_title, "AB", names, sides or (None, None))) + unequal),
        title_justify="left",
        caption=Text("\n".join([rule, *protocols(x.column for x in measures), *notes])),
        caption_justify="left",
    )
    for name in ("measure", "A", "B", "p", "test"):
        is_text = name in ("measure", "test")
        grid.add_column(name, justify="left" if is_text else "right", no_wrap=name != "test")
    corrected = iter(adjusted([two_sided(x.p) for x in measures if x.is_tested]))
    for x in measures:
        p_value = next(corrected) if x.is_tested else two_sided(x.p)
        text = NOT_MEASURED if math.isnan(x.p) else p_words(p_value).removeprefix("p ").removeprefix("= ")
        p = Text(text, style="bold" if x.is_significant else "")
        network = behind[x.column.name]
        sign = f"{WEAK_SIGN} " if network is not None and network.is_weak else ""
        grid.add_row(
            Text(f"{x.column.title} {x.column.arrow}"), sign + x.texts[0], sign + x.texts[1], p, x.by
        )
    return grid


def side_title(side: str, name: str, runs: Runs | None) -> str:
    """Return the line above a comparison that says what one side is: its name, its model and its data."""
    if runs is None:
        return f"{side} is {name}"
    columns = (cells(runs.frame, key) for key in ("model", "data_name", "conditioning"))
    known = [", ".join(dict.fromkeys(map(str, present(column)))) for column in columns]
    seeds = ", ".join(map(str, distinct(present(cells(runs.frame, "seed")))))
    words = [*filter(None, known), f"{'seeds' if ',' in seeds else 'seed'} {seeds}"]
    return f"{side} is {name}: {', '.join(words)}"


def protocols(columns: Iterable[Column]) -> list[str]:
    """Return a line for each set of features and number of samples: the rest of each metric's protocol."""
    found = dict[str, list[str]]()
    for col in columns:
        if is_metric(col.name):
            name = MetricName.parse(col.name)
            found.setdefault(name.basis, []).append(f"{col.title} {', '.join((*name.details, name.of))}")
    return [f"{basis.replace(',', ', ')}: {'; '.join(words)}." for basis, words in found.items()]


def network_of(col: Column, networks: Mapping[str, FeatureNetwork]) -> FeatureNetwork | None:
    """The feature network behind a measure, None where it has none or none was recorded."""
    return networks.get(MetricName.parse(col.name).protocol) if is_metric(col.name) else None
