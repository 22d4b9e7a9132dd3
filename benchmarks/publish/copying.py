"""Models that draw again the images that they were trained on, in the place of new ones."""

import math
from collections.abc import Sequence
from statistics import mean

from benchmarks.publish.winners import Measure, Record, of_file, values_of

__all__ = ["COPIES", "copiers", "copying"]

COPIES = Measure("share of samples that copy no trained image", 1, of_file("copies.json", "authentic"))
REAL = Measure("share of held-out images", 1, of_file("copies.json", "held_out_authentic"))
SIZE = Measure("images", 1, of_file("copies.json", "n"))
ONE_SIDED = 1.645
"""Standard errors of a one-sided test at 95 %."""


def copiers(records: Sequence[Record]) -> list[str]:
    """Return the models whose samples copy trained images more often than held-out images seem to, by a
    one-sided test of two shares at 95 %, over all runs of a model, whose held-out images are the same.
    """
    real, sizes = values_of(records, REAL), values_of(records, SIZE)
    found = []
    for name, shares in values_of(records, COPIES).items():
        own, least, n = mean(shares), mean(real[name]), sizes[name][0]
        variance = own * (1 - own) / (n * len(shares)) + least * (1 - least) / n
        if least - own > ONE_SIDED * math.sqrt(variance):
            found.append(name)
    return found


def copying(records: Sequence[Record]) -> list[str]:
    """Return a sentence on the models that a ranking is without, with the shares of samples that count as
    copies; none where no model copies.
    """
    shares, real = values_of(records, COPIES), values_of(records, REAL)
    words = [f"{name} {1 - mean(shares[name]):.0%}" for name in copiers(records)]
    least = 1 - mean([x for values in real.values() for x in values]) if real else 0
    beside = f"of held-out images {least:.0%} count as such"
    return [f"Left out, as samples are copies of the trained images: {', '.join(words)}; {beside}."] * bool(
        words
    )
