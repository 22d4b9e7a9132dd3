"""How sure a comparison of two values is."""

import math
from typing import NamedTuple

__all__ = ["Measured", "verdict"]


class Measured(NamedTuple):
    """A value with its standard error."""

    value: float
    se: float


def verdict(a: Measured, b: Measured, *, higher_is_better: bool = False) -> float:
    """The probability that A's true value is better than B's, of two independent normal ones.

    P = Phi((b - a) / (se_a^2 + se_b^2)^(1/2)), a and b exchanged where higher is better
    1/2 for equal values; 0 or 1 for different ones without error; nan where a number is not finite.
    """
    difference = a.value - b.value if higher_is_better else b.value - a.value
    error = math.hypot(a.se, b.se)
    if error == 0 and math.isfinite(difference):
        return 0.5 + 0.5 * ((difference > 0) - (difference < 0))
    if not math.isfinite(difference) or not math.isfinite(error):
        return math.nan
    return 0.5 * math.erfc(-difference / error / math.sqrt(2))
