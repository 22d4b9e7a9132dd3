"""p(token | answer of a network): a token is one channel of a pixel, or the whole pixel."""

import math
from abc import ABC, abstractmethod
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator as Rng
from torch import Tensor

from genbench.probability.buckets import LEVELS, logistic_log_prob
from genbench.runtime import global_batch

__all__ = ["Categorical", "LogisticMixture", "PixelLaw"]


class PixelLaw(ABC):
    """The law of a token of c channels, given the P numbers that a network answers for it.

    whole_pixels: whether a token is a pixel with its c = C channels, or one channel of it, c = 1.
    levels: L; level k = 0..L-1 is x_k = 2 k / (L - 1) - 1, at L = 256 the bytes.
    ordered: whether near levels are alike, as grey levels are, so that a network may read them as numbers;
    otherwise a level is a name (of a code, of a colour), and a token has one of them.
    bound, method: what log_prob is to that of the image, see genbench.generator.Likelihood.
    """

    whole_pixels: bool
    levels: int = LEVELS
    ordered: bool = True
    bound: Literal["exact", "lower", "estimate"] = "exact"
    method: str = "chain rule"

    @abstractmethod
    def outputs(self, channels: int) -> int:
        """P for tokens of so many channels."""

    @abstractmethod
    def log_prob(self, output: Tensor, tokens: Tensor) -> Tensor:
        """log p of discrete tokens in nats, summed over them: (B, N, P), (B, N, c) -> (B,)."""

    @abstractmethod
    def sample(self, output: Tensor, *, rng: Rng | None = None) -> Tensor:
        """One token for each answer: (B, P) -> (B, c), each value one of the L levels."""

    def fit(self, tokens: Tensor) -> None:  # noqa: B027  (most laws take nothing)
        """Take what the law needs from the tokens (B, N, c) of the first training batch."""

    def snapped(self, tokens: Tensor) -> Tensor:
        """The tokens of the nearest levels: (..., c) -> (..., c) float32."""
        return self.to_value(self.to_level(tokens))

    def to_level(self, x: Tensor) -> Tensor:
        """The number k of the level nearest to each value: (...) -> (...) int64."""
        return ((x.float() + 1) * ((self.levels - 1) / 2)).round().clamp(0, self.levels - 1).long()

    def to_value(self, level: Tensor) -> Tensor:
        """The value x_k of each level: (...) -> (...) float32."""
        return level.float() / ((self.levels - 1) / 2) - 1


class Categorical(PixelLaw):
    """A probability for each level of one channel: softmax over L numbers.

    ordered: false where levels are names, such as the indices of codes.
    Source: van den Oord et al. 2016a, Section 2.2.
    """

    whole_pixels = False

    def __init__(self, levels: int = LEVELS, *, ordered: bool = True) -> None:
        if levels < 2:
            raise ValueError(
                f"pixel_law.levels is {levels} (of codes: model.codebook.size); it must be at least 2, for "
                f"bytes {LEVELS}"
            )
        self.levels, self.ordered = levels, ordered

    def outputs(self, channels: int) -> int:
        return self.levels

    def log_prob(self, output: Tensor, tokens: Tensor) -> Tensor:
        level = self.to_level(tokens).flatten(1)  # (B, N)
        return -F.cross_entropy(output.float().transpose(1, 2), level, reduction="none").sum(1)

    def sample(self, output: Tensor, *, rng: Rng | None = None) -> Tensor:
        return self.to_value(global_batch.choice(output.float().softmax(1), rng=rng))


class Mixture(NamedTuple):
    """K components, each of c logistic laws that are coupled by the channels before."""

    log_pi: Tensor
    """(..., K)."""
    mu: Tensor
    """(..., K, c), the means at channels before of 0."""
    log_scale: Tensor
    """(..., K, c)."""
    coupling: Tensor
    """(..., K, c, c), 0 but below the diagonal."""


class LogisticMixture(PixelLaw):
    """A mixture of discretised logistic laws of whole pixels, the channels coupled linearly.

    p(x) = sum_k pi_k prod_j P(bucket of x_j | mu_kj + sum_{i<j} a_kji x_i, s_kj), a = tanh(raw).
    components: K; at an answer of 0 the means stand in the middles of K even parts of [-1, 1], with scales of
    half their width, since equal components would stay equal.
    min_log_scale: lower clamp of log s; below, its gradient is 0.
    Raises ValueError unless components >= 1.
    Source: Salimans et al. 2017 (PixelCNN++), Section 2.1 and 2.2; in sampling x is rounded to its level, so
    that what is drawn has the probabilities of log_prob.
    """

    whole_pixels = True

    def __init__(self, components: int = 5, *, min_log_scale: float = -7.0) -> None:
        if components < 1:
            raise ValueError(f"pixel_law.components is {components}; it must be at least 1, e.g. 5")
        self.components, self.min_log_scale = components, min_log_scale

    def outputs(self, channels: int) -> int:
        return self.components * (1 + 2 * channels + channels * (channels - 1) // 2)

    def log_prob(self, output: Tensor, tokens: Tensor) -> Tensor:
        mixture = self.parts(output.float(), tokens.shape[-1])
        x = self.snapped(tokens).unsqueeze(-2)  # (B, N, 1, c)
        mu = mixture.mu + (mixture.coupling * x.unsqueeze(-2)).sum(-1)
        each = logistic_log_prob(x, mu, mixture.log_scale).sum(-1)  # (B, N, K)
        return torch.logsumexp(mixture.log_pi + each, dim=-1).sum(1)

    def sample(self, output: Tensor, *, rng: Rng | None = None) -> Tensor:
        mixture = self.parts(output.float(), self.channels(output.shape[-1]))
        k = global_batch.choice(mixture.log_pi.exp(), rng=rng)[:, 0]
        mu, log_scale, coupling = (part[torch.arange(len(k), device=k.device), k] for part in mixture[1:])
        x = torch.zeros_like(mu)
        for j in range(mu.shape[1]):
            u = global_batch.uniform(len(x), rng=rng, device=x.device)
            value = mu[:, j] + (coupling[:, j] * x).sum(1) + log_scale[:, j].exp() * u.logit()
            x[:, j] = self.to_value(self.to_level(value))
        return x

    def channels(self, outputs: int) -> int:
        """c of tokens that so many numbers describe."""
        return next(c for c in range(1, outputs + 1) if self.outputs(c) == outputs)

    def parts(self, output: Tensor, channels: int) -> Mixture:
        """What the numbers (..., P) mean for tokens of so many channels."""
        k, c = self.components, channels
        logits, raw_mu, raw_scale, raw = output.split((k, k * c, k * c, k * c * (c - 1) // 2), dim=-1)
        start = torch.arange(1 - k, k, 2, device=output.device) / k
        mu = raw_mu.unflatten(-1, (k, c)) + start[:, None]
        log_scale = (raw_scale.unflatten(-1, (k, c)) - math.log(k)).clamp(min=self.min_log_scale)
        coupling = output.new_zeros(*output.shape[:-1], k, c, c)
        before, after = torch.tril_indices(c, c, -1, device=output.device).flip(0)
        coupling[..., after, before] = torch.tanh(raw).unflatten(-1, (k, len(after)))
        return Mixture(logits.log_softmax(-1), mu, log_scale, coupling)
