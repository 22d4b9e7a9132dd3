"""Which runs and which columns: filters, names as users type them, order."""

import fnmatch
import re
from collections.abc import Callable, Hashable, Sequence
from difflib import SequenceMatcher, get_close_matches
from itertools import accumulate
from typing import TypeVar

from genbench.records.metric_name import MetricName, is_metric
from genbench.report.columns import (
    COSTS,
    LIKELIHOOD,
    MEASURES,
    all_names,
    column,
    metrics,
    shown_metrics,
)
from genbench.report.group import exact, groups, identifying
from genbench.report.runs import Cell, Row, Runs
from genbench.runtime.printable import in_one_line

__all__ = [
    "arranged",
    "by_value",
    "chosen_by_outcome",
    "filtered",
    "keys",
    "listed",
    "measure",
    "resolve",
    "without_reruns",
]

T = TypeVar("T")
NEAR, ROOM = 3, 72  # names that a message lists, and letters that values may take
NAME = "name"  # as the user gives it to a group of runs, whose column results call `group`
LIKENESS = 0.66  # difflib's ratio of a name to another with two letters exchanged: fdi and fid
MARGIN = 0.1  # how far behind the nearest name others may be
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


def chosen_by_outcome(runs: Runs, conditions: Sequence[str]) -> list[str]:
    """A warning where conditions on measures leave some runs of a configuration only: means flatter it."""
    named = {condition: resolve(runs, parted(condition)[0]) for condition in conditions}
    on_measures = [condition for condition, names in named.items() if not {*names} <= {*identity_names(runs)}]
    others = filtered(runs, [condition for condition in conditions if condition not in on_measures])
    kept = {row["run"] for row in filtered(others, on_measures).rows}
    parts = [
        (sum(row["run"] in kept for row in group.rows), len(group.rows))
        for group in groups(others.rows, identifying(runs))
    ]
    torn = [f"{left} of {all_of_it} runs" for left, all_of_it in parts if 0 < left < all_of_it]
    if not torn:
        return []
    said = f"--filter {' '.join(on_measures)} leaves {', '.join(torn[:NEAR])} of a configuration"
    return [f"{said}: means over what was chosen by its outcome flatter it."]


def identity_names(runs: Runs) -> list[str]:
    """The columns that say what a run is, and not what came of it."""
    return [*runs.choices, *runs.settings, "run", "group", "seed", "status", "identity", "budget", "device"]


def test(runs: Runs, condition: str) -> Callable[[Row], bool]:
    """A condition as a question to a row."""
    key, sign, value = parted(condition)
    columns = resolve(runs, key)
    if sign in ORDERS:
        meets, limit = ORDERS[sign], number(condition, value)
        return lambda row: is_number(known := first(row, columns)) and meets(known, limit)
    patterns = [value, *listed(value)]  # a value may hold commas itself: 60,000 images
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
    found = [*map(plain, there(runs, name))]
    rest = ["n/a"] if any(first(row, columns) is None for row in runs.rows) else []
    shown = found[: sum(size <= ROOM for size in accumulate(len(value) + 2 for value in found)) or 1]
    if len(shown) == len(found):
        return ", ".join([*found, *rest])
    if all(map(is_number, there(runs, name))):
        return ", ".join([f"{found[0]} to {found[-1]}", *rest])
    return ", ".join([*shown, *rest, f".. ({len(found)} values)"])


def there(runs: Runs, name: str) -> list[Cell]:
    """The different values that runs have in a column, in their order."""
    columns = resolve(runs, name)
    found = {exact(value): value for row in runs.rows if (value := first(row, columns)) is not None}
    return sorted(found.values(), key=order)


