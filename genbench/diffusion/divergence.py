"""What the likelihood of a flow in time needs: divergences, dequantized images, the law of the noise."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["Divergence", "dequantized", "normal_nats"]


class Divergence:
    """A field and an estimate of its divergence, along random directions that stay the same at all times.

    div f = E[v . J v] for v of independent random signs (Hutchinson's estimator).
    Source: Grathwohl et al. 2019 (FFJORD), Section 3.1.1.
    """

    def __init__(self, field: Callable[[Tensor, Tensor], Tensor], x: Tensor, *, probes: int = 1) -> None:
        self.field = field
        self.probes = [
            torch.randint(0, 2, x.shape, device=x.device).to(x.dtype) * 2 - 1 for _ in range(probes)
        ]

    def __call__(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """The field (B, C, H, W) and its divergence (B,) float64 at x and time t ()."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            value = self.field(x, t)
            rows = [torch.autograd.grad(value, x, probe, retain_graph=True)[0] for probe in self.probes]
        pairs = zip(self.probes, rows, strict=True)
        return value.detach(), torch.stack([(v * row).flatten(1).double().sum(1) for v, row in pairs]).mean(0)


def dequantized(x0: Tensor) -> tuple[Tensor, float]:
    """8-bit images in [-1, 1] with uniform noise of a bucket's width, and that width."""
    width = 2 / 255
    return x0 + width * (torch.rand_like(x0) - 0.5), width


def normal_nats(x: Tensor) -> Tensor:
    """-log N(x; 0, I), (B, C, H, W) -> (B,) float64."""
    squared = x.double().square().flatten(1).sum(1)
    return (squared + x[0].numel() * math.log(2 * math.pi)) / 2
