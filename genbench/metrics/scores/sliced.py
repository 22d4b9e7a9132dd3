"""The sliced Wasserstein distance between features."""

import torch
from torch import Tensor

from genbench.metrics.reference import Reference, subset
from genbench.metrics.scores.interval import Influences, at_least_0
from genbench.metrics.scores.score import Distance, Drawn
from genbench.records.metric_kinds import KINDS

__all__ = ["SlicedWasserstein", "sliced_distance"]

SEED = 0  # of the directions: part of the protocol


class SlicedWasserstein(Distance):
    """Sliced Wasserstein distance of equally many samples and real images, 10,000 at most.

    It makes no assumption about the distribution of the features. directions: number of random directions on
    which the features are projected. Raises ValueError below 1 and above 10,000, which fill the memory.
    """

    key = "swd"
    kinds = (KINDS["swd"],)

    def __init__(self, directions: int = 256) -> None:
        if not 1 <= directions <= 10_000:
            raise ValueError(f"scores.swd.directions is {directions}; it must be from 1 to 10,000")
        self.directions = directions

    def distance(self, drawn: Drawn, reference: Reference) -> dict[str, float]:
        # Equally many of both: sorted values are matched one to one.
        n = min(len(drawn.features), len(reference.features))
        real, fake = (subset(x, n) for x in (reference.features, drawn.features))
        value, influences = sliced_distance(real, fake, directions=self.directions)
        name = drawn.name("swd", ref=reference.split, part=(f"k={self.directions}",), n=n)
        return drawn.scored(name, value, influences=Influences(influences, scale=at_least_0))


def sliced_distance(real: Tensor, fake: Tensor, *, directions: int) -> tuple[float, Tensor]:
    """(1/k sum_l W_2^2(real . u_l, fake . u_l))^(1/2) over random unit vectors u_l, and influences.

    In one dimension the i-th smallest of one set goes to the i-th smallest of the other: y -> T(y), and the
    influence of a sample on W_2^2 is Kantorovich's potential phi, phi' = 2 (y - T(y)), here by trapezoids.
    real, fake (N, d) each -> a distance, (N,) of mean 0. Draws from a generator of its own seed.
    Source: Rabin et al. 2012; Bonneel et al. 2015; Santambrogio 2015, Section 7.2.
    """
    rng = torch.Generator().manual_seed(SEED)
    u = torch.randn(real.shape[1], directions, generator=rng, dtype=torch.float64)
    u /= u.norm(dim=0)  # normal vectors have no preferred direction, so these are uniform on the sphere
    x = (real.double() @ u).sort(0).values
    y, order = (fake.double() @ u).sort(0)
    value = float((y - x).square().mean().sqrt())
    steps = (y - x)[1:] + (y - x)[
        :-1
    ]  # the mean of 2 (y - T(y)) at both ends of a gap, times its width below
    potential = torch.zeros_like(y)
    potential[1:] = (steps * y.diff(dim=0)).cumsum(0)
    potential -= potential.mean(0)
    # From the sorted order back to that of the samples, and the mean over directions.
    influences = torch.zeros_like(y).scatter_(0, order, potential).mean(1)
    # d W = d(W^2) / (2 W); where W = 0 both sets are equal, and all influences are 0.
    return value, influences / (2 * value) if value > 0 else influences
