"""Masking: how the tokens of an image disappear between t = 0 and t = 1, and random orders of them."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Generator, Tensor

from genbench.runtime import global_batch

__all__ = ["CosineMasking", "LinearMasking", "Masking", "random_order", "ranks"]


class Masking(ABC):
    """alpha(t), the probability that a token is not masked yet at time t; it falls from alpha(0) = 1 to
    alpha(1) = 0.

    Tokens are masked independently of each other. The bound on the likelihood, and so the training, is the
    same for every alpha; samplers step along it. Abstract.
    Source: Shi et al. 2024 (MD4), Section 2.
    """

    @abstractmethod
    def alpha(self, t: Tensor) -> Tensor:
        """The probability that a token is not masked at times t in [0, 1]: (...) -> (...) of its dtype."""


class LinearMasking(Masking):
    """alpha = 1 - t: equal steps in time mask equal shares of the image.

    Source: Sahoo et al. 2024 (MDLM), Section 5, whose log-linear schedule it is.
    """

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t


class CosineMasking(Masking):
    """alpha = 1 - cos(pi (1 - t) / 2): a sampler draws few tokens in its first steps and many in its last.

    Source: Chang et al. 2022 (MaskGIT), Section 3.3; Shi et al. 2024 (MD4), Table 1.
    """

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - torch.cos((1 - t) * (math.pi / 2))


def random_order(n: int, length: int, device: torch.device, rng: Generator | None = None) -> Tensor:
    """Draw an order of the N = `length` tokens for each of n images, each with equal probability.

    (n, N) int64, the place 0..N-1 of each token: those below m are a random set of m tokens. rng None is
    torch's default generator.
    """
    return ranks(global_batch.uniform(n, (length,), rng=rng, device=device))


def ranks(values: Tensor) -> Tensor:
    """The place of each value in the rising order of its row: (B, N) -> (B, N) int64 in 0..N-1."""
    return values.argsort(1).argsort(1)
