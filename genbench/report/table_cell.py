"""One place of a table: what the runs of its row have in its column."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from genbench.records.metric_name import MetricName, is_metric
from genbench.records.titles import UNCONDITIONAL
from genbench.report.columns import AT_TARGET, BEST, COSTS, LIKELIHOOD, MEASURES, TARGET
from genbench.report.data_frame import Cell, DataFrame, cells, distinct, present
from genbench.report.statistics import Estimate, estimate

__all__ = [
    "GUIDED",
    "NOT_MEASURED",
    "NOT_REACHED",
    "Entry",
    "beside",
    "comparable",
    "entries",
    "guidance_marked",
    "is_guided",
    "joined",
    "measures_of",
]

NOT_MEASURED = "–"  # of a model that has the number, where none was asked for
GUIDED = "‡"
"""Marks rows whose samples are guided, in every table: guidance gives up diversity for quality."""
NOT_REACHED = "not reached"  # of a training whose limit came before its target
SIGNS = {"exact": "", "lower": "≤", "estimate": "≈"}  # a lower bound of a likelihood is an upper one of bits


class Entry(NamedTuple):
    """Value of one place of a table, with the estimate behind a number and the signs that stand beside it."""

    value: Cell
    estimate: Estimate | None = None  # of a number, its mean over runs with its uncertainty
    sign: str = ""  # how a likelihood is to be read, or NOT_MEASURED
    runs: int = 0  # of the row; more than the estimate's where some of them lack the number
    is_best: bool = False
    digits: int | None = None  # decimals, where the values of the column share them
    mark: str = ""  # behind the value: GUIDED of a row whose samples are guided

    @property
    def is_partial(self) -> bool:
        """True if it stands for a part of the row's runs alone."""
        return self.estimate is not None and self.estimate.n < self.runs


def entries(frame: DataFrame, groups: Iterable[Sequence[int]], name: str) -> list[Entry]:
    """Return what each group of runs has in a column: the mean of a measure, else the value that they share.

    frame: all runs; groups: the places of the runs of each row; name: any column, or `seeds` for the number
    of different seeds. Several values of what is no measure stand as text with commas, None is a missing one.
    """
    if name == "seeds":
        seeds = cells(frame, "seed")
        return [Entry(len(distinct(seeds[i] for i in places))) for places in groups]
    bound = "best_bound" if name == "best_bits_per_dim" else "bound"
    names = (name, beside(name, "_low"), beside(name, "_high"), bound)
    # Lists: a slice of a data frame for each of a thousand rows and each column takes seconds.
    columns = [cells(frame, key) for key in names]
    # Of images that another tool made nothing else was measured, not even what they were made by.
    is_given = [value is not None for value in cells(frame, "given")]
    lacks = zip(is_given, without_measurement(frame, name), strict=True)
    unmeasured = [given or lack for given, lack in lacks]
    missed = [name in AT_TARGET and target is not None for target in cells(frame, "target")]
    return [
        entry_of(name, *([column[i] for i in places] for column in columns))
        if any(columns[0][i] is not None for i in places)
        else Entry(None, sign=sign_of([missed[i] for i in places], [unmeasured[i] for i in places]))
        for places in groups
    ]


def sign_of(missed: Sequence[bool], unmeasured: Sequence[bool]) -> str:
    """Return what stands in a place without a value: a target that was missed, what was not measured, or
    nothing, of what does not exist; one True for a run of the row is enough.
    """
    return NOT_REACHED if any(missed) else NOT_MEASURED if any(unmeasured) else ""


