"""Numbers and entries -> text."""

import math

from genbench.report.columns import COSTS
from genbench.report.noise import Estimate
from genbench.report.rounding import decimals, has_interval, has_spread, rounded
from genbench.report.table import Entry

__all__ = ["MISSING", "parts", "short", "spread", "whole", "written"]

MISSING = "n/a"
UNITS = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k"))


def written(value: str | float | None) -> str:
    """A value as a reader wants it: 3.142, 12,346, n/a."""
    if value is None:
        return MISSING
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,d}"
    if 1e4 <= abs(value) < 1e15:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def short(value: str | float | None) -> str:
    """A cost in three figures: 190k, 1.48T, 0.0258."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return written(value)
    size, unit = next((pair for pair in UNITS if abs(value) >= pair[0]), (1.0, ""))
    size = 1e3 if unit == "k" else size
    if not unit and (isinstance(value, int) or abs(value) >= 100):
        return f"{value:,.0f}"
    return f"{value / size:.3g}{unit}"


def whole(entry: Entry, name: str) -> str:
    """All that stands in one place of a table: ≤ 3.60, 1.44 ± 0.39, 1.16 [1.02, 1.31]."""
    value, spread = parts(entry, name)
    return f"{value} {spread}" if spread else value


def parts(entry: Entry, name: str) -> tuple[str, str]:
    """The value, and its spread with how many of the row's runs have it where some do not: (1 of 3)."""
    value, spread = measured(entry, name)
    if entry.estimate is None or not entry.is_partial:
        return value, spread
    return value, f"{spread} ({entry.estimate.n} of {entry.runs})".lstrip()


def measured(entry: Entry, name: str) -> tuple[str, str]:
    """The value and its spread, to as many digits as the spread leaves sure."""
    x = entry.estimate
    if entry.value is None and entry.sign:
        return entry.sign, ""
    if name in COSTS or x is None:
        return short(entry.value) if name in COSTS else written(entry.value), ""
    lead = f"{entry.sign} " if entry.sign else ""
    if isinstance(entry.value, int) or not (has_spread(x) or x.mean == 0 or abs(x.mean) >= 1e-4):
        return f"{lead}{written(entry.value)}", ""
    digits = decimals(x, entry.digits)
    return f"{lead}{rounded(x.mean, digits)}", spread(x, digits)


def spread(x: Estimate, digits: int) -> str:
    """± 0.39 over seeds, or a recorded interval [1.02, 1.31]; empty where there is neither."""
    if x.std and math.isfinite(x.std):
        return f"± {rounded(x.std, digits)}"
    if x.low is None or x.high is None or not has_interval(x):
        return ""
    return f"[{rounded(x.low, digits)}, {rounded(x.high, digits)}]"
