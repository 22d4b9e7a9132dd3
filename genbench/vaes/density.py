"""A Gaussian fitted to a stream of latents."""

import torch
from torch import Generator, Tensor, nn

__all__ = ["GaussianDensity"]


class GaussianDensity(nn.Module):
    """N(mean, covariance) with full covariance over latents of L numbers, its moments in buffers.

    The k-th batch enters with weight w = max(1 / k, 1 / window): the plain average of all batches up to
    `window` of them, later batches crowd out earlier ones (the encoder moves while it trains). With
    d = batch mean - mean: mean <- mean + w d, covariance <- (1 - w) covariance + w batch covariance
    + w (1 - w) d d^T, the moments of the mixture of the two. Before the first batch it is N(0, I).
    Source: Chan et al. 1979, Eq. 1.5, with weights.
    """

    mean: Tensor
    covariance: Tensor
    batches: Tensor

    def __init__(self, dimensions: int, *, window: int = 200, jitter: float = 1e-6) -> None:
        super().__init__()
        if dimensions < 1 or window < 1 or not jitter > 0:
            raise ValueError(
                f"model.density: dimensions={dimensions} and window={window} must be at least 1, "
                f"jitter={jitter} above 0"
            )
        self.window, self.jitter = window, jitter
        self.register_buffer("mean", torch.zeros(dimensions))
        self.register_buffer("covariance", torch.eye(dimensions))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def update(self, z: Tensor) -> None:
        """Take in a batch of latents (B, L)."""
        z = z.detach().float()
        self.batches += 1
        w = (1 / self.batches).clamp(min=1 / self.window)
        mean, d = z.mean(0), z.mean(0) - self.mean
        covariance = (z - mean).T @ (z - mean) / len(z)
        self.mean += w * d
        self.covariance.copy_((1 - w) * self.covariance + w * covariance + w * (1 - w) * torch.outer(d, d))

    def sample(self, n: int, *, rng: Generator | None = None) -> Tensor:
        """Draw n latents, (n, L)."""
        eps = torch.randn(n, len(self.mean), generator=rng, device=self.mean.device)
        # A direction that the latents never take has no variance; the jitter keeps the root defined.
        shift = self.jitter * self.covariance.diagonal().mean().clamp(min=self.jitter)
        unit = torch.eye(len(self.mean), device=self.mean.device)
        return self.mean + eps @ torch.linalg.cholesky(self.covariance + shift * unit).T
