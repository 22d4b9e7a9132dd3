"""Columns that tell runs apart, and the parts of a directory of runs whose numbers may stand in one table."""

from collections.abc import Sequence

from genbench.records.metric_name import MetricName, is_metric
from genbench.report.columns import AXES, COSTS, measured_metrics, shown_metrics
from genbench.report.data_frame import Cell, DataFrame, cells, distinct, exact, groups, present
from genbench.report.runs import Runs

__all__ = ["axes", "constants", "data_sets", "identifying", "pooled", "protocols", "unseen"]

NO_AXES = ("tracker", "status", "run", "group", "seed", "identity", *COSTS)  # tell no rows apart
LAST = (
    "experiment",
    "sweep",
    "budget",
    "metrics",
    "precision",
    "trainer",
)  # only if nothing else differs


def identifying(runs: Runs) -> list[str]:
    """Return the columns in which runs may differ other than in their seed: choices first, then settings.

    Choices that change no number are left out; groups that follow from others as a rule come last.
    """
    choices = [name for name in runs.choices if name not in NO_AXES and not is_metric(name)]
    names = dict.fromkeys([*(name for name in AXES if name in choices), *choices, *runs.settings])
    # A stable sort: what is LAST goes behind the rest, its choices before its settings as all choices are.
    return sorted(names, key=lambda name: name.partition(".")[0] in LAST)


def axes(runs: Runs) -> list[str]:
    """Return the fewest columns, in order, that tell runs apart: each splits what those before it leave.

    Thus what a choice brings with it, such as a model's own learning rate, takes no column.
    """
    keys = exact(runs.frame, identifying(runs))
    found: list[str] = []
    parts = 1
    for name in keys.columns[keys.nunique() > 1]:
        split = keys.groupby([*found, name], sort=False).ngroups
        if split > parts:
            found, parts = [*found, name], split
    return found


def data_sets(runs: Runs) -> list[tuple[str, Runs]]:
    """Return the runs of each set of images under its name, by name; numbers of two sets never compare.

    A name: digits (data.binarize=true).
    """
    names = [name for name in runs.settings if name.startswith("data.")]
    found = []
    for places in groups(runs.frame, ["data", *names]):
        part = runs.with_frame(runs.frame.iloc[places])
        values = {name: cells(part.frame, name)[0] for name in ("data", *names)}
        data = values.pop("data")
        extra = [f"{name}={str(value).lower()}" for name, value in values.items() if value is not None]
        words = ["" if data is None else str(data), *([f"({', '.join(extra)})"] if extra else [])]
        found.append((" ".join(words), part))
    return sorted(found, key=lambda pair: pair[0])


def protocols(runs: Runs) -> list[tuple[str, Runs]]:
    """Return the runs of each protocol of the first metric, which is their title where there are several.

    Metrics of later evaluations move no run, they are further columns of its table. Runs without any metric
    stand with those of the first protocol.
    """
    own = [""] * len(runs.frame)
    for name in reversed(shown_metrics(measured_metrics(runs.frame.columns), runs.kinds)):
        basis = MetricName.parse(name).basis
        own = [basis if is_own else old for old, is_own in zip(own, runs.own(name), strict=True)]
    known = list(dict.fromkeys(filter(None, own)))
    if len(known) < 2:
        return [("", runs)]
    return [(x, runs.with_frame(runs.frame.loc[[(y or known[0]) == x for y in own]])) for x in known]


def unseen(runs: Runs, shown: Sequence[str]) -> list[str]:
    """Return the columns in which runs that have a value there differ, but for those that a table shows."""
    names = [name for name in identifying(runs) if name not in shown]
    return [name for name in names if len(distinct(present(cells(runs.frame, name)))) > 1]


def pooled(runs: Runs, parts: Sequence[DataFrame]) -> list[str]:
    """Return the columns in which runs of one group differ; parts: the rows of each group of these runs."""
    number = {row: i for i, rows in enumerate(parts) for row in rows.index}
    keys = exact(runs.frame, identifying(runs)).loc[list(number)]
    # Of a column that is alike inside each group there are as many pairs of group and value as groups.
    return [
        name for name in keys.columns if len({*zip(number.values(), keys[name], strict=True)}) > len(parts)
    ]


def constants(runs: Runs, names: Sequence[str]) -> dict[str, Cell]:
    """Return those of some columns that are the same, and there, in all trained runs, with their values."""
    frame = runs.trained.frame
    found = {name: distinct(cells(frame, name)) for name in names}
    return {name: values[0] for name, values in found.items() if len(values) == 1 and values[0] is not None}
