"""p(token | answer of a network), the choices of the group pixel_law; a token is a pixel or a channel."""

from abc import ABC, abstractmethod
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Generator as Rng
from torch import Tensor

from genbench.probability.buckets import LEVELS
from genbench.probability.counts import MOST_TOKENS, check_count
from genbench.probability.logistic_mixture import CoupledLogistics, check_mixture, mixture, mixture_numbers
from genbench.runtime import global_batch

__all__ = ["Categorical", "LogisticMixture", "PixelLaw", "softmax_log_prob"]


class PixelLaw(ABC):
    """The distribution of a token of c channels, given the P numbers that a network answers for it.

    whole_pixels: true where a token is a pixel with its c = C channels, false where it is one channel, c = 1.
    levels: L; level k = 0..L-1 is x_k = 2 k / (L - 1) - 1, at L = 256 the bytes.
    softmax: true where the P numbers are the logits of a softmax over L levels.
    ordered: true where levels are numbers, as grey levels are, which a network may read as they are; false
    where a level is a name (of a code, of a colour), of which a token has one.
    bound, method: how log_prob relates to that of the image, see genbench.generator.Likelihood.
    """

    whole_pixels: bool
    softmax: bool = True
    levels: int = LEVELS
    ordered: bool = True
    bound: Literal["exact", "lower", "estimate"] = "exact"
    method: str = "chain rule"

    @abstractmethod
    def outputs(self, channels: int) -> int:
        """P, the count of numbers that describe a token of `channels` channels.

        A network's last layer has so many outputs for each token.
        """

    @abstractmethod
    def log_prob(self, output: Tensor, tokens: Tensor) -> Tensor:
        """log p of discrete tokens in nats, summed over the N tokens.

        output (B, N, P), tokens (B, N, c) in [-1, 1], rounded to the nearest levels -> (B,) float32.
        """

    @abstractmethod
    def sample(self, output: Tensor, *, rng: Rng | None = None) -> Tensor:
        """One token drawn for each answer: (B, P) -> (B, c) float32, each value one of the L levels.

        The same rng gives the same tokens; None is torch's default generator.
        """

    def fit(self, tokens: Tensor) -> None:  # noqa: B027  (most have nothing to fit)
        """Set what is fitted to data, such as a palette; by default nothing is.

        tokens (B, N, c): those of the first training batch.
        """

    def snapped(self, tokens: Tensor) -> Tensor:
        """The tokens rounded to the nearest levels: (..., c) -> (..., c) float32."""
        return self.to_value(self.to_level(tokens))

    def to_level(self, x: Tensor) -> Tensor:
        """The number k = 0..L-1 of the level nearest to each value in [-1, 1]: (...) -> (...) int64."""
        return ((x.float() + 1) * ((self.levels - 1) / 2)).round().clamp(0, self.levels - 1).long()

    def to_value(self, level: Tensor) -> Tensor:
        """The value x_k in [-1, 1] of each level k: (...) int64 -> (...) float32."""
        return level.float() / ((self.levels - 1) / 2) - 1


class Categorical(PixelLaw):
    """A probability for each level of one channel: softmax over P = L numbers.

    ordered: false where levels are names, such as the indices of codes. Raises ValueError unless levels >= 2.
    Source: van den Oord et al. 2016a, Section 2.2.
    """

    whole_pixels = False

    def __init__(self, levels: int = LEVELS, *, ordered: bool = True) -> None:
        check_count("pixel_law.levels", levels, MOST_TOKENS, least=2, usual=LEVELS)
        self.levels, self.ordered = levels, ordered

    def outputs(self, channels: int) -> int:
        return self.levels

    def log_prob(self, output: Tensor, tokens: Tensor) -> Tensor:
        return softmax_log_prob(output, self.to_level(tokens).flatten(1))

    def sample(self, output: Tensor, *, rng: Rng | None = None) -> Tensor:
        return self.to_value(global_batch.choice(output.float().softmax(1), rng=rng))


class LogisticMixture(PixelLaw):
    """A mixture of discretised logistic distributions of whole pixels, the channels coupled linearly.

    p(x) = sum_k pi_k prod_j P(bucket of x_j | mu_kj + sum_{i<j} a_kji x_i, s_kj), a = tanh(raw).
    components: K; at an answer of 0 the means are the middles of K equal parts of [-1, 1], with scales of
    half their width, since equal components would remain equal.
    min_log_scale: lower clamp of log s; below, its gradient is 0.
    Raises ValueError unless components >= 1.
    Source: Salimans et al. 2017 (PixelCNN++), Section 2.1 and 2.2; in sampling x is rounded to its level, so
    that samples have the probabilities of log_prob.
    """

    whole_pixels = True
    softmax = False

    def __init__(self, components: int = 5, *, min_log_scale: float = -7.0) -> None:
        check_mixture("pixel_law", components, min_log_scale)
        self.components, self.min_log_scale = components, min_log_scale

    def outputs(self, channels: int) -> int:
        return mixture_numbers(self.components, channels)

    def log_prob(self, output: Tensor, tokens: Tensor) -> Tensor:
        return self.parts(output, tokens.shape[-1]).log_prob(self.snapped(tokens)).sum(1)

    def sample(self, output: Tensor, *, rng: Rng | None = None) -> Tensor:
        logistics = self.parts(output, self.channels(output.shape[-1]))
        k = global_batch.choice(logistics.log_pi.exp(), rng=rng)[:, 0]  # (B,), one component for all channels
        mu, log_scale, coupling = (part[torch.arange(len(k), device=k.device), k] for part in logistics[1:])
        x = torch.zeros_like(mu)
        for j in range(mu.shape[1]):
            u = global_batch.uniform(len(x), rng=rng, device=x.device)
            # The logit of a uniform number is a draw from the standard logistic distribution.
            value = mu[:, j] + (coupling[:, j] * x).sum(1) + log_scale[:, j].exp() * u.logit()
            x[:, j] = self.to_value(self.to_level(value))
        return x

    def channels(self, outputs: int) -> int:
        """The channels c of tokens that P = `outputs` numbers describe, the inverse of `outputs`."""
        return next(c for c in range(1, outputs + 1) if self.outputs(c) == outputs)

    def parts(self, output: Tensor, channels: int) -> CoupledLogistics:
        """The mixture that P = outputs(channels) numbers (..., P) describe for tokens of so many channels."""
        return mixture(output.float(), self.components, channels, self.min_log_scale)


def softmax_log_prob(output: Tensor, level: Tensor) -> Tensor:
    """log p of levels under a softmax of the answers, summed over tokens, in nats and float32.

    output (B, N, L), level (B, N) int64 in 0..L-1 -> (B,).
    """
    # By rows: over an axis that is not the last torch's kernel takes several times as long.
    terms = F.cross_entropy(output.float().flatten(0, 1), level.flatten(), reduction="none")
    return -terms.view_as(level).sum(1)
