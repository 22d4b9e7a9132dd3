"""A distribution of images that is known exactly, to check models and metrics against."""

from functools import cached_property
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

__all__ = ["LEVELS", "Draws", "KnownDistribution", "rounded_normal"]

LEVELS = 256
BATCH = 1024
DRAWN = 20_000  # images by which a quantile is estimated: a tail of 1e-3 within a fifth of itself


class Draws(NamedTuple):
    """Images drawn from a known distribution, with the class of the mode that each comes from."""

    images: Tensor
    """(n, D) uint8."""
    labels: Tensor
    """(n,) int64."""


class KnownDistribution:
    """A mixture of M modes, each of independent pixels: probabilities and moments are finite sums.

    p(u, y) = sum_(m of class y) w_m prod_i P_mi(u_i)

    weights (M,), above 0; they are scaled to sum to 1.  log_levels (M, D, 256): log P_mi, normalised.
    classes (M,) int64: the label that images of a mode carry, 0 to K - 1, each at least once.
    key: hex digits that change with the distribution.
    All in float64 on the CPU. Raises ValueError on shapes that do not fit.
    """

    def __init__(self, weights: Tensor, log_levels: Tensor, classes: Tensor, *, key: str) -> None:
        modes = len(weights)
        if log_levels.dim() != 3 or log_levels.shape[::2] != (modes, LEVELS) or classes.shape != (modes,):
            raise ValueError(
                f"weights, levels and classes are {tuple(weights.shape)}, {tuple(log_levels.shape)} and "
                f"{tuple(classes.shape)}; they must be (M,), (M, D, {LEVELS}) and (M,)"
            )
        self.weights = weights.double() / weights.double().sum()
        self.log_levels = log_levels.double()
        self.classes, self.key = classes, key
        self.num_classes = int(classes.max()) + 1
        self.dimensions = log_levels.shape[1]

    @cached_property
    def class_weights(self) -> Tensor:
        """The probability of each class: p(y), (K,)."""
        return torch.zeros(self.num_classes, dtype=torch.float64).index_add(0, self.classes, self.weights)

    @cached_property
    def rows(self) -> Tensor:
        """log P_mi(u) at row 256 i + u and column m: (256 D, M)."""
        return self.log_levels.flatten(1).T.contiguous()

    def log_modes(self, images: Tensor) -> Tensor:
        """Log joint probability of each image and each mode.

        images (B, ..) uint8 of D bytes each -> log p(u, m), (B, M) nats. Raises ValueError on other shapes.
        """
        if images.dtype != torch.uint8 or images[0].numel() != self.dimensions:
            raise ValueError(
                f"images are {tuple(images.shape)} {images.dtype}; the distribution is of images of "
                f"{self.dimensions} bytes (uint8)"
            )
        index = images.flatten(1).cpu().long() + LEVELS * torch.arange(self.dimensions)
        sums = [F.embedding_bag(part, self.rows, mode="sum") for part in index.split(BATCH)]
        return torch.cat(sums) + self.weights.log()

    def log_classes(self, images: Tensor) -> Tensor:
        """Log joint probability of each image and each class: images (B, ..) uint8 -> log p(u, y), (B, K)
        nats.
        """
        modes = self.log_modes(images)
        of_class = [modes[:, self.classes == k].logsumexp(1) for k in range(self.num_classes)]
        return torch.stack(of_class, dim=1)

    def log_prob(self, images: Tensor, y: Tensor | None = None) -> Tensor:
        """Log probability of images, (B,) nats: log p(u), or log p(u | y) where labels are given.

        images (B, ..) uint8; y (B,) int64 or None. The floor under -log_prob of any model of these images.
        """
        joint = self.log_classes(images)
        if y is None:
            return joint.logsumexp(1)
        y = y.cpu()
        return joint.gather(1, y[:, None])[:, 0] - self.class_weights.log()[y]

    def draw(self, n: int, rng: Generator) -> Draws:
        """Draw n images and their labels: a mode by its weight, then each pixel by its inverse distribution
        function. The same state of rng, a CPU generator, gives the same images.
        """
        modes = torch.multinomial(self.weights, n, replacement=True, generator=rng)
        quantiles = torch.rand(n, self.dimensions, generator=rng, dtype=torch.float64)
        images = torch.empty(n, self.dimensions, dtype=torch.uint8)
        for m in modes.unique().tolist():
            below = self.log_levels[m].exp().cumsum(1)[:, :-1].contiguous()
            mine = modes == m
            images[mine] = torch.searchsorted(below, quantiles[mine].T.contiguous(), right=True).T.byte()
        return Draws(images, self.classes[modes])

    @cached_property
    def drawn_log_probs(self) -> Tensor:
        """log p of 20,000 images of the distribution, the same ones in every process: (20,000,) nats."""
        return self.log_prob(self.draw(DRAWN, torch.Generator().manual_seed(0)).images)

    def quantile(self, share: float) -> float:
        """The log p in nats that a share (0 to 1) of the distribution's own images does not reach.

        Estimated from 20,000 images of a fixed seed, once an object.
        """
        return float(self.drawn_log_probs.quantile(share))

    @cached_property
    def means(self) -> Tensor:
        """The mean image of each mode in grey levels, (M, D)."""
        return self.log_levels.exp() @ torch.arange(LEVELS, dtype=torch.float64)

    @cached_property
    def variances(self) -> Tensor:
        """The variance of each mode's pixels in squared grey levels, (M, D)."""
        squares = (torch.arange(LEVELS, dtype=torch.float64) - self.means[..., None]).square()
        return (self.log_levels.exp() * squares).sum(2)

    @cached_property
    def mean(self) -> Tensor:
        """The mean image, (D,)."""
        return self.weights @ self.means

    @cached_property
    def cov(self) -> Tensor:
        """The covariance, within modes and between them: sum_m w_m (diag v_m + d_m d_m^T), d_m = mu_m - mu,
        (D, D).
        """
        centred = self.means - self.mean
        return torch.diag(self.weights @ self.variances) + (self.weights * centred.T) @ centred

    def entropy_bounds(self) -> tuple[float, float]:
        """A lower and an upper bound on the entropy, in nats: H(u | m) <= H(u) <= H(u | m) + H(m)."""
        inner = -float(self.weights @ (self.log_levels.exp() * self.log_levels).sum((1, 2)))
        return inner, inner - float(torch.xlogy(self.weights, self.weights).sum())


def rounded_normal(mean: Tensor, std: float) -> Tensor:
    """log P(u) of a normal variable rounded to the levels u = 0 ... 255, its tails in the end levels.

    P(u) = Phi((u + 1/2 - mean) / std) - Phi((u - 1/2 - mean) / std), the first and last one open
    mean (..) and std in grey levels -> (.., 256) float64. Not the formula of probability/buckets.py: a floor
    under the likelihoods of models must not share their code, or it would share their errors.
    """
    edges = (torch.arange(1, LEVELS, dtype=torch.float64) - 0.5 - mean.double()[..., None]) / std
    open_end = torch.full_like(edges[..., :1], float("inf"))
    a, b = torch.cat([-open_end, edges], -1), torch.cat([edges, open_end], -1)
    flipped = a > 0  # to the left tail, where log Phi keeps all digits
    a, b = torch.where(flipped, -b, a), torch.where(flipped, -a, b)
    right, left = torch.special.log_ndtr(b), torch.special.log_ndtr(a)
    return right + torch.log(-torch.expm1(left - right))
