"""Runs and columns that a user asks for: filters, names as users type them, order."""

import fnmatch
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from difflib import SequenceMatcher, get_close_matches
from operator import ge, gt, le, lt

from genbench.records.metric_name import MetricName, is_metric
from genbench.report.columns import COSTS, LIKELIHOOD, Column, column, measured_metrics, shown_metrics, titled
from genbench.report.data_frame import Cell, cells, distinct, groups, present
from genbench.report.groups import identifying
from genbench.report.runs import Runs
from genbench.runtime.printable import in_one_line

__all__ = [
    "chosen_by_outcome",
    "filtered",
    "in_order",
    "keys",
    "listed",
    "measure",
    "order",
    "remarks",
    "resolve",
]

NEAR, ROOM = 3, 72  # names that a message lists, and letters that values may take in it
WIDTH = 80  # letters of a line of the list of keys
NAME = "name"  # as the user gives it to a group of runs, whose column results call `group`
TOLD = ("data_name", "conditioning", "data_key")  # what the records of a run tell in words, by their columns
LIKENESS = 0.66  # difflib's ratio of a name to another with two letters exchanged: fdi and fid
MARGIN = 0.1  # how far behind the nearest name others may be
CONDITION = re.compile(r"(?P<key>[^=!<>\[]+(?:\[[^\]]*\])?)(?P<sign>!=|<=|>=|=|<|>)(?P<value>.*)", re.DOTALL)
ORDERS = {"<": lt, "<=": le, ">": gt, ">=": ge}


def filtered(runs: Runs, conditions: Sequence[str], *, option: str = "--filter") -> Runs:
    """Return the runs that meet all conditions, such as model=ddpm,vae, schedule!=linear, fid<3, run=*seed1*.

    option: the one by which the user gave them, for messages.
    Raises ValueError on a condition that cannot be read, or that no run meets.
    """
    for condition in conditions:
        try:
            found = meets(runs, condition)
        except ValueError as error:
            raise ValueError(f"{option} {condition}: {error}") from error
        if not any(found):
            key = parted(condition)[0]
            there = [f"{word} is {values(runs, word)}" for word in meanings(runs, key) or [key]]
            raise ValueError(f"{option} {condition}: no run is left; {', '.join(there)}")
        runs = runs.with_frame(runs.frame.loc[found])
    return runs


def meets(runs: Runs, condition: str) -> list[bool]:
    """Answer of each run to a condition; a run without a value meets only `!=`."""
    key, sign, value = parted(condition)
    patterns = [value, *listed(value)]  # a value may hold commas itself: 60,000 images
    is_of_numbers = sign in ORDERS or all(map(is_number, listed(value)))
    found = first_of(runs, (measure if is_of_numbers and meanings(runs, key) else resolve)(runs, key))
    if sign in ORDERS:
        try:
            limit = float(value)
        except ValueError as error:
            raise ValueError(f"{value!r} is not a number, which {sign} needs") from error
        return [isinstance(x, int | float) and ORDERS[sign](x, limit) for x in found]
    return [any(same(x, pattern) for pattern in patterns) == (sign == "=") for x in found]


def is_number(text: str) -> bool:
    """Return True for text that is a number in any writing: 3, 1e-3, nan."""
    with suppress(ValueError):
        return float(text) is not None
    return False


def parted(condition: str) -> tuple[str, str, str]:
    """Key, sign and value of a condition. Raises ValueError where it has no such parts."""
    match = CONDITION.fullmatch(condition.strip())
    if match is None:
        raise ValueError("it must be KEY=VALUE[,VALUE], such as model=ddpm,vae, or with != < <= > >=")
    return match["key"].strip(), match["sign"], match["value"].strip()


def first_of(runs: Runs, names: Sequence[str]) -> list[Cell]:
    """Value of each run in one of several columns, of which it has one: the metric under its own protocol."""
    rows = zip(*(cells(runs.frame, name) for name in names), strict=True)
    return [next(iter(present(row)), None) for row in rows]