def plain(value: Cell) -> str:
    """A value in a few letters."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def resolve(runs: Runs, name: str) -> list[str]:
    """The columns that a user means: a name as it stands in the rows, a title, or the kind of a metric.

    A kind (fid) stands for the columns that are usually shown. Raises ValueError with names near it.
    """
    if any(name in row for row in runs.rows):
        return [name]
    titled = [key for key, (title, _) in MEASURES.items() if title == name]
    kinds = [key for key, kind in runs.kinds.items() if kind.title == name]
    if found := titled or of_kind(runs, kinds[0] if kinds else name):
        return found
    advice = f"did you mean {' or '.join(found)}? " if (found := near(name, names(runs))) else ""
    raise ValueError(
        f"{name!r} is no column of these runs; {advice}`genbench report RUNS_DIR --keys` lists them"
    )


def near(name: str, known: Sequence[str]) -> list[str]:
    """Of known names those that a misspelt one may stand for: ending so, or else nearest to it."""
    if ending := [key for key in known if key.endswith(f".{name}")]:
        return ending[:NEAR]
    alike = {key: SequenceMatcher(None, key, name).ratio() for key in known}
    least = max(LIKENESS, max(alike.values(), default=0.0) - MARGIN)
    return get_close_matches(name, known, n=NEAR, cutoff=min(1.0, least))


def measure(runs: Runs, name: str) -> list[str]:
    """The same where a measure is meant: `precision` is then the metric, and not how the run computed."""
    return of_kind(runs, name) or resolve(runs, name)


def of_kind(runs: Runs, kind: str) -> list[str]:
    """The metrics of a kind: those that are usually shown, or else all."""
    found = [metric for metric in metrics(runs) if MetricName.parse(metric).kind == kind.lower()]
    return shown_metrics(found, runs.kinds) or found


def keys(runs: Runs, *, every: bool = False) -> str:
    """What a user may call a column, one a line, with what the runs have there.

    every: also what no run has, and choices and settings in which those that have them do not differ.
    """
    known = names(runs)
    shown = [name for name in known if every or tells(runs, name)]
    size = max(map(len, shown))
    told = [f"{name:{size}}  {values(runs, name)}{as_measure(runs, name)}" for name in shown]
    lines = [f"{in_one_line(line)}\n" for line in told]
    rest = len(known) - len(shown)
    more = f"{rest} more, in which these runs do not differ: --keys --all\n" if rest else ""
    return "".join(lines) + more


def as_measure(runs: Runs, name: str) -> str:
    """What --columns and --sort take a name for that is also a choice."""
    other = measure(runs, name)
    return "" if other == resolve(runs, name) else f"; as a measure {values(runs, other[0])}"


def tells(runs: Runs, name: str) -> bool:
    """Whether a column is of use: some run has it, and it is a measure, or runs differ in it."""
    found = there(runs, name)
    is_choice = name in (*runs.choices, *runs.settings, NAME, "status", "budget") and not of_kind(runs, name)
    return len(found) > is_choice and name != "identity"


def names(runs: Runs) -> list[str]:
    """What a user may call a column."""
    known = all_names(runs)
    kinds = dict.fromkeys(MetricName.parse(metric).kind for metric in metrics(runs))
    first = ["run", "group", "seed", *runs.choices, *runs.settings, *kinds, *LIKELIHOOD, *COSTS]
    found = [name for name in dict.fromkeys(first) if name in known or name in kinds]
    found += sorted(name for name in known if name not in found and not is_metric(name))
    return [NAME if name == "group" else name for name in found]


def listed(text: str) -> list[str]:
    """The parts of a list with commas; those inside the brackets of a metric's name do not part it."""
    return [part.strip() for part in re.split(r",(?![^\[]*\])", text) if part.strip()]


def without_reruns(runs: Runs, by: Sequence[str] = ()) -> tuple[Runs, dict[str, str]]:
    """Of runs of one identity the last alone, and of those that it stands for each name -> its own.

    Two of them are no two seeds: they hold the same numbers, bit for bit, but where the clock ended them.
    by: columns that tell runs apart all the same.
    """
    ordered = sorted(runs.rows, key=lambda row: natural(str(row["run"])))
    last = {same_run(row, by): str(row["run"]) for row in ordered}
    stands = {str(row["run"]): last[same_run(row, by)] for row in runs.rows}
    kept = [row for row in runs.rows if stands[str(row["run"])] == row["run"]]
    return runs.with_rows(kept), {run: other for run, other in stands.items() if run != other}


def same_run(row: Row, by: Sequence[str]) -> Hashable:
    """Key that runs with the same numbers share, including the precision that was taken.

    In equal seconds other devices come to other numbers.
    """
    device = row.get("device") if "seconds" in str(row.get("budget")) else None
    return (
        row.get("identity") or row["run"],
        device,
        row.get("precision"),
        *(exact(row.get(name)) for name in by),
    )


def arranged(runs: Runs, sort: str) -> Runs:
    """The runs in the order of a column; with - before its name the other way round."""
    name, down = measure(runs, sort.removeprefix("-"))[0], sort.startswith("-")
    best_first = column(name, runs.kinds).better > 0
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
