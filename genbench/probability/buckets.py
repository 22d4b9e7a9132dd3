"""Densities cut into the buckets of 8-bit pixels.

Level k = 0..255 is x_k = k / 127.5 - 1 and owns the bucket [x_k - 1/255, x_k + 1/255]; the first and the last
bucket are open to the outside, so that the 256 probabilities sum to 1 without a normaliser.
All functions work element by element on arguments that broadcast against each other, in float32.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["LEVELS", "gaussian_log_prob", "log_ndtr", "log_sinhc", "logistic_log_prob"]

LEVELS = 256
HALF = 1 / 255  # half the width of a bucket
NARROW = 0.01  # half-widths in sigmas below which differences of Phi would lose digits


def logistic_log_prob(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """log(sigmoid(b) - sigmoid(a)), the bucket's edges in units of the scale, in the arguments' joint shape.

    sigmoid(b) - sigmoid(a) = sigmoid(b) sigmoid(-a) (1 - e^(a - b)), where nothing cancels: an open end is
    one factor alone.
    """
    scale = log_scale.exp()
    upper = F.logsigmoid((x - mean + HALF) / scale)
    lower = F.logsigmoid((mean - x + HALF) / scale)
    inner = upper + lower + torch.log(-torch.expm1(-2 * HALF / scale))
    return open_ends(x, inner, upper, lower)


def gaussian_log_prob(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """log(Phi(b) - Phi(a)), the bucket's edges in units of sigma = e^log_scale, in the joint shape.

    Buckets wider than NARROW: both edges are mirrored into the left tail, where log Phi keeps all digits.
    An open end's edge takes the place of the one nearer to the mean, so that log Phi is found twice, not four
    times: most of the work (5 percent of a step of a small VAE).
    Narrower ones: log(2 h phi(m) sinh(m h) / (m h)) - h^2 / 6, for middle m, half-width h, to h^2 / 3.
    """
    sigma = log_scale.exp()
    m, h = (x - mean) / sigma, HALF / sigma
    right, left = log_ndtr(open_ends(x, h - m.abs(), m + h, h - m)), log_ndtr(-h - m.abs())
    wide = right + torch.log(-torch.expm1((left - right).clamp(max=-1e-6)))
    narrow = log_sinhc(m * h) + (2 * h).log() - h.square() / 6 - (m.square() + math.log(2 * math.pi)) / 2
    return open_ends(x, torch.where(h < NARROW, narrow, wide), right, right)


def open_ends(x: Tensor, inner: Tensor, upper: Tensor, lower: Tensor) -> Tensor:
    """What belongs to the bucket of x: `upper`, its upper edge's, at level 0; `lower` at 255; or `inner`."""
    return torch.where(x < HALF - 1, upper, torch.where(x > 1 - HALF, lower, inner))


def log_ndtr(x: Tensor) -> Tensor:
    """log Phi(x) with exact gradients in the far left tail, where torch.special's overflow; (...) -> (...).

    log Phi(x) = log(erfcx(u) / 2) - u^2, u = -x / sqrt 2; beyond x = 5.6 it is 0 to float32.
    """
    u = (-x / math.sqrt(2)).clamp(min=-4)
    return torch.log(torch.special.erfcx(u) / 2) - u.square()


def log_sinhc(c: Tensor) -> Tensor:
    """log(sinh(c) / c) without overflow, 0 at c = 0 (below 1e-3 it is 0 to float32); (...) -> (...)."""
    c = c.abs().clamp(min=1e-3)
    return c + torch.log(-torch.expm1(-2 * c)) - torch.log(2 * c)
