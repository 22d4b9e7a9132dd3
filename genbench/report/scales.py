"""Numbers -> places along an axis, and the ticks that stand there."""

import math
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Scale", "linear", "logarithmic"]

MARGIN = 0.06  # of the length, so that no mark touches the frame
STEPS = (1, 2, 5, 10)
UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k"))


class Scale(NamedTuple):
    """value -> start + (end - start) * (f(value) - low) / (high - low), f = log10 or the identity."""

    low: float
    high: float
    is_log: bool
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (self.of(value) - self.low) / (self.high - self.low)
        return round(self.start + (self.end - self.start) * share, 2)

    def of(self, value: float) -> float:
        """The value as it is measured along the axis."""
        return math.log10(value) if self.is_log else value

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Where round numbers are, and how they are written."""
        values = powers(self.low, self.high) if self.is_log else evenly(self.low, self.high, 5)
        return [(self(value), tick(value)) for value in values]


def linear(values: Sequence[float], start: float, end: float) -> Scale:
    """A scale on which all values have room."""
    low, high = min(values), max(values)
    room = MARGIN * (high - low) or 0.05 * abs(high) or 1.0
    bottom = 0.0 if 0 <= low < 0.4 * high else low - room
    return Scale(bottom, high + room, False, start, end)


def logarithmic(values: Sequence[float], start: float, end: float) -> Scale:
    """A scale of powers of ten; of values that span none, or are not above 0, a linear one."""
    if min(values) <= 0 or max(values) < 3 * min(values):
        return linear(values, start, end)
    low, high = math.log10(min(values)), math.log10(max(values))
    return Scale(low - MARGIN * (high - low), high + MARGIN * (high - low), True, start, end)


def evenly(low: float, high: float, about: int) -> list[float]:
    """Some `about` round numbers between two."""
    power = 10 ** math.floor(math.log10((high - low) / about))
    step = next(power * s for s in STEPS if power * s * about >= high - low)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def powers(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten, of a wide axis the powers alone; ends are their logarithms."""
    factors = (1, 2, 5) if high - low < 2 else (1,)
    exponents = range(math.floor(low), math.ceil(high) + 1)
    found = [factor * 10.0**e for e in exponents for factor in factors]
    return [value for value in found if low <= math.log10(value) <= high]


def tick(value: float) -> str:
    """A round number in few letters: 0.05, 5000, 50k, 2M, 1e-06."""
    size, unit = next((pair for pair in UNITS if abs(value) >= pair[0]), (1.0, ""))
    size = 1e3 if unit == "k" else size
    return f"{value / size:.6g}{unit}" if abs(value) < 1e15 else f"{value:.2g}"
