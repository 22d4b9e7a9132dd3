"""How many decimals a value is written with: as many as its spread leaves sure, alike throughout a column."""

import math
from collections.abc import Sequence
from statistics import median_high

from genbench.report.noise import Estimate

__all__ = ["decimals", "has_interval", "has_spread", "rounded", "shared_decimals"]

MOST = 9  # decimals


def decimals(x: Estimate, shared: int | None = None) -> int:
    """Decimals of a value and of its spread: those that its column shares, unless they leave too little.

    Too little is no figure of a spread, or one alone of a value without a spread.
    """
    spread = spread_of(x)
    number = spread or x.mean
    if not number or not math.isfinite(number):
        return shared or 0
    if shared is not None and shared >= places(number, 1 if spread else 2):
        return shared
    return places(number, 2 if spread else 4)


def shared_decimals(column: Sequence[Estimate]) -> int | None:
    """What the values of a column have in common: two figures of each spread, where spreads are alike.

    Where they are not, what the middle one of them wants. Without spreads four figures of the greatest
    values; None where they span powers of ten.
    """
    known = [x for x in column if spread_of(x)]
    wanted = [decimals(x) for x in known or column if x.mean and math.isfinite(x.mean)]
    if wanted and max(wanted) - min(wanted) <= 1:
        return max(wanted) if known else min(wanted)
    return median_high(wanted) if known and wanted else None


def spread_of(x: Estimate) -> float:
    """The standard deviation over seeds, or half the interval over samples; 0 where there is neither."""
    if x.std and math.isfinite(x.std):
        return x.std
    return ((x.high or 0.0) - (x.low or 0.0)) / 2 if has_interval(x) else 0.0


def has_spread(x: Estimate) -> bool:
    """Whether something other than 0 stands behind the value."""
    return spread_of(x) > 0


def has_interval(x: Estimate) -> bool:
    """Whether a finite interval over samples was recorded."""
    return x.low is not None and x.high is not None and math.isfinite(x.low + x.high)


def places(number: float, figures: int) -> int:
    """Decimals that show so many figures of a number."""
    return min(MOST, max(0, figures - 1 - math.floor(math.log10(abs(number)))))


def rounded(value: float, digits: int) -> str:
    """A number with so many decimals, and without a sign where nothing else of it is left."""
    return f"{value:z,.{digits}f}" if abs(value) < 1e15 else f"{value:.4g}"
