"""A family with an exact likelihood: pixels that are independent Gaussians."""

from typing import Literal

import torch
from torch import Tensor, nn

from genbench.generator import Generator, Likelihood, Loss, Rng
from genbench.probability.buckets import gaussian_log_prob

__all__ = ["Pixels"]


class Pixels(Generator, Likelihood):
    """p(x) = prod_i (Phi(b_i) - Phi(a_i)), a_i and b_i the edges of the bucket of the 8-bit pixel x_i.

    shape: (C, H, W); num_classes: a mean and a scale for each class, 0 for unlabelled images. log_scale: the
    logarithm of the standard deviation of each pixel before training, with images in [-1, 1].
    """

    bound: Literal["exact", "lower", "estimate"] = "exact"
    method = "independent pixels"

    def __init__(self, shape: tuple[int, int, int], num_classes: int = 0, *, log_scale: float = -1.0) -> None:
        super().__init__(shape, num_classes)
        if not -10 <= log_scale <= 2:
            raise ValueError(f"model.log_scale is {log_scale}; it must be from -10 to 2")
        rows = max(num_classes, 1)
        self.mean = nn.Parameter(torch.zeros(rows, *self.shape))
        self.log_scale = nn.Parameter(torch.full((rows, *self.shape), float(log_scale)))

    def rows(self, n: int, y: Tensor | None) -> Tensor:
        """Return the row of the parameters that each of n images is of: its label, or 0; (n,) int64."""
        return torch.zeros(n, dtype=torch.int64, device=self.mean.device) if y is None else y

    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> Loss:
        """Return the mean negative log-likelihood of images x (B, C, H, W) in nats per dimension."""
        self.check_phase(phase)
        nll = -self.log_prob(x, y).mean() / x[0].numel()
        return Loss(nll, {"nll": nll.detach()})

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Return log p(x | y) of 8-bit images x (B, C, H, W) in [-1, 1]: (B,) nats, exact."""
        self.check_batch(x, y)
        row = self.rows(len(x), y)
        return gaussian_log_prob(x, self.mean[row], self.log_scale[row]).flatten(1).sum(1)

    @torch.no_grad()
    def sample(self, n: int, y: Tensor | None = None, *, rng: Rng | None = None) -> Tensor:
        """Draw n images (n, C, H, W): mean + scale * noise of the row of each label."""
        self.check_labels(y, n)
        row = self.rows(n, y)
        noise = torch.randn(n, *self.shape, generator=rng, device=self.mean.device)
        return self.mean[row] + self.log_scale[row].exp() * noise