def without_measurement(frame: DataFrame, name: str) -> list[bool]:
    """Return for each run True where a number that it lacks in a column exists, and was not measured.

    Any model has scores (but for those within classes, of a conditional one) and costs of sampling; none was
    asked for. A likelihood or an error of rebuilt images that was not asked for is one of 0 images.
    """
    if name == "reconstruction_mse" or name in LIKELIHOOD:
        counts = "reconstruction_n" if name == "reconstruction_mse" else "likelihood_n"
        return [count == 0 for count in cells(frame, counts)]
    if name in TARGET:  # of a training without one there is nothing to measure
        return [False] * len(frame)
    if name in BEST:  # of a model with a likelihood: not retained, or no likelihood was asked for
        measured = zip(cells(frame, "bits_per_dim"), cells(frame, "likelihood_n"), strict=True)
        return [bits is not None or n == 0 for bits, n in measured]
    if is_metric(name) and MetricName.parse(name).kind == "fid_class":
        return [given != UNCONDITIONAL for given in cells(frame, "conditioning")]
    return [is_metric(name) or name in COSTS] * len(frame)


def entry_of(name: str, values: list[Cell], lows: list[Cell], highs: list[Cell], bounds: list[Cell]) -> Entry:
    """Entry of one group of runs, from the values of its column and of those that go with it."""
    found = present(values)
    numbers = [x for x in found if isinstance(x, int | float) and not isinstance(x, bool)]
    is_bits = name in ("bits_per_dim", "best_bits_per_dim")
    is_likelihood = name in LIKELIHOOD or name in BEST or name.startswith(("reconstruction", "bits_per_dim"))
    is_measure = is_likelihood or name in COSTS or is_metric(name)  # of which several seeds have a mean
    if not numbers or len(numbers) < len(found) or not is_measure:
        return Entry(joined(values))
    # An interval over samples is that of the one run which has it.
    ends = [[x for x in found if isinstance(x, int | float)] for found in (lows, highs)]
    known = estimate(numbers, *(end[0] if len(end) == 1 else None for end in ends))
    # A value that all runs share stays as it was recorded, an integer too.
    value = numbers[0] if len(set(numbers)) == 1 else known.mean
    signs = {SIGNS.get(str(bound), "?") for bound in present(bounds)} if is_bits else {""}
    return Entry(value, known, signs.pop() if len(signs) == 1 else "?", len(values))


def measures_of(frame: DataFrame) -> list[str]:
    """Return the names of MEASURES that some run has, and the time to a target also where none reached it."""
    found = {name for name in MEASURES if present(cells(frame, name))}
    found |= {"target_seconds"} if present(cells(frame, "target")) else set()
    return [name for name in MEASURES if name in found]


def is_guided(rows: DataFrame) -> bool:
    """True where samples of one of some runs are guided towards classes or texts, by any means and scale."""
    options = {*present(cells(rows, "guidance"))} - {"none"}
    return bool(options) or any("guid" in str(text) for text in present(cells(rows, "conditioning")))


def guidance_marked(entries: Sequence[Entry], rows: DataFrame) -> list[Entry]:
    """Return the entries of a row, the first with a mark where the row's samples are guided.

    rows: its runs.
    """
    first, *rest = entries
    return [first._replace(mark=GUIDED) if is_guided(rows) else first, *rest]


def beside(name: str, end: str) -> str:
    """Column with an end of the interval of another one: fid[..] -> fid_low[..]."""
    return str(MetricName.parse(name).beside(end)) if is_metric(name) else f"{name}{end}"


def joined(values: Iterable[Cell]) -> Cell:
    """Return the one value that all runs share, or the different ones as text: "l1, l2, n/a" (for None)."""
    found = distinct(values)
    return found[0] if len(found) == 1 else ", ".join(sorted("n/a" if x is None else str(x) for x in found))


def comparable(parts: Iterable[DataFrame], name: str) -> bool:
    """Return True where a column's numbers are of one kind: a bound does not compare with an estimate.

    parts: the runs to compare, in one data frame or several; only bits per dimension have several kinds.
    """
    if name != "bits_per_dim":
        return True
    names = (name, "bound", "method", "likelihood_n")
    facts = (fact for rows in parts for fact in zip(*(cells(rows, key) for key in names), strict=True))
    return len({tuple(kind) for bits, *kind in facts if bits is not None}) == 1
