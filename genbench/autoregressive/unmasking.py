"""Samplers of masked models: which tokens are drawn in each step, the choices of the group unmasking."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from genbench.autoregressive.masking import Masking, ranks
from genbench.probability.counts import MOST_PASSES, check_count
from genbench.runtime import global_batch

__all__ = ["Ancestral", "Confidence", "Proposal", "Unmasking"]


class Proposal(NamedTuple):
    """The tokens at time t and values proposed for the masked ones, by which a sampler decides."""

    masked: Tensor
    """The tokens that are masked: (B, N) bool."""
    total: Tensor
    """Number of tokens that were masked at the start, of each image: (B,) int64."""
    log_p: Tensor
    """log p of the value proposed for each token: (B, N) float32."""


class Unmasking(ABC):
    """A way from masked tokens to an image in `steps` steps, each with one pass of the network; abstract.

    In each step values are proposed for all masked tokens, independently of each other, and the sampler
    chooses which of them remain masked; a token that is drawn never changes again.
    steps: None is one for each token. masking: alpha(t), the share of tokens that are drawn at time t.
    Raises ValueError on a number of steps that cannot be.
    """

    def __init__(self, masking: Masking, steps: int | None = None) -> None:
        if steps is not None:
            check_count("unmasking.steps", steps, MOST_PASSES, usual=16)
        self.masking, self.steps = masking, steps

    def times(self, length: int) -> list[float]:
        """Return 1 = t_0 > .. > t_K = 0, evenly spaced, for images of `length` tokens: K + 1 numbers."""
        steps = self.steps or length
        return [1 - k / steps for k in range(steps)] + [0.0]

    def check(self, length: int) -> None:  # noqa: B027  (most take any number)
        """Raise ValueError on a number of steps that does not suit `length` tokens; by default any does."""

    @abstractmethod
    def remain(self, proposal: Proposal, t: float, s: float, rng: Generator | None) -> Tensor:
        """Choose which tokens remain masked after the step from time t to s < t: (B, N) bool; none at s = 0.

        Tokens that are not masked may be in it; they play no part. rng None is torch's default generator.
        """

    def alpha(self, t: float) -> float:
        """alpha(t) of the masking as a number."""
        return float(self.masking.alpha(torch.tensor(t, dtype=torch.float64)))


class Ancestral(Unmasking):
    """Each masked token is drawn with probability (alpha_s - alpha_t) / (1 - alpha_t), independently.

    These are draws from the reverse process, which reach the model's own distribution as steps grow; tokens
    of one step do not know of each other.
    Source: Sahoo et al. 2024 (MDLM), Eq. 7; Shi et al. 2024 (MD4), Algorithm 2.
    """

    def remain(self, proposal: Proposal, t: float, s: float, rng: Generator | None) -> Tensor:
        before, after = self.alpha(t), self.alpha(s)
        drawn = (after - before) / (1 - before)
        masked = proposal.masked
        return global_batch.uniform(len(masked), masked.shape[1:], rng=rng, device=masked.device) >= drawn


class Confidence(Unmasking):
    """The tokens whose proposals are the most probable are drawn, a fixed number of them in each step.

    1 - alpha_s of the tokens remain masked, those with the lowest log p + temperature * s * Gumbel noise. A
    temperature of 0 is greedy, which loses diversity; a very large one draws tokens in random order, which is
    the model's own distribution where each step draws a single one.
    Raises ValueError on a temperature below 0; `check` on more steps than tokens, as every step draws one.
    Source: Chang et al. 2022 (MaskGIT), Section 3.2; the noise as in the authors' code.
    """

    def __init__(self, masking: Masking, steps: int | None = None, *, temperature: float = 4.5) -> None:
        super().__init__(masking, steps)
        if not temperature >= 0:
            raise ValueError(f"unmasking.temperature is {temperature}; it must be at least 0, e.g. 4.5")
        self.temperature = temperature

    def check(self, length: int) -> None:
        if self.steps is not None and self.steps > length:
            raise ValueError(
                f"unmasking.steps is {self.steps}, and there are {length} tokens, of which each step draws "
                f"one at least: set it to {length} or fewer, or to null for {length}"
            )

    def remain(self, proposal: Proposal, t: float, s: float, rng: Generator | None) -> Tensor:
        masked, total, log_p = proposal
        left = (total.double() * (1 - self.alpha(s)) + 1e-6).floor().long()
        # At least one is drawn in a step, and one remains until the last.
        left = torch.minimum(left.clamp(min=1 if s else 0), masked.sum(1) - 1)
        u = global_batch.uniform(len(masked), masked.shape[1:], rng=rng, device=masked.device)
        gumbel = -torch.log(-torch.log(u))
        # Without noise where it counts for nothing: at u = 0 it is -inf, and 0 times that is nan.
        noisy = log_p + self.temperature * s * gumbel if self.temperature * s else log_p
        return ranks(noisy.masked_fill(~masked, torch.inf)) < left[:, None]
