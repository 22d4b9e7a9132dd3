"""A Gaussian fitted to a stream of latents."""

import torch
from torch import Generator, Tensor, nn

from genbench.runtime import global_batch

__all__ = ["GaussianDensity"]


class GaussianDensity(nn.Module):
    """N(mean, covariance) with full covariance over latents of L numbers, one for each class, in buffers.

    The k-th batch of a class enters with weight w = max(1 / k, 1 / window): the plain average of all batches
    up to `window` of them, later batches crowd out earlier ones (the encoder moves while it trains). With
    d = batch mean - mean: mean <- mean + w d, covariance <- (1 - w) covariance + w batch covariance
    + w (1 - w) d d^T, the moments of the mixture of the two. Before the first batch it is N(0, I).
    num_classes: 0 is one law for all.
    Source: Chan et al. 1979, Eq. 1.5, with weights.
    """

    mean: Tensor
    covariance: Tensor
    batches: Tensor

    def __init__(
        self, dimensions: int, num_classes: int = 0, *, window: int = 200, jitter: float = 1e-6
    ) -> None:
        super().__init__()
        if dimensions < 1 or window < 1 or not jitter > 0:
            raise ValueError(
                f"model.density: dimensions={dimensions} and window={window} must be at least 1, "
                f"jitter={jitter} above 0"
            )
        self.dimensions, self.window, self.jitter = dimensions, window, jitter
        laws = max(num_classes, 1)
        self.register_buffer("mean", torch.zeros(laws, dimensions))
        self.register_buffer("covariance", torch.eye(dimensions).repeat(laws, 1, 1))
        self.register_buffer("batches", torch.zeros(laws))
        self.rows = global_batch.StepRows()

    @torch.no_grad()
    def update(self, z: Tensor, y: Tensor | None = None) -> None:
        """Take in latents (B, L) with their classes (B,), once all parts of their batch are known."""
        z = z.detach().float()
        rows = self.rows.complete([z] if y is None else [z, y])
        if rows is not None:
            self.take_in(rows[0], None if y is None else rows[1])

    def take_in(self, z: Tensor, y: Tensor | None) -> None:
        """Move the moments of each class by a whole batch of latents (B, L) with their classes (B,)."""
        member = self.members(z, y)  # (K, B)
        count = member.sum(1)
        seen = (count > 0).float()
        self.batches += seen
        w = seen * (1 / self.batches.clamp(min=1)).clamp(min=1 / self.window)
        share = member / count.clamp(min=1)[:, None]
        mean = share @ z
        offset = z - mean[:, None]  # (K, B, L)
        covariance = torch.einsum("kb,kbi,kbj->kij", share, offset, offset)
        d = mean - self.mean
        self.mean += w[:, None] * d
        w = w[:, None, None]
        spread = d[:, :, None] * d[:, None]
        self.covariance.copy_((1 - w) * self.covariance + w * covariance + w * (1 - w) * spread)

    def members(self, z: Tensor, y: Tensor | None) -> Tensor:
        """Which latents belong to which law: (K, B) of zeros and ones."""
        index = torch.zeros(len(z), dtype=torch.int64, device=z.device) if y is None else y
        return (torch.arange(len(self.mean), device=z.device)[:, None] == index).float()

    def sample(self, n: int, y: Tensor | None = None, *, rng: Generator | None = None) -> Tensor:
        """Draw n latents, of classes y (n,): (n, L)."""
        eps = global_batch.normal(n, (self.dimensions,), rng=rng, device=self.mean.device)
        # A direction that the latents never take has no variance; the jitter keeps the root defined.
        scale = self.covariance.diagonal(dim1=1, dim2=2).mean(1).clamp(min=self.jitter)
        unit = torch.eye(self.dimensions, device=self.mean.device)
        root = torch.linalg.cholesky(self.covariance + self.jitter * scale[:, None, None] * unit)
        law = torch.zeros(n, dtype=torch.int64, device=eps.device) if y is None else y
        return self.mean[law] + (root[law] @ eps[:, :, None]).squeeze(2)
