"""The distribution of a flow's latents: independent numbers of mean 0."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Generator, Tensor

from genbench.flows.transform import per_image
from genbench.probability.counts import check_count
from genbench.runtime import global_batch

__all__ = ["Base", "StandardNormal", "StudentT"]

MOST_DEGREES = 10_000  # more is the normal distribution but for rounding: base=normal


class Base(ABC):
    """A density p(z) over vectors of latents, all numbers independent and of the same distribution.

    A flow maps images to z; its likelihood is that of z times the change of volume.
    """

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) of each row, summed over its numbers: (B, ...) -> (B,) nats.

        In the dtype of z, so that tests can hold it to float64; gradients pass to z.
        """

    @abstractmethod
    def sample(self, shape: tuple[int, ...], *, rng: Generator | None, device: torch.device) -> Tensor:
        """Draw latents of a shape (B, ...) on a device, float32.

        The same rng gives the same latents, however the batch is divided into parts or over processes; None
        is torch's default generator.
        """


class StandardNormal(Base):
    """N(0, I), log p(z) = -(z^2 + log 2 pi) / 2 for each number."""

    def log_prob(self, z: Tensor) -> Tensor:
        return -0.5 * per_image(z.square() + math.log(2 * math.pi))

    def sample(self, shape: tuple[int, ...], *, rng: Generator | None, device: torch.device) -> Tensor:
        return global_batch.normal(shape[0], shape[1:], rng=rng, device=device)


class StudentT(Base):
    """Student's t: log p(z) = log Gamma((n+1)/2) / (Gamma(n/2) sqrt(n pi)) - (n+1)/2 log(1 + z^2 / n).

    Its tails are heavy: an image unlike all training images costs bits that grow with log |z|, not with z^2.
    degrees: n, at least 1, else ValueError; the normal distribution is the limit of many.
    Apart from the source, whose t is one distribution of the whole vector: each number has its own.
    Source: Alexanderson & Henter 2020 (Studentising flows), Section 3.
    """

    def __init__(self, degrees: int = 10) -> None:
        check_count("base.degrees", degrees, MOST_DEGREES, usual=10)
        self.degrees = degrees
        n = degrees
        self.log_volume = math.lgamma((n + 1) / 2) - math.lgamma(n / 2) - 0.5 * math.log(n * math.pi)

    def log_prob(self, z: Tensor) -> Tensor:
        n = self.degrees
        return per_image(self.log_volume - (n + 1) / 2 * torch.log1p(z.square() / n))

    def sample(self, shape: tuple[int, ...], *, rng: Generator | None, device: torch.device) -> Tensor:
        # Over the root of a mean of n squared normals, since torch's chi-squared takes no generator.
        def draw(n: int) -> Tensor:
            numbers = torch.randn(self.degrees + 1, n, *shape[1:], generator=rng, device=device)
            return numbers[0] / numbers[1:].square().mean(0).sqrt()

        return global_batch.rows(shape[0], draw)
