"""CMMD: an unbiased distance of features of length 1 under a Gaussian kernel, published on CLIP's."""

import torch
from torch import Tensor

from genbench.metrics.features.extractor import check_finite
from genbench.metrics.reference import Reference
from genbench.metrics.scores.interval import Influences
from genbench.metrics.scores.precision_recall import squared_distances
from genbench.metrics.scores.score import Distance, Drawn
from genbench.metrics.scores.vendi import unit_length
from genbench.records.metric_kinds import KINDS

__all__ = ["CMMD", "gaussian_mmd"]

BLOCK = 1024  # rows of a kernel matrix that are held at once


class CMMD(Distance):
    """1000 MMD^2 of features of length 1 under a Gaussian kernel, of at most 10,000 samples and real images.

    The published score where the features are those of CLIP (features=clip); the name of the value says
    which. Unbiased, so that it may be below 0, and never clamped. The published code takes the biased
    estimate instead, which is larger by 20 (1/N + 1/M) at most.
    sigma: of the kernel; another than 10 stands in the name. Raises ValueError where it is not above 0.
    Source: Jayasumana et al. 2024, Section 4 (unbiased estimate, sigma = 10, scale 1000).
    """

    key = "cmmd"
    kinds = (KINDS["cmmd"],)

    def __init__(self, sigma: float = 10.0) -> None:
        if not 0 < sigma < float("inf"):
            raise ValueError(f"scores.cmmd.sigma is {sigma}; it must be above 0, as published 10")
        self.sigma = sigma

    def distance(self, drawn: Drawn, reference: Reference) -> dict[str, float]:
        check_finite(drawn.features)
        real, fake = unit_length(reference.features), unit_length(drawn.features)
        value, influences = gaussian_mmd(real, fake, sigma=self.sigma)
        part = () if self.sigma == 10 else (f"sigma={self.sigma:g}",)
        name = drawn.name("cmmd", ref=reference.split, part=part, n=len(fake))
        return drawn.scored(name, 1000 * value, influences=Influences(1000 * influences))


def gaussian_mmd(real: Tensor, fake: Tensor, *, sigma: float) -> tuple[float, Tensor]:
    """Unbiased MMD^2 under k(x, y) = exp(-|x - y|^2 / (2 sigma^2)), and the influence of each fake point.

    sum_(i != i') k(x_i, x_i') / (N (N - 1)) + sum_(j != j') k(y_j, y_j') / (M (M - 1))
    - 2 sum_ij k(x_i, y_j) / (N M)
    Of influences see `kernel_influences` of KID. real (N, d), fake (M, d) -> a number, (M,) float64, of mean
    0. Source: Gretton et al. 2012, Eq. 3.
    """
    x, y = real.double(), fake.double()

    def sums(a: Tensor, b: Tensor) -> Tensor:
        """sum_i k(a_i, b_j), (M,), block by block."""
        kernels = (squared_distances(part, b).div_(-2 * sigma**2).exp_().sum(0) for part in a.split(BLOCK))
        return torch.stack(list(kernels)).sum(0)

    # Without the diagonal, whose kernels are 1: a point is no partner of its own.
    among_real = (sums(x, x) - 1).sum() / (len(x) * (len(x) - 1))
    among_fake, between = (sums(y, y) - 1) / (len(y) - 1), sums(x, y) / len(x)
    influences = 2 * (among_fake - between)
    return float(among_real + among_fake.mean() - 2 * between.mean()), influences - influences.mean()
