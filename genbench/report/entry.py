"""One place of a table: what the runs of its row have in its column."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from genbench.records.metric_name import MetricName, is_metric
from genbench.report.columns import COSTS, LIKELIHOOD
from genbench.report.frame import Cell, cells, distinct, present
from genbench.report.statistics import Estimate, estimate

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NOT_MEASURED", "Entry", "comparable", "entry", "joined"]

NOT_MEASURED = "–"  # of a model that has the number, where none was asked for
SIGNS = {"exact": "", "lower": "≤", "estimate": "≈"}
"""How bits per dimension are marked by the kind of likelihood; its lower bound is an upper bound on them."""


class Entry(NamedTuple):
    """What stands in one place of a table."""

    value: Cell
    estimate: Estimate | None = None
    """Of a number, its mean over runs with its uncertainty."""
    sign: str = ""
    """How a likelihood is to be read, or NOT_MEASURED."""
    runs: int = 0
    """Of the row; more than the estimate's where some of them lack the number."""
    is_best: bool = False
    digits: int | None = None
    """Decimals, where the values of the column share them."""

    @property
    def is_partial(self) -> bool:
        """True if it stands for a part of the row's runs alone."""
        return self.estimate is not None and self.estimate.n < self.runs


def entry(rows: "pd.DataFrame", name: str) -> Entry:
    """Return what the runs of a row have in a column: the mean of a measure, else the value that they share.

    rows: these runs; name: any column, or `seeds` for their number. Several values of what is no measure
    stand as text with commas, and a missing value is None.
    """
    if name == "seeds":
        return Entry(len(distinct(cells(rows, "seed"))))
    values = cells(rows, name)
    found = present(values)
    numbers = [x for x in found if isinstance(x, int | float) and not isinstance(x, bool)]
    if name == "bits_per_dim" and not found and 0 in cells(rows, "likelihood_n"):
        return Entry(None, sign=NOT_MEASURED)
    if not numbers or len(numbers) < len(found) or not is_measure(name):
        return Entry(joined(values))
    known = estimate(numbers, *(only_number(rows, beside(name, end)) for end in ("_low", "_high")))
    value = numbers[0] if len(set(numbers)) == 1 else known.mean
    sign = ""
    if name == "bits_per_dim":
        signs = {SIGNS.get(str(bound), "?") for bound in present(cells(rows, "bound"))}
        sign = signs.pop() if len(signs) == 1 else "?"
    return Entry(value, known, sign, len(rows))


def is_measure(name: str) -> bool:
    """Return True where the values of several seeds in a column have a mean."""
    is_likelihood = name in LIKELIHOOD or name.startswith(("reconstruction", "bits_per_dim"))
    return is_likelihood or name in COSTS or is_metric(name)


def beside(name: str, end: str) -> str:
    """Column with an end of the interval of another one: fid[..] -> fid_low[..]."""
    return str(MetricName.parse(name).beside(end)) if is_metric(name) else f"{name}{end}"


def only_number(rows: "pd.DataFrame", name: str) -> float | None:
    """Return the number that one run alone has in a column; None where no run or several have one."""
    found = [value for value in cells(rows, name) if isinstance(value, int | float)]
    return found[0] if len(found) == 1 else None


def joined(values: Iterable[Cell]) -> Cell:
    """Return the one value that all runs share, or the different ones as text: "l1, l2, n/a" (for None)."""
    found = distinct(values)
    return found[0] if len(found) == 1 else ", ".join(sorted("n/a" if x is None else str(x) for x in found))


def comparable(parts: Iterable["pd.DataFrame"], name: str) -> bool:
    """Return True where a column's numbers are of one kind: a bound says nothing against an estimate.

    parts: the runs of each row to compare; only bits per dimension have several kinds.
    """
    kinds = set()
    for rows in parts if name == "bits_per_dim" else ():
        facts = zip(*(cells(rows, key) for key in (name, "bound", "method", "likelihood_n")), strict=True)
        kinds |= {kind for bits, *kind_of in facts if bits is not None and (kind := tuple(kind_of))}
    return name != "bits_per_dim" or len(kinds) == 1
