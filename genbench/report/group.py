"""Runs -> groups of runs that differ in their seed alone, and the columns that tell the groups apart."""

from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

from genbench.records.metric_name import MetricName, is_metric
from genbench.report.columns import AXES, COSTS, metrics, shown_metrics
from genbench.report.runs import Cell, Row, Runs

__all__ = ["Group", "axes", "constants", "data_sets", "groups", "is_own", "pooled", "protocols", "unseen"]

IDLE = ("tracker", "status")  # choices that change no number
# Groups that tell runs apart only where no others do.
LAST = ("experiment", "budget", "metrics", "precision", "trainer")


class Group(NamedTuple):
    """One row of a table."""

    key: tuple[Cell, ...]
    rows: list[Row]

    def values(self, name: str) -> list[Cell]:
        """What its runs have in a column, without those that have nothing there."""
        return [row[name] for row in self.rows if row.get(name) is not None]

    def value(self, name: str) -> Cell:
        """What stands in a column of choices: all that its runs have."""
        return joined(self.rows, name)

    @property
    def seeds(self) -> int:
        """How many seeds it has."""
        return len({row.get("seed") for row in self.rows})


def joined(rows: Iterable[Row], name: str) -> Cell:
    """The one value of a column, or the several as text."""
    found = {exact(row.get(name)): row.get(name) for row in rows}
    if len(found) == 1:
        return next(iter(found.values()))
    return ", ".join(sorted("n/a" if value is None else str(value) for value in found.values()))


def exact(value: Cell) -> Hashable:
    """A value such that 1, 1.0 and True are not the same one, and nan is itself."""
    return (type(value), value) if value == value else "nan"


def groups(rows: Sequence[Row], by: Sequence[str]) -> list[Group]:
    """Rows that are alike in the columns `by`, in the order of their first ones."""
    found: dict[Hashable, Group] = {}
    for row in rows:
        key = tuple(row.get(name) for name in by)
        found.setdefault(tuple(map(exact, key)), Group(key, [])).rows.append(row)
    return list(found.values())


def identifying(runs: Runs) -> list[str]:
    """The columns in which runs may differ other than in their seed: choices first, then settings."""
    choices = [name for name in runs.choices if name not in IDLE and not is_measured(name)]
    first = [name for name in AXES if name in choices]
    others = [name for name in choices if name not in first and name not in LAST]
    settings = [name for name in runs.settings if name.partition(".")[0] not in LAST]
    late = [name for name in [*choices, *runs.settings] if name.partition(".")[0] in LAST]
    return [*first, *others, *settings, *late]


def is_measured(name: str) -> bool:
    """Whether a column holds what came out of a run."""
    return is_metric(name) or name in COSTS or name in ("run", "group", "seed", "identity")


def data_sets(runs: Runs) -> list[tuple[str, Runs]]:
    """The runs of each set of images under its name; numbers of two sets are never compared."""
    keys = ["data", *(name for name in runs.settings if name.startswith("data."))]
    found = groups(runs.rows, keys)
    return [(title(group, keys), runs.with_rows(group.rows)) for group in found]


def protocols(runs: Runs) -> list[tuple[str, Runs]]:
    """The runs of each protocol of the first metric, which is their title where there are several.

    Metrics of later evaluations move no run, they are further columns of its table. Runs without any metric
    stand with those of the first protocol.
    """
    names = shown_metrics(metrics(runs), runs.kinds)
    first = [
        next((MetricName.parse(name).basis for name in names if is_own(row, name, runs)), "")
        for row in runs.rows
    ]
    known = list(dict.fromkeys(filter(None, first))) or [""]
    return [
        (
            title if len(known) > 1 else "",
            runs.with_rows(
                [row for row, own in zip(runs.rows, first, strict=True) if (own or known[0]) == title]
            ),
        )
        for title in known
    ]


def is_own(row: Row, name: str, runs: Runs) -> bool:
    """Whether a run measured a metric itself: it is of the result, not of a later evaluation."""
    return name in row and name not in runs.later.get(str(row.get("run")), ())


def title(group: Group, keys: Sequence[str]) -> str:
    """A set of images in words: digits (data.binarize=true)."""
    extra = [
        f"{name}={str(value).lower()}"
        for name, value in zip(keys[1:], group.key[1:], strict=True)
        if value is not None
    ]
    name = "" if group.key[0] is None else str(group.key[0])
    return f"{name} ({', '.join(extra)})" if extra else name


def axes(runs: Runs) -> list[str]:
    """The fewest columns, in order, that tell runs apart: each splits what those before it leave together.

    Thus what a choice brings with it, such as a model's own learning rate, takes no column.
    """
    found: list[str] = []
    parts = [0] * len(runs.rows)  # the part that each row is in, of those that the columns found so far make
    for name in identifying(runs):
        keys = [(part, exact(row.get(name))) for part, row in zip(parts, runs.rows, strict=True)]
        numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        if len(numbers) > len(set(parts)):
            found.append(name)
            parts = [numbers[key] for key in keys]
    return found


def unseen(runs: Runs, shown: Sequence[str]) -> list[str]:
    """Columns not shown in which rows that have a value there differ."""
    names = [name for name in identifying(runs) if name not in shown]
    return [name for name in names if len({exact(row[name]) for row in there(runs.rows, name)}) > 1]


def there(rows: Iterable[Row], name: str) -> list[Row]:
    """The rows that have a value in a column."""
    return [row for row in rows if row.get(name) is not None]


def pooled(runs: Runs, found: Sequence[Group]) -> list[str]:
    """The columns in which runs of one group differ."""
    return [
        name
        for name in identifying(runs)
        if any(len({exact(row.get(name)) for row in group.rows}) > 1 for group in found)
    ]


def constants(runs: Runs, names: Sequence[str]) -> dict[str, Cell]:
    """Of these columns those that are the same, and there, in all rows."""
    first = runs.rows[0]
    return {
        name: first[name]
        for name in names
        if first.get(name) is not None
        and all(exact(row.get(name)) == exact(first[name]) for row in runs.rows)
    }
