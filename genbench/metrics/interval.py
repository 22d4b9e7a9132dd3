"""How far a score would move if other samples were drawn: the bootstrap over samples, Wilson's of a share."""

import math
from statistics import NormalDist
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Interval", "interval", "share_interval"]

REPLICATES = 1000  # of means, which cost next to nothing; 200 leave the ends of an interval to chance
LEVEL = 0.95
Z = NormalDist().inv_cdf((1 + LEVEL) / 2)
AT_ONCE = 1_000_000  # numbers that are held at once


class Interval(NamedTuple):
    """A 95 % interval around a score, and its standard error."""

    low: float
    high: float
    se: float


def interval(value: float, influences: Tensor, *, n: int, seed: int) -> Interval:
    """The bootstrap of a score over its n samples, by what each of them adds to it.

    value* = value + mean_i influences[i*], i* drawn with replacement
    To first order this is the score of the resampled set, without its cost (a decomposition for each
    replicate of a Frechet distance) and without the bias that repeated samples give to distances.
    influences (N,): of the samples or, where they are very many, of a random part; the spread is that of n.
    Source: Efron & Tibshirani 1993, Section 13.3; Hampel 1974 on influences.
    """
    rng, size = torch.Generator().manual_seed(seed), len(influences)
    centred = (influences - influences.mean()).double() * (size / n) ** 0.5
    rows = max(1, AT_ONCE // size)
    counts = [min(rows, REPLICATES - start) for start in range(0, REPLICATES, rows)]
    moves = torch.cat([centred[torch.randint(size, (r, size), generator=rng)].mean(1) for r in counts])
    low, high = torch.quantile(moves, moves.new_tensor([(1 - LEVEL) / 2, (1 + LEVEL) / 2])).tolist()
    return Interval(value + low, value + high, float(moves.std()))


def share_interval(share: float, *, n: int) -> Interval:
    """The interval of a share p of n samples, which has a width where it is none or all of them, too.

    (p + z^2/2n -+ z (p (1 - p) / n + z^2 / 4n^2)^(1/2)) / (1 + z^2/n); se is its half over z
    The bootstrap of a share of 0 or 1 is a point, at any n; Wilson's of 1 begins at n / (n + z^2).
    Source: Wilson 1927; Brown, Cai & DasGupta 2001, Section 3.1.1.
    """
    scale = 1 + Z**2 / n
    centre = (share + Z**2 / (2 * n)) / scale
    se = math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2)) / scale
    return Interval(max(0.0, centre - Z * se), min(1.0, centre + Z * se), se)
