"""A way from data to noise, and what a network has to learn to go back."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

import torch
from torch import Generator, Tensor, nn

__all__ = ["Known", "LikelihoodProcess", "Losses", "Process", "averaged"]


class Losses(NamedTuple):
    """What a batch costs."""

    total: Tensor
    """() float32, what is differentiated."""
    terms: dict[str, Tensor]
    """Its parts, () each, under stable names."""


def averaged(terms: dict[str, Tensor], weight: Tensor) -> Losses:
    """Losses of terms (B,) with importance weights (B,)."""
    means = {name: (weight * term).mean() for name, term in terms.items()}
    return Losses(sum(means.values()), {name: mean.detach() for name, mean in means.items()})


class Known(NamedTuple):
    """The part of an image that is given: x0 where mask is True; both (B, C, H, W)."""

    x0: Tensor
    mask: Tensor

    def within(self, estimate: Tensor) -> Tensor:
        """An estimate of x0 (B, C, H, W) with what is given put in: it is known at every level of noise."""
        return torch.where(self.mask, self.x0, estimate)


class Process(nn.Module, ABC):
    """Time t in [0, 1]: 0 is data, 1 is noise. Images are (B, C, H, W), labels (B,) or None.

    Networks answer `network(xt, t (B,), y)`, and belong to the model, not to the process.
    """

    phases: tuple[str, ...] = ("net",)
    """What is trained: the network, and whatever guides its samples."""
    shares: Mapping[str, float] = MappingProxyType({})
    """Of the budget, for phases that follow one another, all of the network; none: a step has all phases."""

    @abstractmethod
    def losses(self, network: nn.Module, x0: Tensor, y: Tensor | None, *, phase: str) -> Losses:
        """The loss of a batch in one phase; randomness is torch's default generator."""

    def adopt(self, network: nn.Module) -> None:
        """Make room for what is remembered of the network between phases; most remember nothing."""

    def fit(self, network: nn.Module, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        """Find what a trained network leaves to be found in closed form; most processes have nothing.

        batches: training images (B, C, H, W) with their labels; randomness is torch's default generator.
        """

    def begin_step(self, spent: float) -> None:
        """Called before each training step with the share of the budget that is spent (0 to 1).

        By default it does nothing; consistency training derives its step sizes from the share.
        """

    @abstractmethod
    def check_network(self, network: nn.Module, x0: Tensor, y: Tensor | None) -> None:
        """Raise ValueError unless the network answers as the process needs, shown by one answer at x0."""

    @abstractmethod
    def noise(self, n: int, shape: tuple[int, int, int], rng: Generator | None) -> Tensor:
        """States at t = 1: (n, C, H, W)."""

    @abstractmethod
    def noised(self, x0: Tensor, start: float, rng: Generator | None) -> Tensor:
        """States from which a path with this `start` sets out, given the images."""

    @abstractmethod
    def path(
        self,
        network: nn.Module,
        x: Tensor,
        y: Tensor | None,
        rng: Generator | None,
        *,
        start: float = 1.0,
        known: Known | None = None,
    ) -> Iterator[Tensor]:
        """The states after each step from x at t = start to samples at t = 0."""

    @abstractmethod
    def forward_states(self, x0: Tensor, rng: Generator | None, *, frames: int) -> Tensor:
        """One batch on its way to noise, the first state x0 itself: (frames, B, C, H, W)."""

    @abstractmethod
    def noise_levels(self) -> tuple[Tensor, Tensor]:
        """Some hundred times in [0, 1], and what is left of x0 there: (n,) float64 each."""

    def check_unbounded(self) -> None:
        """Raise ValueError where data have to be 8-bit images in [-1, 1]; by default they need not."""

    def networks(self) -> list[nn.Module]:
        """Networks beside the model's that sampling calls."""
        return []


class LikelihoodProcess(Process):
    """A process that also tells how likely its way back finds an image."""

    bound: Literal["lower", "estimate"]
    """What kind of number log_prob is."""
    method: str
    """How log_prob is found, as tables say it."""
    discretized: bool = False
    """True where log_prob integrates in steps, whose error falls with their number."""

    @abstractmethod
    def log_prob(self, network: nn.Module, x0: Tensor, y: Tensor | None) -> Tensor:
        """log p(x0 | y) in nats, (B,); randomness is torch's default generator."""

    def refined_log_prob(self, network: nn.Module, x0: Tensor, y: Tensor | None) -> Tensor:
        """log_prob as finer steps have it, (B,): from the same state of the generator with the same draws."""
        return self.log_prob(network, x0, y)

    def bound_terms(self, network: nn.Module, x0: Tensor, y: Tensor | None) -> Iterator[Tensor]:
        """L_0, L_1, .., L_T, whose sum bounds -log p(x0): (B,) nats each.

        Raises ValueError where no bound is a sum over steps.
        """
        raise ValueError(f"{type(self).__name__} has no bound that is a sum over steps: model=ddpm has one")
