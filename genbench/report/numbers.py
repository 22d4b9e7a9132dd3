"""Numbers and places of a table -> text, to as many digits as the uncertainty allows."""

import math
from collections.abc import Sequence
from statistics import median_low

from genbench.records.units import device_words
from genbench.report.columns import AT_TARGET, COSTS
from genbench.report.statistics import Estimate
from genbench.report.table_cell import Entry

__all__ = [
    "decimals",
    "p_words",
    "parts",
    "rounded",
    "shared_decimals",
    "short",
    "uncertainty",
    "whole",
    "written",
]

MOST = 9  # decimals
MORE = 2  # that a row may have beyond those of its column, and its column beyond those of its coarsest row
# From where on a unit is used, its size, and its sign.
UNITS = ((1e15, 1e15, "P"), (1e12, 1e12, "T"), (1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k"))


def written(value: str | float | None) -> str:
    """Return a value as text for a reader: 3.142, 12,346, true, n/a; integers with all their digits.

    The name of a device is that of `records.units.device_words`.
    """
    if value is None or isinstance(value, str):
        return "n/a" if value is None else device_words(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,d}"
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"


def short(value: str | float | None) -> str:
    """Return a cost to three figures with a unit: 190k, 1.48T, 0.0258; no finite number: as `written`."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return written(value)
    size, unit = next(((size, unit) for least, size, unit in UNITS if abs(value) >= least), (1, ""))
    is_whole = not unit and (isinstance(value, int) or abs(value) >= 100)
    return f"{value:,.0f}" if is_whole else f"{value / size:.3g}{unit}"


def whole(entry: Entry, name: str) -> str:
    """Return all that stands in one place of a table as one text: ≤ 3.60, 1.44 ± 0.39, n/a.

    entry: what its runs have; name: of the column, which says whether it is a cost, see `parts`.
    """
    return " ".join(filter(None, parts(entry, name)))


def parts(entry: Entry, name: str) -> tuple[str, str]:
    """Return the text of a place of column `name`, and of its uncertainty, to as many digits as that allows.

    Behind the uncertainty stands how many of the row's runs have the value where some do not: (1 of 3).
    """
    if entry.mark:
        value, spread = parts(entry._replace(mark=""), name)
        return f"{value} {entry.mark}", spread
    x = entry.estimate
    if entry.value is None and entry.sign:
        return entry.sign, ""
    # Costs have units instead of uncertainties; very small values have an exponent instead of decimals.
    value, spread = short(entry.value) if name in COSTS else written(entry.value), ""
    if x is None:
        return value, ""
    is_cost_or_count = (name in COSTS and name not in AT_TARGET) or isinstance(entry.value, int)
    if not is_cost_or_count and (x.half_width > 0 or x.mean == 0 or abs(x.mean) >= 1e-4):
        digits = decimals(x, entry.digits)
        value, spread = rounded(x.mean, digits), uncertainty(x, digits)
    if entry.is_partial:
        spread = f"{spread} ({x.n} of {entry.runs})".lstrip()
    return f"{entry.sign} {value}".lstrip(), spread


def uncertainty(x: Estimate, digits: int) -> str:
    """Return ± 0.39 over seeds, or a recorded interval [1.02, 1.31]; empty where there is neither."""
    if not x.half_width:
        return ""
    if x.half_width == x.std:
        # Less than half of the last figure that is shown is not nothing.
        is_seen = x.std >= 0.5 * 10.0**-digits
        return f"± {rounded(x.std, digits)}" if is_seen else f"± <{10.0**-digits:.{digits}f}"
    return f"[{rounded(x.low or 0.0, digits)}, {rounded(x.high or 0.0, digits)}]"


def decimals(x: Estimate, shared: int | None = None) -> int:
    """Return the decimals of a value and its uncertainty: its column's, unless these leave too little.

    Too little is no figure of an uncertainty, or one alone of a value without any.
    """
    half = x.half_width
    number = half or x.mean
    if not number or not math.isfinite(number):
        return shared or 0
    wanted = places(number, 2 if half else 4)
    if shared is None:
        return wanted
    if shared >= places(number, 1 if half else 2):
        return shared
    # A row that is nearly exact gets a few decimals more, not those of its last figure.
    return min(wanted, shared + MORE) if half else wanted


def shared_decimals(column: Sequence[Estimate]) -> int | None:
    """Return the decimals that all values of a column get, None where each has its own.

    Two figures of each uncertainty where these are alike; where they are not, what the middle one of them
    wants. Without uncertainties four figures of the greatest values; None where they span powers of ten.
    """
    known = [x for x in column if x.half_width]
    wanted = [decimals(x) for x in known or column if x.mean and math.isfinite(x.mean)]
    if wanted and max(wanted) - min(wanted) <= 1:
        return max(wanted) if known else min(wanted)
    return min(median_low(wanted), min(wanted) + MORE) if known and wanted else None


def places(number: float, figures: int) -> int:
    """Decimals that show so many figures of a number."""
    return min(MOST, max(0, figures - 1 - math.floor(math.log10(abs(number)))))


def rounded(value: float, digits: int) -> str:
    """Return a number with so many decimals, and without a sign where nothing else of it is left."""
    return f"{value:z,.{digits}f}" if abs(value) < 1e15 else f"{value:.4g}"


def p_words(p: float) -> str:
    """Return a p value for a sentence: p = 0.21, p = 0.004, p < 0.001; never rounded across 0.05."""
    if p < 0.001:
        return "p < 0.001"
    text = f"{p:.2g}" if p < 0.995 else "1"
    return f"p = {text if (float(text) < 0.05) == (p < 0.05) else f'{p:.4f}'}"
