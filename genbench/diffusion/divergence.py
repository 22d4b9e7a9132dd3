"""What the likelihood of a flow in time needs: divergences, dequantized images, the law of the noise."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["Divergence", "dequantized", "flow_to_noise", "normal_nats"]


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


def flow_to_noise(field: Divergence, x: Tensor, *, steps: int) -> tuple[Tensor, Tensor]:
    """Where dx/dt = -field(x, t) takes x (B, C, H, W) from t = 0 to 1, and int div field dt, (B,) nats.

    By the Runge-Kutta method of order 4 in u, t = (e^(a u^2) - 1) / (e^a - 1), in equal steps of u of four
    evaluations each. The divergence bends where t is about the data's own noise, for which steps are short
    at small t; as dt/du = 0 at t = 0, the velocity there, which no path defines, has no weight. With the
    exact velocity of N(m, s^2), s from 1 to 0.0023, 16 steps at a = 4 are off by at most 0.0020 bits a
    dimension (with t = u^4 by 0.0064, 25 equal steps of Heun's method by 2.6).
    """
    a = 4.0
    nodes = torch.linspace(0, 1, 2 * steps + 1, dtype=torch.float64)  # both ends and the middle of each step
    times = (torch.expm1(a * nodes**2) / math.expm1(a)).to(x.device)
    rates = (2 * a * nodes * torch.exp(a * nodes**2) / math.expm1(a) / steps).tolist()
    volume = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for k in range(0, 2 * steps, 2):
        moved, total, total_trace = x, torch.zeros_like(x), torch.zeros_like(volume)
        for node, weight, reach in ((k, 1, 0.5), (k + 1, 2, 0.5), (k + 1, 2, 1.0), (k + 2, 1, 0.0)):
            velocity, trace = field(moved, times[node])
            total += weight / 6 * rates[node] * velocity
            total_trace += weight / 6 * rates[node] * trace
            moved = x - reach * rates[node] * velocity
        x, volume = x - total, volume + total_trace
    return x, volume


def dequantized(x0: Tensor) -> tuple[Tensor, float]:
    """8-bit images in [-1, 1] with uniform noise of a bucket's width, and that width."""
    width = 2 / 255
    return x0 + width * (torch.rand_like(x0) - 0.5), width


def normal_nats(x: Tensor) -> Tensor:
    """-log N(x; 0, I), (B, C, H, W) -> (B,) float64."""
    squared = x.double().square().flatten(1).sum(1)
    return (squared + x[0].numel() * math.log(2 * math.pi)) / 2
