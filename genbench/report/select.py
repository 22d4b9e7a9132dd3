"""Which runs and which columns: filters, names as users type them, order."""

import fnmatch
import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import TypeVar

from genbench.report.columns import COSTS, LIKELIHOOD, MEASURES, all_names, column, metrics, shown_metrics
from genbench.report.load import Cell, Row, Runs
from genbench.report.names import is_metric, parse

__all__ = ["arranged", "by_value", "filtered", "keys", "listed", "measure", "resolve", "without_reruns"]

T = TypeVar("T")
NEAR, SOME = 5, 12  # names or values that a message lists
CONDITION = re.compile(r"(?P<key>[^=!<>\[]+(?:\[[^\]]*\])?)(?P<sign>!=|<=|>=|=|<|>)(?P<value>.*)", re.DOTALL)
ORDERS: dict[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def filtered(runs: Runs, conditions: Sequence[str]) -> Runs:
    """The runs that meet all conditions, such as model=ddpm,vae, schedule!=linear, fid<3, run=*seed1*.

    Raises ValueError on a condition that cannot be read, or that no run meets.
    """
    for condition in conditions:
        meets = test(runs, condition)
        rows = [row for row in runs.rows if meets(row)]
        if not rows:
            key = parted(condition)[0]
            raise ValueError(f"--filter {condition}: no run is left; {key} is {values(runs, key)}")
        runs = runs.with_rows(rows)
    return runs


def test(runs: Runs, condition: str) -> Callable[[Row], bool]:
    """A condition as a question to a row."""
    key, sign, value = parted(condition)
    columns = resolve(runs, key)
    if sign in ORDERS:
        meets, limit = ORDERS[sign], number(condition, value)
        return lambda row: is_number(known := first(row, columns)) and meets(known, limit)
    patterns = listed(value)
    return lambda row: any(same(first(row, columns), pattern) for pattern in patterns) == (sign == "=")


def parted(condition: str) -> tuple[str, str, str]:
    """The key, the sign and the value of a condition."""
    match = CONDITION.fullmatch(condition.strip())
    if match is None:
        raise ValueError(f"--filter is {condition!r}; it must be KEY=VALUE[,VALUE], or with != < <= > >=")
    return match["key"].strip(), match["sign"], match["value"].strip()


def first(row: Row, columns: Sequence[str]) -> Cell:
    """What a row has in one of several columns, of which it has one: the metric under its own protocol."""
    return next((row[name] for name in columns if row.get(name) is not None), None)


def is_number(value: Cell) -> bool:
    """Whether a value can be compared with a number."""
    return isinstance(value, int | float)


def number(condition: str, value: str) -> float:
    """The limit of a comparison."""
    try:
        return float(value)
    except ValueError as error:
        raise ValueError(f"--filter {condition}: {value!r} is no number") from error


def same(value: Cell, pattern: str) -> bool:
    """Whether a value is what a user wrote: n/a, a number in any writing, text with * and ?."""
    if value is None or isinstance(value, bool):
        return pattern.lower() == {None: "n/a", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return value == pattern or fnmatch.fnmatchcase(value, pattern)
    try:
        return float(pattern) == value
    except ValueError:
        return False


def values(runs: Runs, name: str) -> str:
    """What the runs have in a column."""
    columns = resolve(runs, name)
    found = (first(row, columns) for row in runs.rows)
    there = sorted({"n/a" if value is None else str(value) for value in found})
    return f"{', '.join(there[:SOME])}{', ..' if len(there) > SOME else ''}"


def resolve(runs: Runs, name: str) -> list[str]:
    """The columns that a user means: a name as it stands in the rows, a title, or the kind of a metric.

    A kind (fid) stands for the columns that are usually shown. Raises ValueError with names near it.
    """
    if any(name in row for row in runs.rows):
        return [name]
    titled = [key for key, (title, _) in MEASURES.items() if title == name]
    if found := titled or of_kind(runs, name):
        return found
    near = get_close_matches(name, names(runs), n=NEAR, cutoff=0.5)
    advice = f"near are {', '.join(near)}; " if near else ""
    raise ValueError(
        f"{name!r} is no column of these runs; {advice}`genbench report RUNS_DIR --keys` lists all"
    )


def measure(runs: Runs, name: str) -> list[str]:
    """The same where a measure is meant: `precision` is then the metric, and not how the run computed."""
    return of_kind(runs, name) or resolve(runs, name)


def of_kind(runs: Runs, kind: str) -> list[str]:
    """The metrics of a kind: those that are usually shown, or else all."""
    found = [metric for metric in metrics(runs) if parse(metric).kind == kind.lower()]
    return shown_metrics(found) or found


def keys(runs: Runs) -> str:
    """What a user may call a column, one a line, with what the runs have there."""
    known = names(runs)
    size = max(map(len, known))
    return "".join(f"{name:{size}}  {values(runs, name)}\n" for name in known)


def names(runs: Runs) -> list[str]:
    """What a user may call a column."""
    there = all_names(runs)
    kinds = dict.fromkeys(parse(metric).kind for metric in metrics(runs))
    first = ["run", "group", "seed", *runs.choices, *runs.settings, *kinds, *LIKELIHOOD, *COSTS]
    known = [name for name in dict.fromkeys(first) if name in there or name in kinds]
    return [*known, *sorted(name for name in there if name not in known and not is_metric(name))]


def listed(text: str) -> list[str]:
    """The parts of a list with commas; those inside the brackets of a metric's name do not part it."""
    return [part.strip() for part in re.split(r",(?![^\[]*\])", text) if part.strip()]


def without_reruns(runs: Runs) -> tuple[Runs, list[str]]:
    """Of runs of one identity the last alone, and the names of those that it replaces."""
    last: dict[Cell, str] = {}
    for row in sorted(runs.rows, key=lambda row: natural(str(row["run"]))):
        last[row.get("identity") or row["run"]] = str(row["run"])
    kept = set(last.values())
    return (
        runs.with_rows([row for row in runs.rows if row["run"] in kept]),
        [str(row["run"]) for row in runs.rows if row["run"] not in kept],
    )


def arranged(runs: Runs, sort: str) -> Runs:
    """The runs in the order of a column; with - before its name the other way round."""
    name, down = measure(runs, sort.removeprefix("-"))[0], sort.startswith("-")
    best_first = column(name).better > 0
    return runs.with_rows(by_value([(row.get(name), row) for row in runs.rows], down=down != best_first))


def by_value(pairs: Sequence[tuple[Cell, T]], *, down: bool) -> list[T]:
    """Things in the order of their values, numbers before text; those without one come last."""
    there = [pair for pair in pairs if not is_missing(pair[0])]
    there.sort(key=lambda pair: order(pair[0]), reverse=down)
    return [thing for _, thing in there] + [thing for value, thing in pairs if is_missing(value)]


def is_missing(value: Cell) -> bool:
    """Whether there is nothing to sort by."""
    return value is None or value != value


def order(value: Cell) -> tuple[bool, float, str]:
    """Numbers before text."""
    return (True, 0.0, value) if isinstance(value, str) else (False, float(value or 0), "")


def natural(name: str) -> list[tuple[int, int, str]]:
    """An order in which run-2 comes after run and before run-10."""
    parts = re.split(r"(\d+)", name)
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts if part]
