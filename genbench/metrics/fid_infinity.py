"""The Frechet distance that infinitely many samples would have."""

import torch
from torch import Tensor

from genbench.metrics.frechet import Moments, frechet_distance, frechet_influences
from genbench.metrics.reference import Reference
from genbench.metrics.score import Distance, Drawn

__all__ = ["FIDInfinity", "extrapolated"]

SEED = 0  # of the subsets: part of the protocol


class FIDInfinity(Distance):
    """FID extrapolated from subsets of growing size, so that its bias, which goes as 1 / n, is gone.

    sizes: how many subsets, from `share` of the samples up to all of them (10,000 at most).
    There is no value where share * n is below the d features: the covariance of m <= d samples has a rank
    below d, and over such m the distance is no line in 1 / m.
    Raises ValueError on sizes that no line can be laid through.
    Source: Chong & Forsyth 2020, Section 3.
    """

    key = "fid_inf"
    smallest = 20

    def __init__(self, sizes: int = 15, share: float = 0.25) -> None:
        if sizes < 3:
            raise ValueError(f"scores.fid_inf.sizes is {sizes}; a line and its error need 3 or more")
        if not 0.05 <= share < 1:
            raise ValueError(f"scores.fid_inf.share is {share}; it must be from 0.05 to below 1")
        self.sizes = sizes
        self.share = share

    def distance(self, drawn: Drawn, reference: Reference) -> dict[str, float]:
        n = len(drawn.features)
        sizes = torch.linspace(self.share * n, n, self.sizes).round().long().tolist()
        if self.share * n < drawn.features.shape[1]:
            return {}
        value, noise = extrapolated(drawn.features, reference.moments, sizes)
        influences = frechet_influences(drawn.features, drawn.moments, reference.moments)
        # The line's own error, beside the samples'; which have none where all are equal.
        spread = (1 + noise**2 * n / influences.var().clamp(min=1e-300)).sqrt()
        extra = (f"sizes={self.sizes}x{self.share:g}",)
        return drawn.named(
            "fid_inf", value, ref=reference.split, extra=extra, n=n, influences=influences * spread
        )


def extrapolated(features: Tensor, real: Moments, sizes: list[int]) -> tuple[float, float]:
    """The intercept, and its standard error, of the line FID(m) = FID_inf + slope / m by least squares.

    features (N, d); m are sizes of random subsets, with a generator of its own seed.
    """
    rng, distances = torch.Generator().manual_seed(SEED), []
    for size in sizes:
        part = features[torch.randperm(len(features), generator=rng)[:size]]
        distances.append(frechet_distance(Moments.of(part), real))
    y = torch.tensor(distances, dtype=torch.float64)
    x = torch.stack([torch.ones_like(y), 1 / torch.tensor(sizes, dtype=torch.float64)], dim=1)
    inverse = torch.linalg.inv(x.T @ x)
    line = inverse @ x.T @ y
    noise = (y - x @ line).square().sum() / (len(sizes) - 2) * inverse[0, 0]
    return float(line[0]), float(noise.sqrt())