def same(value: Cell, pattern: str) -> bool:
    """Return True where a value is what a user wrote: n/a, a number in any writing, text with * and ?."""
    if value is None or isinstance(value, bool):
        return pattern.lower() == {None: "n/a", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return value == pattern or fnmatch.fnmatchcase(value, pattern)
    with suppress(ValueError):
        return float(pattern) == value
    return False


def chosen_by_outcome(runs: Runs, conditions: Sequence[str]) -> list[str]:
    """Return a warning where conditions on measures leave only some runs of a configuration, else nothing.

    The mean over runs that were chosen by their outcome is better than the configuration is.
    """
    facts = ("run", "group", "seed", "status", "identity", "budget", "device", *TOLD)
    identity = {*runs.choices, *runs.settings, *facts}
    on_measures = [c for c in conditions if not identity.issuperset(resolve(runs, parted(c)[0]))]
    if not on_measures:
        return []
    others = filtered(runs, [condition for condition in conditions if condition not in on_measures])
    left = set(filtered(others, on_measures).frame["run"])
    is_left = others.frame["run"].isin(left).tolist()
    parts = [[is_left[i] for i in places] for places in groups(others.frame, identifying(runs))]
    partial = [f"{sum(part)} of {len(part)} runs" for part in parts if any(part) and not all(part)]
    if not partial:
        return []
    return [
        f"--filter {' '.join(on_measures)} leaves {', '.join(partial[:NEAR])} of a configuration: means over "
        "runs chosen by their outcome are too good."
    ]


def values(runs: Runs, name: str, most: int = ROOM) -> str:
    """Text with the different values that runs have in a column, as many as fit into so many letters.

    A value is never cut; one at least is there, whatever its length. Of numbers that do not fit the least and
    the greatest stand there.
    """
    column = first_of(runs, resolve(runs, name))
    found = sorted(distinct(present(column)), key=sort_key)
    texts = [f"{x:.4g}" if isinstance(x, float) else str(x) for x in found]
    texts = [text.lower() if isinstance(x, bool) else text for x, text in zip(found, texts, strict=True)]
    rest = ["n/a"] if None in column else []

    def shown(n: int) -> str:
        more = [f".. ({len(texts)} values)"] if n < len(texts) else []
        return ", ".join([*texts[:n], *rest, *more])

    if len(texts) < 2 or len(shown(len(texts))) <= most:
        return shown(len(texts))
    if all(isinstance(value, int | float) for value in found):
        return ", ".join([f"{texts[0]} to {texts[-1]}", *rest])
    return shown(next((n for n in range(min(len(texts), most), 1, -1) if len(shown(n)) <= most), 1))


def resolve(runs: Runs, name: str) -> list[str]:
    """Return the columns that a user means: a column's own name, a title, or the kind of a metric.

    A kind (fid) stands for the columns that are usually shown. Of a word with two meanings, see `meanings`,
    it is the option. Raises ValueError with names near it.
    """
    word, _, meaning = name.rpartition("_")
    if name in meanings(runs, word):
        return [word] if meaning == "option" else of_kind(runs, word)
    if name in runs.frame.columns:
        return [name]
    kinds = [key for key, kind in runs.kinds.items() if kind.title == name]
    if found := titled(name) or of_kind(runs, kinds[0] if kinds else name):
        return found
    advice = f"did you mean {' or '.join(found)}? " if (found := near(name, names(runs))) else ""
    raise ValueError(f"{name!r} is no column of these runs; {advice}`genbench report RUNS --keys` lists them")


def near(name: str, known: Sequence[str]) -> list[str]:
    """Of known names those that a misspelt one may stand for: with that ending, or else nearest to it."""
    # "lr" is meant to be optim.lr, which is far from it by its letters.
    if ending := [key for key in known if key.endswith(f".{name}")]:
        return ending[:NEAR]
    alike = {key: SequenceMatcher(None, key, name).ratio() for key in known}
    least = max(LIKENESS, max(alike.values(), default=0.0) - MARGIN)
    return get_close_matches(name, known, n=NEAR, cutoff=min(1.0, least))


def measure(runs: Runs, name: str) -> list[str]:
    """Return the columns that a user means where only a measure makes sense, see `resolve`.

    Of a word with two meanings, see `meanings`, it is the score. Raises ValueError as `resolve`.
    """
    return of_kind(runs, name) or resolve(runs, name)


def meanings(runs: Runs, word: str) -> list[str]:
    """Return the two names of a word that is an option and a score of these runs, nothing of any other word.

    precision -> precision_option (fp32, bf16), precision_score (of samples among their nearest neighbours).
    """
    is_both = word in runs.choices and of_kind(runs, word)
    return [f"{word}_option", f"{word}_score"] if is_both else []


def remarks(runs: Runs, asked: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a note on each word with two meanings that a user gave, which says how it was taken.

    asked: the words by their option, such as {"--by": ["precision"]}.
    """
    found = []
    for option, words in asked.items():
        for word in words:
            if names_of_it := meanings(runs, word):
                taken, other = names_of_it if option == "--by" else reversed(names_of_it)
                found.append(
                    f"{option} {word}: this word has two meanings and is taken as {taken}; the other one is "
                    f"{other}."
                )
    return found


def of_kind(runs: Runs, kind: str) -> list[str]:
    """The metrics of a kind: those that are usually shown, or else all."""
    metrics = measured_metrics(runs.frame.columns)
    found = [metric for metric in metrics if MetricName.parse(metric).kind == kind.lower()]
    listed_alone = [name for name in found if shown_metrics([name], {})]  # of kinds in CSV and JSON alone
    return shown_metrics(found, runs.kinds) or listed_alone or found


def keys(runs: Runs, *, every: bool = False) -> str:
    """Return the names by which columns can be given, one a line, with the values that the runs have there.

    every: also names without a value, and choices and settings in which those that have them do not differ.
    """
    known, shown = names(runs), []
    chosen = (*runs.choices, *runs.settings, NAME, "status", "budget", *TOLD)
    for name in known:
        # A measure is listed where some run has it, a choice or setting where runs differ in it.
        columns = resolve(runs, name)
        is_choice = name in chosen or columns[0] in runs.choices
        found = distinct(present(first_of(runs, columns)))
        if every or (len(found) > is_choice and name != "identity"):
            shown.append(name)
    size = max(map(len, shown))
    room = max(WIDTH - size - 2, WIDTH // 3)
    lines = [in_one_line(f"{name:{size}}  {values(runs, name, room)}") + "\n" for name in shown]
    rest = len(known) - len(shown)
    more = f"{rest} more, in which these runs do not differ: --keys --all\n" if rest else ""
    return "".join(lines) + more


def names(runs: Runs) -> list[str]:
    """Names by which a user may call a column, in the order in which they are listed."""
    known = list(runs.frame.columns)
    kinds = dict.fromkeys(MetricName.parse(metric).kind for metric in measured_metrics(known))
    first = ["run", "group", "seed", *TOLD, *runs.choices, *runs.settings, *kinds, *LIKELIHOOD, *COSTS]
    found = [name for name in dict.fromkeys(first) if name in known or name in kinds]
    found += sorted(name for name in known if name not in found and not is_metric(name))
    found = [word for name in found for word in meanings(runs, name) or [name]]
    return [NAME if name == "group" else name for name in found]


def listed(text: str) -> list[str]:
    """Split a list of names, values or conditions at its commas, without the white space around them.

    Commas inside the brackets of a metric's name do not split: "fid[f,n=9,ref=train,ema],run" has two parts.
    """
    return [part.strip() for part in re.split(r",(?![^\[]*\])", text) if part.strip()]


def order(runs: Runs, sort: str) -> tuple[Column, bool]:
    """Return the column by which a user sorts, and True where its values descend, see `in_order`.

    sort: its name; metrics go from best to worst, all else ascending; with - before it the other way round.
    Raises ValueError as `resolve`.
    """
    col = column(measure(runs, sort.removeprefix("-"))[0], runs.kinds)
    return col, (col.better > 0) != sort.startswith("-")


def in_order(values: Sequence[Cell], *, down: bool) -> list[int]:
    """Return the places of values in their order, numbers before text; None and nan come last either way."""
    known = [i for i, value in enumerate(values) if value is not None and value == value]
    missing = sorted({*range(len(values))} - {*known})
    return sorted(known, key=lambda i: sort_key(values[i]), reverse=down) + missing


def sort_key(value: Cell) -> tuple[bool, float, str]:
    """Sort key that puts numbers before text."""
    return (True, 0.0, value) if isinstance(value, str) else (False, float(value or 0), "")
