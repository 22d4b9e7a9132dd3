"""The contract of a process: a way from data to noise, and the way back that a network learns."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

import torch
from torch import Generator, Tensor, nn

from genbench.probability.loss import Loss
from genbench.text.condition import Conditioning

__all__ = ["Known", "LikelihoodProcess", "Process"]


class Known(NamedTuple):
    """The given part of images that are to be completed: x0 where mask is True; both (B, C, H, W).

    The mask is bool; what x0 holds elsewhere is never read.
    """

    x0: Tensor
    mask: Tensor

    def within(self, estimate: Tensor) -> Tensor:
        """Replace the given part of an estimate of x0 by its true values: (B, C, H, W) -> (B, C, H, W).

        Done at every level of noise, since the given pixels are known at each of them.
        """
        return torch.where(self.mask, self.x0, estimate)


class Process(nn.Module, ABC):
    """A way from data at t = 0 to noise at t = 1, and its reversal by a network; abstract.

    Images are (B, C, H, W), y is labels (B,) int64, B encoded texts or None. The network,
    `network(xt, t (B,), y)`, belongs to the model, which passes it to each method. A model of any process is
    `families.diffusion.Denoising`.
    """

    phases: tuple[str, ...] = ("net",)
    """The training phases: "net" trains the network, others train what guides its samples."""
    shares: Mapping[str, float] = MappingProxyType({})
    """Phase -> its share of the budget, for phases of the network that follow one another; empty where each
    training step passes over all phases."""
    network_times: int = 1
    """Times of each image that the network is given: 1, t (B,); 2, (B, 2), see `TimedNetwork`."""

    @abstractmethod
    def losses(self, network: nn.Module, x0: Tensor, y: Conditioning, *, phase: str) -> Loss:
        """Compute the loss of a batch x0 (B, C, H, W) in one phase.

        Times and noise are drawn from torch's default generator. Raises ValueError on images or labels that
        the process cannot be trained on.
        """

    def adopt(self, network: nn.Module) -> None:
        """Create the buffers that depend on the network's size, such as an average of its weights.

        A model calls it once, when it is built. By default there are none.
        """

    def fit(self, network: nn.Module, batches: Iterable[tuple[Tensor, Conditioning]]) -> None:
        """Set numbers that follow from a trained network in closed form; by default there are none.

        batches: training images (B, C, H, W) with their condition; randomness is torch's default generator.
        """

    def begin_step(self, spent: float) -> None:
        """Called before each training step with the share of the budget that is spent (0 to 1).

        By default it does nothing; consistency training derives its step sizes from the share.
        """

    @abstractmethod
    def check_network(self, network: nn.Module, x0: Tensor, y: Conditioning) -> None:
        """Raise ValueError unless the network's output at x0 (B, C, H, W) has the right shape.

        A model calls it when it is built, on one image. The message names the configuration key to change.
        """

    @abstractmethod
    def noise(self, n: int, shape: tuple[int, int, int], rng: Generator | None) -> Tensor:
        """Draw n states at t = 1, where sampling starts: (n, C, H, W) float32 on the process's device."""

    @abstractmethod
    def noised(self, x0: Tensor, start: float, rng: Generator | None) -> Tensor:
        """Draw the states x_start of images x0 (B, C, H, W), from which a path with this `start` begins.

        Raises ValueError unless 0 < start <= 1.
        """

    @abstractmethod
    def path(
        self,
        network: nn.Module,
        x: Tensor,
        y: Conditioning,
        rng: Generator | None,
        *,
        start: float = 1.0,
        known: Known | None = None,
    ) -> Iterator[Tensor]:
        """Yield the state after each step from x (B, C, H, W) at t = start to the sample at t = 0.

        start below 1 takes proportionally fewer steps. known: pixels that each estimate of x0 is set to.
        """

    @abstractmethod
    def forward_states(self, x0: Tensor, rng: Generator | None, *, frames: int) -> Tensor:
        """Noise one batch x0 (B, C, H, W) more and more: (frames, B, C, H, W), the first state x0 itself.

        All states share one draw of the noise, so that neighbouring frames look alike.
        """

    @abstractmethod
    def noise_levels(self) -> tuple[Tensor, Tensor]:
        """Return some hundred times in [0, 1] and the share of x0 that is left there, alpha_bar.

        (n,) float64 each; a figure shows them.
        """

    def check_unbounded(self) -> None:
        """Raise ValueError where a setting needs 8-bit images in [-1, 1]: latents are neither.

        A latent diffusion model calls it when it is built; by default every setting takes any data.
        """

    def check_replayable(self) -> None:
        """Raise ValueError unless `losses` runs the same operations at each step, none of them on the host.

        See `Generator.check_replayable`. By default it is refused.
        """
        raise ValueError(
            f"steps of {type(self).__name__} are not known to be alike: use trainer.cuda_graphs=false"
        )

    def check_augmentation(self) -> None:
        """Raise ValueError where the images of training cannot be changed by an augmentation.

        A model with an augmentation calls it when it is built; by default they can.
        """

    def check_budget(self, images: int) -> None:
        """Raise ValueError on settings that have no effect in a training of so many images.

        Called before a training starts; by default all are legal.
        """

    def networks(self) -> list[nn.Module]:
        """Return the networks beside the model's own that sampling calls, such as a guiding classifier.

        Their passes count as cost, and their parameters are trained in the phases other than "net".
        """
        return []


class LikelihoodProcess(Process):
    """A process that also gives log p(x0), as a bound or an estimate; abstract.

    A model of it is `families.diffusion.Diffusion`, whose attributes of the same names follow from these.
    """

    bound: Literal["lower", "estimate"]
    """The kind of number that log_prob returns."""
    method: str
    """The name of the method in tables, such as "vlb, 10 terms"."""
    discretized: bool = False
    """True where log_prob integrates in steps, whose error falls with their number."""

    @abstractmethod
    def log_prob(self, network: nn.Module, x0: Tensor, y: Conditioning) -> Tensor:
        """log p(x0 | y) of 8-bit images in [-1, 1]: (B, C, H, W) -> (B,) nats.

        Randomness is torch's default generator.
        """

    def refined_log_prob(self, network: nn.Module, x0: Tensor, y: Conditioning) -> Tensor:
        """Compute log_prob with a smaller error of its steps, from the same draws: (B,) nats.

        The difference from log_prob is the error that tables state. By default it is log_prob itself.
        """
        return self.log_prob(network, x0, y)

    def bound_terms(self, network: nn.Module, x0: Tensor, y: Conditioning) -> Iterator[Tensor]:
        """Yield L_0, L_1, .., L_T, whose sum bounds -log p(x0): (B,) nats each.

        Raises ValueError where no bound is a sum over steps.
        """
        raise ValueError("this process has no bound that is a sum over steps: model=ddpm has one")
