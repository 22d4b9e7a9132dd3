"""A Gaussian fitted to a stream of latents, which a plain autoencoder draws its samples from."""

import torch
from torch import Generator, Tensor, nn

from genbench.probability.counts import MOST_CHANNELS, check_count
from genbench.runtime import global_batch

__all__ = ["GaussianDensity"]


class GaussianDensity(nn.Module):
    """N(mean, covariance) with full covariance over latents of L numbers, one for each class, in buffers.

    The k-th batch of a class enters with weight w = max(1 / k, 1 / window): the plain average of all batches
    up to `window` of them, a moving average afterwards (the encoder changes while it trains). With
    d = batch mean - mean: mean <- mean + w d, covariance <- (1 - w) covariance + w batch covariance
    + w (1 - w) d d^T, the moments of the mixture of the two. Before the first batch it is N(0, I).
    num_classes: 0 is one Gaussian for all. jitter: share of the mean variance that is added to each variance.
    Raises ValueError on settings that no Gaussian can have.
    Source: Chan et al. 1979, Eq. 1.5, with weights.
    """

    mean: Tensor
    covariance: Tensor
    batches: Tensor

    def __init__(
        self, dimensions: int, num_classes: int = 0, *, window: int = 200, jitter: float = 1e-6
    ) -> None:
        super().__init__()
        check_count("model.latent", dimensions, MOST_CHANNELS, usual=16)
        if window < 1:
            raise ValueError(f"model.density.window is {window}; it must be at least 1, e.g. 200")
        if not jitter > 0:
            raise ValueError(f"model.density.jitter is {jitter}; it must be above 0, e.g. 1e-6")
        self.dimensions, self.window, self.jitter = dimensions, window, jitter
        count = max(num_classes, 1)  # K, of Gaussians
        self.register_buffer("mean", torch.zeros(count, dimensions))
        self.register_buffer("covariance", torch.eye(dimensions).repeat(count, 1, 1))
        self.register_buffer("batches", torch.zeros(count))
        self.rows = global_batch.StepRows()

    @torch.no_grad()
    def update(self, z: Tensor, y: Tensor | None = None) -> None:
        """Add latents (B, L) with their classes (B,) int64 to the moments, detached.

        The moments change once all parts of a batch are known. Where y is None there is one Gaussian for all.
        """
        z = z.detach().float()
        rows = self.rows.complete([z] if y is None else [z, y])
        if rows is not None:
            self.add_batch(rows[0], None if y is None else rows[1])

    def add_batch(self, z: Tensor, y: Tensor | None) -> None:
        """Update the moments of each class by a whole batch of latents (B, L) with their classes (B,)."""
        index = torch.zeros(len(z), dtype=torch.int64, device=z.device) if y is None else y
        member = (torch.arange(len(self.mean), device=z.device)[:, None] == index).float()  # (K, B)
        count = member.sum(1)
        seen = (count > 0).float()
        self.batches += seen
        w = seen * (1 / self.batches.clamp(min=1)).clamp(min=1 / self.window)
        share = member / count.clamp(min=1)[:, None]
        mean = share @ z  # (K, L)
        offset = z - mean[:, None]  # (K, B, L)
        covariance = torch.einsum("kb,kbi,kbj->kij", share, offset, offset)  # (K, L, L)
        d = mean - self.mean
        self.mean += w[:, None] * d
        w = w[:, None, None]
        between = d[:, :, None] * d[:, None]
        self.covariance.copy_((1 - w) * self.covariance + w * covariance + w * (1 - w) * between)

    def sample(self, n: int, y: Tensor | None = None, *, rng: Generator | None = None) -> Tensor:
        """Draw n latents of classes y (n,) int64, or of the one Gaussian where y is None: (n, L) float32.

        z = mean + root eps, root the Cholesky factor of the covariance; the same rng gives the same latents.
        """
        eps = global_batch.normal(n, (self.dimensions,), rng=rng, device=self.mean.device)
        root = self.root()
        index = torch.zeros(n, dtype=torch.int64, device=eps.device) if y is None else y
        return self.mean[index] + (root[index] @ eps[:, :, None]).squeeze(2)

    def root(self) -> Tensor:
        """Compute the Cholesky factor of each class's covariance, (K, L, L), the jitter added.

        Where rounding left a covariance without one, as that of fewer images than dimensions, a share of the
        variance is added that is as large as the rounding of its sums can be, L eps each.
        """
        # Where the latents do not vary there is no variance to take a root of; the jitter adds some.
        scale = self.covariance.diagonal(dim1=1, dim2=2).mean(1).clamp(min=self.jitter)[:, None, None]
        unit = torch.eye(self.dimensions, device=self.mean.device)
        root, failed = torch.linalg.cholesky_ex(self.covariance + self.jitter * scale * unit)
        rounding = self.dimensions**2 * torch.finfo(torch.float32).eps
        safe, _ = torch.linalg.cholesky_ex((self.covariance + rounding * scale * unit).double())
        return torch.where(failed[:, None, None] == 0, root, safe.float())
