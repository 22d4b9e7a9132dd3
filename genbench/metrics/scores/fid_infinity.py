"""The Frechet distance that infinitely many samples would have."""

import math
import warnings

import torch
from torch import Tensor

from genbench.metrics.reference import Reference
from genbench.metrics.scores.frechet import Moments, frechet_distance, frechet_influences
from genbench.metrics.scores.score import Distance, Drawn
from genbench.records.metric_kinds import KINDS

__all__ = ["FIDInfinity", "extrapolated"]

SEED = 0  # of the subsets: part of the protocol
PER_FEATURE = 4
"""Samples a feature in the smallest subset: below, the distance is no line in 1 / m.

Of 359 Gaussian samples with 64 features, subsets from 1, 2 and 4 samples a feature are off by -0.031, -0.007
and -0.004 on average, FID itself by 0.136.
"""
ROOM = 1.2  # how much larger than the smallest subset all samples must be, for a line to have a slope


class FIDInfinity(Distance):
    """FID extrapolated from subsets of growing size, so that its bias, which goes as 1 / n, is gone.

    sizes: how many subsets, from `share` of the samples, and at least 4 samples a feature, up to all of them
    (10,000 at most). The share that it comes to stands in the name. Where there are fewer than 4.8 samples a
    feature there is no value, and a warning says how many it needs.
    Unbiased to first order, so it may be below 0: never clamp it.
    Raises ValueError on sizes that no line can be laid through.
    Source: Chong & Forsyth 2020, Section 3.
    """

    key = "fid_inf"
    kinds = (KINDS["fid_inf"],)
    smallest = 20

    def __init__(self, sizes: int = 15, share: float = 0.25) -> None:
        if not 3 <= sizes <= 1000:
            raise ValueError(f"scores.fid_inf.sizes is {sizes}; it must be from 3, for a line, to 1000")
        if not 0.05 <= share < 1:
            raise ValueError(f"scores.fid_inf.share is {share}; it must be from 0.05 to below 1")
        self.sizes = sizes
        self.share = share

    def distance(self, drawn: Drawn, reference: Reference) -> dict[str, float]:
        n, d = drawn.features.shape
        smallest = max(self.share * n, PER_FEATURE * d)
        needed = math.ceil(ROOM * PER_FEATURE * d)
        if n < needed:
            warnings.warn(
                f"fid_inf is left out: it needs {needed:,} samples of {d} features, and there are {n:,}: draw"
                " more by metrics.samples",
                stacklevel=2,
            )
            return {}
        sizes = torch.linspace(smallest, n, self.sizes).round().long().tolist()
        value, noise = extrapolated(drawn.features, reference.moments, sizes)
        influences = frechet_influences(drawn.features, drawn.moments, reference.moments)
        # The line's own error, beside the samples'; which have none where all are equal.
        widening = (1 + noise**2 * n / influences.var().clamp(min=1e-300)).sqrt()
        part = (f"sizes={self.sizes}x{smallest / n:.3g}",)
        name = drawn.name("fid_inf", ref=reference.split, part=part, n=n)
        return drawn.scored(name, value, influences=influences * widening)


def extrapolated(features: Tensor, real: Moments, sizes: list[int]) -> tuple[float, float]:
    """Fit the line FID(m) = FID_inf + slope / m by least squares; return FID_inf and its standard error.

    features (N, d); m are the sizes of random subsets, from a generator of its own seed.
    Source: Chong & Forsyth 2020, Section 3.
    """
    rng, distances = torch.Generator().manual_seed(SEED), []
    for size in sizes:
        part = features[torch.randperm(len(features), generator=rng)[:size]]
        distances.append(frechet_distance(Moments.of(part), real))
    y = torch.tensor(distances, dtype=torch.float64)
    x = torch.stack([torch.ones_like(y), 1 / torch.tensor(sizes, dtype=torch.float64)], dim=1)
    # (X^T X)^-1 itself, not a solver: its first entry times the residual variance is the intercept's own.
    inverse = torch.linalg.inv(x.T @ x)
    line = inverse @ x.T @ y
    noise = (y - x @ line).square().sum() / (len(sizes) - 2) * inverse[0, 0]
    return float(line[0]), float(noise.sqrt())
