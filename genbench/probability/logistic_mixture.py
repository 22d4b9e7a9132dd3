"""Mixtures of discretised logistic distributions of whole pixels, whose channels are coupled linearly."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from genbench.probability.buckets import logistic_log_prob
from genbench.probability.counts import MOST_LAYERS, check_count

__all__ = ["CoupledLogistics", "check_mixture", "mixture", "mixture_numbers"]

LOWEST_LOG_SCALE = -50  # narrower ones underflow


class CoupledLogistics(NamedTuple):
    """K components, each of c logistic distributions whose means depend on the channels before.

    p(x) = sum_k pi_k prod_j P(bucket of x_j | mu_kj + sum_{i<j} a_kji x_i, s_kj).
    Source: Salimans et al. 2017 (PixelCNN++), Section 2.1 and 2.2.
    """

    log_pi: Tensor
    """Logarithms of the weights of components, (..., K)."""
    mu: Tensor
    """(..., K, c), the means where the channels before are 0."""
    log_scale: Tensor
    """Logarithms of the scales, (..., K, c)."""
    coupling: Tensor
    """a, (..., K, c, c), 0 but below the diagonal."""

    def log_prob(self, x: Tensor) -> Tensor:
        """log p of pixels x (..., c) whose values are levels of a byte in [-1, 1]: (...) nats."""
        x = x.unsqueeze(-2)  # (..., 1, c)
        mu = self.mu + (self.coupling * x.unsqueeze(-2)).sum(-1)  # (..., K, c)
        each = logistic_log_prob(x, mu, self.log_scale).sum(-1)  # (..., K)
        return torch.logsumexp(self.log_pi + each, dim=-1)

    def mean(self) -> Tensor:
        """The mean pixel, (..., c): sum_k pi_k m_k, m_kj = mu_kj + sum_{i<j} a_kji m_ki, of the logistic
        distributions as they are, without the ends of the range of grey.
        """
        means = self.mu
        for _ in range(self.mu.shape[-1] - 1):  # each round is exact for one more channel
            means = self.mu + (self.coupling * means.unsqueeze(-2)).sum(-1)
        return (self.log_pi.exp().unsqueeze(-1) * means).sum(-2)


def mixture(output: Tensor, components: int, channels: int, min_log_scale: float) -> CoupledLogistics:
    """The mixture that mixture_numbers(components, channels) numbers describe: output (..., P).

    At an answer of 0 the means are the middles of K equal parts of [-1, 1], with scales of half their width,
    since equal components would remain equal. min_log_scale: lower clamp of log s; below, its gradient is 0.
    """
    k, c = components, channels
    logits, raw_mu, raw_scale, raw = output.split((k, k * c, k * c, k * c * (c - 1) // 2), dim=-1)
    start = torch.arange(1 - k, k, 2, device=output.device) / k  # (K,), the middles of K parts of [-1, 1]
    mu = raw_mu.unflatten(-1, (k, c)) + start[:, None]
    log_scale = (raw_scale.unflatten(-1, (k, c)) - math.log(k)).clamp(min=min_log_scale)
    coupling = output.new_zeros(*output.shape[:-1], k, c, c)
    before, after = torch.tril_indices(c, c, -1, device=output.device).flip(0)  # each pair before < after
    coupling[..., after, before] = torch.tanh(raw).unflatten(-1, (k, len(after)))
    return CoupledLogistics(logits.log_softmax(-1), mu, log_scale, coupling)


def mixture_numbers(components: int, channels: int) -> int:
    """P = K (1 + 2 c + c (c - 1) / 2), the count of numbers that describe K components of c channels.

    They are the logits, the means, the scales and the couplings, in this order.
    """
    return components * (1 + 2 * channels + channels * (channels - 1) // 2)


def check_mixture(group: str, components: int, min_log_scale: float) -> None:
    """Raise ValueError unless a mixture has a component, and its least scale is below the range of grey.

    group: of the configuration, with whose name the message begins.
    """
    check_count(f"{group}.components", components, MOST_LAYERS, usual=5)
    if not LOWEST_LOG_SCALE <= min_log_scale < 0:
        raise ValueError(
            f"{group}.min_log_scale is {min_log_scale}; it must be at least {LOWEST_LOG_SCALE} and "
            "below 0, the log of the range of grey, e.g. -7.0"
        )
