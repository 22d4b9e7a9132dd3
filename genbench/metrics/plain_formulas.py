"""Published formulas of scores, written out in numpy and float64: what `genbench selfcheck` compares with.

They hold all pairs of images in memory and are meant for a few hundred of them.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["gaussian", "manifold", "mixture_nll", "polynomial", "squared_mmd", "vendi"]

Array = NDArray[np.float64]


def squared_distances(x: Array, y: Array) -> Array:
    """|x_i - y_j|^2 of points x (N, d) and y (M, d), difference by difference: (N, M)."""
    return np.square(x[:, None] - y).sum(2)


def gaussian(x: Array, y: Array, sigma: float = 10.0) -> Array:
    """exp(-|x_i - y_j|^2 / (2 sigma^2)), the kernel of CMMD (Jayasumana et al. 2024, Eq. 4): (N, M)."""
    return np.exp(-squared_distances(x, y) / (2 * sigma**2))


def polynomial(x: Array, y: Array) -> Array:
    """(x_i . y_j / d + 1)^3, the kernel of KID and of KDD (Binkowski et al. 2018, Section 4): (N, M)."""
    return (x @ y.T / x.shape[1] + 1) ** 3


def squared_mmd(x: Array, y: Array, kernel: Callable[[Array, Array], Array]) -> float:
    """Unbiased estimate of the squared MMD of points x (N, d) and y (M, d); it may be below 0.

    Source: Gretton et al. 2012, Eq. 3.
    """

    def among(z: Array) -> float:
        pairs = kernel(z, z)
        return float((pairs.sum() - np.trace(pairs)) / (len(z) * (len(z) - 1)))

    return among(x) + among(y) - 2 * float(kernel(x, y).mean())


def vendi(x: Array) -> float:
    """exp(-sum l log l) of the eigenvalues l of the cosines of x (N, d) over N.

    Source: Friedman & Dieng 2023, Definition 3.1.
    """
    u = x / np.linalg.norm(x, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(u @ u.T / len(x))
    values = values[values > 0]
    return float(np.exp(-(values * np.log(values)).sum()))


def mixture_nll(means: Array, log_variances: Array, x: Array) -> float:
    """-mean log p(x) / d of points x (N, d) under equal Gaussians N(m_j, s_j^2 I), the likelihood of FLD.

    means (M, d), log_variances log s_j^2 (M,). Source: Jiralerspong et al. 2023, Eq. 1.
    """
    d = x.shape[1]
    logs = (
        -squared_distances(x, means) / np.exp(log_variances) / 2 - d * (log_variances + np.log(2 * np.pi)) / 2
    )
    top = logs.max(1)
    return -float((top + np.log(np.exp(logs - top[:, None]).mean(1))).mean()) / d


def manifold(real: Array, fake: Array, k: int = 5) -> tuple[float, float, float, float]:
    """Precision, recall, density and coverage of fake points (M, d) by balls to the k-th nearest other point.

    Source: Kynkaanniemi et al. 2019, Eq. 1-2; Naeem et al. 2020, Eq. 3-4.
    """
    between = squared_distances(real, fake)  # (N, M)
    of_real, of_fake = (np.sort(squared_distances(z, z))[:, k] for z in (real, fake))  # the 0-th is the point
    inside, among = between <= of_real[:, None], between <= of_fake
    shares = inside.any(0).mean(), among.any(1).mean(), inside.sum() / (k * len(fake)), inside.any(1).mean()
    precision, recall, density, coverage = (float(share) for share in shares)
    return precision, recall, density, coverage
