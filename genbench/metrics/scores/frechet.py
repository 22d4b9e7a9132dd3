"""The Frechet distance between Gaussians, and the moments that it compares."""

import torch
from torch import Tensor

from genbench.metrics.features.extractor import check_finite

__all__ = ["Moments", "frechet_distance", "frechet_influences"]


class Moments:
    """Mean and covariance of a stream of features, in float64.

    Batches are merged by their own moments, which keeps all digits where sums of squares lose them.
    Source: Chan, Golub, LeVeque 1983, Eq. 2.1.
    """

    def __init__(self, num_features: int) -> None:
        self.n = 0
        self.mean = torch.zeros(num_features, dtype=torch.float64)
        self.scatter = torch.zeros(num_features, num_features, dtype=torch.float64)

    @classmethod
    def of(cls, features: Tensor) -> "Moments":
        """Collect the moments of one set of features (N, d) that is in memory as a whole, by a single
        `update`, which raises on other shapes and on values that are not finite.
        """
        moments = cls(features.shape[1])
        moments.update(features)
        return moments

    @classmethod
    def given(cls, n: int, mean: Tensor, scatter: Tensor) -> "Moments":
        """Moments that are known already: n samples, mean (d,), and scatter (d, d), which is the unbiased
        covariance times n - 1; both in float64.
        """
        moments = cls(len(mean))
        moments.n, moments.mean, moments.scatter = n, mean, scatter
        return moments

    def update(self, features: Tensor) -> None:
        """Add a batch of features (B, d), on any device and in any precision, to the moments of those before
        it.

        Raises ValueError on other shapes, FloatingPointError where a value is not finite.
        """
        if features.dim() != 2 or features.shape[1] != len(self.mean):
            raise ValueError(f"features have shape {tuple(features.shape)}; it must be (B, {len(self.mean)})")
        check_finite(features)
        if len(features) == 0:  # its mean would be 0 / 0
            return
        x = features.detach().cpu().double()
        total = self.n + len(x)
        mean = x.mean(0)
        centred = x - mean
        delta = mean - self.mean
        self.scatter += centred.T @ centred + torch.outer(delta, delta) * (self.n * len(x) / total)
        self.mean += delta * (len(x) / total)
        self.n = total

    @property
    def cov(self) -> Tensor:
        """Unbiased covariance sum_i (x_i - m) (x_i - m)^T / (n - 1) of all features so far, (d, d) float64.
        Raises ValueError below two samples.
        """
        if self.n < 2:
            raise ValueError(f"{self.n} samples have no covariance; at least 2 are needed")
        return self.scatter / (self.n - 1)


def frechet_distance(a: Moments, b: Moments) -> float:
    """Squared 2-Wasserstein distance between Gaussians of the given moments.

    |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1^(1/2) S2 S1^(1/2))^(1/2)

    With S1 = R R^T, where R (d, r) spans the numerical range of S1, the symmetric matrix R^T S2 R (r, r) has
    the eigenvalues of that product: fewer samples than features cost no accuracy. This is the reported
    figure, because tests hold it equal to torchmetrics and to scipy's matrix root, and it is several times
    faster. Rounding may leave it just below 0.
    Source: Dowson & Landau 1982; Heusel et al. 2017.
    """
    # The set of fewer samples has the covariance of lower rank r, so that R^T S2 R is the smaller matrix.
    first, second = sorted((a, b), key=lambda moments: moments.n)
    root = square_root(first.cov)
    cov = second.cov
    eigenvalues = torch.linalg.eigvalsh(root.T @ cov @ root)
    overlap = eigenvalues.clamp(min=0).sqrt().sum()  # below 0 by rounding alone
    distance = (a.mean - b.mean).square().sum() + first.cov.trace() + cov.trace() - 2 * overlap
    return float(distance)


def frechet_influences(x: Tensor, a: Moments, b: Moments) -> Tensor:
    """Influence of each sample x (N, d) of the set with moments a on the distance to b: (N,), of mean 0.

    The derivative of the distance in the weight of one sample, for u = x - m1:
    2 (m1 - m2) . u + u^T (I - T) u, less the mean,
    where T = S1^(-1/2) (S1^(1/2) S2 S1^(1/2))^(1/2) S1^(-1/2) is the transport from a to b, since
    d tr (S1^(1/2) S2 S1^(1/2))^(1/2) = tr (T dS1) / 2. With S1 = R R^T as above it is taken within the range
    of S1, which resampling never leaves.
    Source: Dowson & Landau 1982; Rippl, Munk & Sturm 2016 on the derivative.
    """
    root = square_root(a.cov)
    values, vectors = torch.linalg.eigh(root.T @ b.cov @ root)
    whitening = root / root.square().sum(0)  # R's columns have the eigenvalues of S1 as squared lengths
    # T = transport transport^T; eigenvalues are below 0 by rounding alone.
    transport = whitening @ (vectors * values.clamp(min=0) ** 0.25)
    u = x.detach().cpu().double() - a.mean
    influences = 2 * u @ (a.mean - b.mean) + u.square().sum(1) - (u @ transport).square().sum(1)
    return influences - influences.mean()


def square_root(cov: Tensor) -> Tensor:
    """Factor a covariance: R (d, r) with R R^T = cov (d, d), where r leaves out eigenvalues that are rounding
    noise, as numpy's `matrix_rank` does.
    """
    values, vectors = torch.linalg.eigh(cov)
    large = values > values[-1] * len(cov) * torch.finfo(cov.dtype).eps
    return vectors[:, large] * values[large].sqrt()
