"""From dequantized pixels in [0, 256) to the real line."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from genbench.flows.transform import Transform, per_image
from genbench.probability.buckets import LEVELS

__all__ = ["Logit", "Plain"]


class Plain(Transform):
    """z = 2 x / 256 - 1, in [-1, 1); log_det = D log(2 / 256)."""

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        log_det = x[0].numel() * math.log(2 / LEVELS)
        return 2 * x / LEVELS - 1, x.new_full((len(x),), log_det)

    def inverse(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return (z + 1) * (LEVELS / 2)


class Logit(Transform):
    """z = logit(p), p = alpha + (1 - 2 alpha) x / 256; every z decodes to at most alpha out of range.

    log_det = sum log(1 - 2 alpha) - log 256 + softplus(z) + softplus(-z). It stretches the grey levels near
    black and white, where most pixels of drawings are.
    alpha: in (0, 1/2), else ValueError; small ones stretch more, to larger |z|.
    Source: Dinh et al. 2017, Section 4.1 (alpha = 0.05);
    Papamakarios et al. 2017, Section 4.3 (1e-6 for MNIST).
    """

    takes_any = False

    def __init__(self, alpha: float = 0.05) -> None:
        super().__init__()
        if not 0 < alpha < 0.5:
            raise ValueError(f"pixels.alpha is {alpha}; it must be above 0 and below 0.5, e.g. 0.05")
        self.alpha = alpha

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        share = 1 - 2 * self.alpha
        z = torch.logit(self.alpha + share * x / LEVELS)
        # log dz/dp = -log p (1 - p) = softplus(z) + softplus(-z), which keeps its digits for any z.
        return z, per_image(math.log(share / LEVELS) + F.softplus(z) + F.softplus(-z))

    def inverse(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return (torch.sigmoid(z) - self.alpha) * (LEVELS / (1 - 2 * self.alpha))
