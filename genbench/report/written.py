"""Numbers and entries -> text."""

import math

from genbench.report.columns import COSTS
from genbench.report.noise import Estimate
from genbench.report.table import Entry

__all__ = ["MISSING", "interval", "short", "whole", "written"]

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
    if x.std and math.isfinite(x.std):
        digits = places(x.std, x.mean)
        return f"{lead}{rounded(x.mean, digits)}", f"± {rounded(x.std, digits)}"
    if interval(x):
        return f"{lead}{rounded(x.mean, interval_places(x))}", interval(x)
    return f"{lead}{figures(x.mean)}", ""


def figures(value: float) -> str:
    """A measure to four figures, with those that are 0: 5.240."""
    if isinstance(value, float) and value and 1e-4 <= abs(value) < 1e4:
        return f"{value:#.4g}".removesuffix(".")
    return written(value)


def interval(x: Estimate) -> str:
    """A recorded interval: [1.02, 1.31]; empty where there is none."""
    if x.low is None or x.high is None or not math.isfinite(x.low + x.high):
        return ""
    digits = interval_places(x)
    return f"[{rounded(x.low, digits)}, {rounded(x.high, digits)}]"


def interval_places(x: Estimate) -> int:
    """Decimals of a value with an interval; the second figure of its half matters after 1 or 2 alone."""
    half = ((x.high or 0) - (x.low or 0)) / 2
    return max(0, places(half, x.mean) - (half > 0 and half / 10 ** exponent(half) >= 3))


def places(spread: float, value: float) -> int:
    """Decimals such that a spread has two figures, the value no more than four."""
    wanted = [figures - 1 - exponent(x) for figures, x in ((2, spread), (4, value)) if x]
    return min(9, max(0, min(wanted, default=3)))


def exponent(x: float) -> int:
    """The power of ten of a number's first figure."""
    return math.floor(math.log10(abs(x)))


def rounded(value: float, digits: int) -> str:
    """A number with so many decimals."""
    return f"{value:,.{digits}f}" if abs(value) < 1e15 else f"{value:.4g}"
