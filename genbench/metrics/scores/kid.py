"""The Kernel Inception Distance: an unbiased distance of features under a polynomial kernel."""

import warnings

import torch
from torch import Tensor, nn

from genbench.metrics.features.extractor import check_finite
from genbench.metrics.reference import Reference, subset
from genbench.metrics.scores.score import Distance, Drawn
from genbench.records.metric_kinds import KINDS

__all__ = ["KID", "kernel_distance", "kernel_influences"]

INFLUENCES_OF = 2000  # images, enough for a standard error to two per cent


class KID(Distance):
    """Kernel distance over random subsets of the samples and of the real images, 10,000 each at most.

    A subset is at most as large as the sets. subsets: how many, subset_size: images in each of both sets.
    Raises ValueError on numbers with which there is no distance, or none in reasonable time.
    """

    key = "kid"
    kinds = (KINDS["kid"],)

    def __init__(self, subsets: int = 100, subset_size: int = 1000) -> None:
        if not 1 <= subsets <= 10_000:
            raise ValueError(f"scores.kid.subsets is {subsets}; it must be from 1 to 10,000, e.g. 100")
        if subset_size < 2:
            raise ValueError(f"scores.kid.subset_size is {subset_size}; it must be 2 images or more")
        self.subsets = subsets
        self.subset_size = subset_size

    def distance(self, drawn: Drawn, reference: Reference) -> dict[str, float]:
        fake, real = drawn.features, reference.features
        size = min(self.subset_size, len(fake), len(real))
        mean, std = kernel_distance(real, fake, subsets=self.subsets, subset_size=size, seed=drawn.seed)
        part = (f"subsets={self.subsets}x{size}",)
        name = drawn.name("kid", ref=reference.split, part=part, n=len(fake))
        # Kernels of all pairs of 10,000 would take seconds and gigabytes, for an interval to two per cent.
        influences = kernel_influences(*(subset(x, INFLUENCES_OF) for x in (real, fake)))
        return drawn.scored(name, mean, std=std, influences=influences)


def kernel_distance(
    real: Tensor, fake: Tensor, *, subsets: int = 100, subset_size: int = 1000, seed: int
) -> tuple[float, float]:
    """Mean and standard deviation over random subsets of the unbiased MMD^2, by torchmetrics, in float64.

    k(x, y) = (x . y / d + 1)^3
    real (N, d), fake (M, d). Unbiased, so it may be below 0. Draws from a generator of its own seed.
    Raises ValueError unless 2 <= subset_size <= min(N, M), FloatingPointError where not finite.
    Source: Binkowski et al. 2018, Section 4.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    largest = min(len(real), len(fake))
    if not 2 <= subset_size <= largest:
        raise ValueError(
            f"subset_size is {subset_size}; it must be from 2 to {largest}, the smaller set's size"
        )
    check_finite(real)
    check_finite(fake)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="Metric `Kernel Inception Distance` will save all extracted"
        )
        # Not synchronised: the first process has all samples, and the others of a run do not call this.
        metric = KernelInceptionDistance(
            feature=nn.Identity(), subsets=subsets, subset_size=subset_size, sync_on_compute=False
        )
    # In float64: a cube of float32 sums loses the digits in which the two terms of the MMD^2 differ.
    metric.update(real.detach().cpu().double(), real=True)
    metric.update(fake.detach().cpu().double(), real=False)
    # torchmetrics draws subsets by torch's default generator, which a run's other draws must not depend on.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        mean, std = metric.compute()
    return float(mean), float(std)


def kernel_influences(real: Tensor, fake: Tensor) -> Tensor:
    """Influence of each fake point y_j on the MMD^2: 2 (E_i k(y_i, y_j) - E_i k(x_i, y_j)), less the mean.

    real (N, d), fake (M, d) -> (M,) float64.
    The linear part of a U-statistic. Source: Hoeffding 1948; Gretton et al. 2012, Eq. 3.
    """
    x, y = real.double(), fake.double()

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    # Within the samples a point is no partner of its own: without the diagonal the estimate is unbiased.
    among = kernel(y, y)
    influences = 2 * ((among.sum(0) - among.diagonal()) / (len(y) - 1) - kernel(x, y).mean(0))
    return influences - influences.mean()
