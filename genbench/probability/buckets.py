"""Densities integrated over the buckets of 8-bit pixels.

Level k = 0..255 is x_k = k / 127.5 - 1 and owns the bucket [x_k - 1/255, x_k + 1/255]; the first and the last
bucket are open to the outside, so that the 256 probabilities sum to 1 without a normaliser.
All functions work element by element on arguments that broadcast against each other, in float32.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["LEVELS", "WIDTH", "gaussian_log_prob", "log_ndtr", "log_sinhc", "logistic_log_prob"]

LEVELS = 256  # of an 8-bit pixel
WIDTH = 2 / (LEVELS - 1)  # of a bucket, where images are in [-1, 1]
HALF = WIDTH / 2
NARROW = 0.01  # half-widths in sigmas below which differences of Phi would lose digits


def logistic_log_prob(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """log(sigmoid(b) - sigmoid(a)) of a logistic distribution, in the joint shape of the arguments.

    a, b = (x -+ 1/255 - mean) / e^log_scale are the edges of the bucket of x. Computed as
    sigmoid(b) sigmoid(-a) (1 - e^(a - b)), where nothing cancels; an open end is one factor alone.
    Source: Salimans et al. 2017 (PixelCNN++), Eq. 2.
    """
    scale = log_scale.exp()
    upper = F.logsigmoid((x - mean + HALF) / scale)
    lower = F.logsigmoid((mean - x + HALF) / scale)
    inner = upper + lower + torch.log(-torch.expm1(-2 * HALF / scale))
    return open_ends(x, inner, upper, lower)


def gaussian_log_prob(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """log(Phi(b) - Phi(a)) of a Gaussian, in the joint shape of the arguments.

    a, b = (x -+ 1/255 - mean) / sigma, sigma = e^log_scale, are the edges of the bucket of x.
    Buckets wider than NARROW: both edges are mirrored into the left tail, where log Phi retains all digits.
    An open end's edge takes the place of the one nearer to the mean, so that log Phi is computed twice, not
    four times: it is most of the work (5 percent of a step of a small VAE).
    Narrower ones: log(2 h phi(m) sinh(m h) / (m h)) - h^2 / 6, for middle m, half-width h, to h^2 / 3.
    Source: Ho et al. 2020, Eq. 13.
    """
    sigma = log_scale.exp()
    m, h = (x - mean) / sigma, HALF / sigma
    right, left = log_ndtr(open_ends(x, h - m.abs(), m + h, h - m)), log_ndtr(-h - m.abs())
    # log(e^right - e^left); where both round to the same number the clamp bounds log(0) and its gradient.
    wide = right + torch.log(-torch.expm1((left - right).clamp(max=-1e-6)))
    narrow = log_sinhc(m * h) + (2 * h).log() - h.square() / 6 - (m.square() + math.log(2 * math.pi)) / 2
    return open_ends(x, torch.where(h < NARROW, narrow, wide), right, right)


def open_ends(x: Tensor, inner: Tensor, upper: Tensor, lower: Tensor) -> Tensor:
    """Select by the bucket of x: `upper` (of its upper edge) at level 0, `lower` at 255, else `inner`."""
    return torch.where(x < HALF - 1, upper, torch.where(x > 1 - HALF, lower, inner))


def log_ndtr(x: Tensor) -> Tensor:
    """log Phi(x) with exact gradients in the far left tail, where those of torch.special overflow.

    log Phi(x) = log(erfcx(u) / 2) - u^2, u = -x / sqrt 2; beyond x = 5.6 it is 0 to float32. Any shape.
    """
    # erfcx(u) grows as 2 e^(u^2) for negative u, and would overflow below -9.
    u = (-x / math.sqrt(2)).clamp(min=-4)
    return torch.log(torch.special.erfcx(u) / 2) - u.square()


def log_sinhc(c: Tensor) -> Tensor:
    """log(sinh(c) / c) = |c| + log(1 - e^(-2 |c|)) - log(2 |c|) without overflow, 0 at c = 0. Any shape."""
    c = c.abs().clamp(min=1e-3)  # below it the answer is 0 to float32, and the formula is 0 / 0
    return c + torch.log(-torch.expm1(-2 * c)) - torch.log(2 * c)
