"""Quantities with their units, as a reader sees them; no record holds them so."""

import math

__all__ = ["device_words", "with_unit"]

PREFIXES = (
    *((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")),
    *((1e-3, "m"), (1e-6, "µ"), (1e-9, "n")),
)
"""Powers of ten and their signs before a unit, the largest first."""


def with_unit(value: float | None, unit: str) -> str:
    """Return a quantity to three figures with its unit: 1.03 GB, 1.48 TFLOP, 9.68 ms; n/a for None.

    unit: of the value itself, such as B, FLOP or s, before which k, M, G, T, P or m, µ, n stand where needed.
    """
    if value is None:
        return "n/a"
    if not math.isfinite(value):
        return f"{value} {unit}"
    size, sign = next(((size, sign) for size, sign in PREFIXES if abs(value) >= size), PREFIXES[-1])
    if value == 0 or (unit == "s" and size > 1):  # nobody counts in kiloseconds
        size, sign = 1.0, ""
    number = f"{value / size:,.0f}" if abs(value) >= 100 * size else f"{value / size:.3g}"
    return f"{number} {sign}{unit}"


def device_words(recorded: str) -> str:
    """Return the name of a device as a reader sees it, of the one that results record: one thread is no
    plural there, and a name in a record never changes.
    """
    return recorded.replace("(1 threads)", "(1 thread)")
