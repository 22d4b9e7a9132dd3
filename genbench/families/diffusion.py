"""Denoising diffusion and its relatives: a network that reverses a process from data to noise."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from genbench.diffusion.process import Known, LikelihoodProcess, Process
from genbench.generator import (
    BoundTerms,
    Edits,
    FitsAfterTraining,
    ForwardProcess,
    Likelihood,
    Loss,
    Rng,
    Stage,
    Trajectory,
    check_frames,
    frame_indices,
)

__all__ = ["Denoising", "Diffusion"]


class Denoising(Edits, Trajectory, ForwardProcess, FitsAfterTraining):
    """A model that reverses a process from data to noise: network + process; no likelihood.

    The network answers `network(xt (B, C, H, W), t (B,), y (B,) or None)`; the process turns the answer into
    a loss and into samples (see diffusion.process). Consistency models are of this class.
    Raises ValueError where the network's output does not fit the process.
    """

    def __init__(
        self, shape: tuple[int, int, int], num_classes: int, *, network: nn.Module, process: Process
    ) -> None:
        super().__init__(shape, num_classes)
        self.network, self.process = network, process
        self.phases = process.phases
        # Phases with shares follow one another, each a stage of its own.
        self.stages = tuple(Stage(share, (phase,)) for phase, share in process.shares.items())
        with torch.no_grad():
            process.check_network(network.eval(), *self.example())  # without dropout, which draws randomness
        network.train()
        process.adopt(network)

    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> Loss:
        self.check_phase(phase)
        self.check_batch(x, y)
        return self.process.losses(self.network, x, y, phase=phase)

    def begin_step(self, spent: float) -> None:
        self.process.begin_step(spent)

    def phase_parameters(self, phase: str) -> list[nn.Parameter]:
        self.check_phase(phase)
        guides = [p for network in self.process.networks() for p in network.parameters()]
        # A phase of a guide, such as a classifier: its parameters alone.
        if phase != "net" and phase not in self.process.shares:
            return guides
        # A learned schedule's parameters, too, are trained with the network.
        others = set(map(id, guides))
        return [p for p in self.parameters() if id(p) not in others]

    def check_budget(self, images: int) -> None:
        self.process.check_budget(images)

    def check_unbounded(self) -> None:
        self.process.check_unbounded()

    def fit(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        self.process.fit(self.network, batches)

    def networks(self) -> list[nn.Module]:
        return [self.network, *self.process.networks()]

    @torch.no_grad()
    def sample(self, n: int, y: Tensor | None = None, *, rng: Rng | None = None) -> Tensor:
        *_, x = self.states(n, y, rng)
        return x

    @torch.no_grad()
    def trajectory(self, n: int, y: Tensor | None = None, *, rng: Rng | None = None, frames: int) -> Tensor:
        states = list(self.states(n, y, rng))
        return torch.stack([states[k] for k in frame_indices(len(states), frames)])

    @torch.no_grad()
    def forward_process(self, x: Tensor, *, rng: Rng | None = None, frames: int) -> Tensor:
        self.check_images(x)
        check_frames(frames)
        return self.process.forward_states(x, rng, frames=frames)

    @torch.no_grad()
    def noise_levels(self) -> tuple[Tensor, Tensor]:
        return self.process.noise_levels()

    @torch.no_grad()
    def inpaint(self, x: Tensor, mask: Tensor, y: Tensor | None = None, *, rng: Rng | None = None) -> Tensor:
        self.check_batch(x, y)
        self.check_mask(x, mask)
        # The process knows what is given, the mask here says what is to be drawn.
        noise, known = self.process.noise(len(x), self.shape, rng), Known(x, ~mask.expand_as(x))
        *_, filled = self.process.path(self.network, noise, y, rng, known=known)
        return filled

    @torch.no_grad()
    def vary(self, x: Tensor, y: Tensor | None = None, *, strength: float, rng: Rng | None = None) -> Tensor:
        self.check_batch(x, y)
        noised = self.process.noised(x, strength, rng)
        *_, varied = self.process.path(self.network, noised, y, rng, start=strength)
        return varied

    def states(self, n: int, y: Tensor | None = None, rng: Rng | None = None) -> Iterator[Tensor]:
        """Yield pure noise, then the state after each step towards the samples: (n, C, H, W) each."""
        self.check_labels(y, n)
        x = self.process.noise(n, self.shape, rng)
        yield x
        yield from self.process.path(self.network, x, y, rng)


class Diffusion(Denoising, Likelihood, BoundTerms):
    """A diffusion or flow matching model, whose process also gives log p(x): network + process.

    bound, method and discretized are those of the process. Raises ValueError where the network's output does
    not fit the process.
    Source: Sohl-Dickstein et al. 2015; Ho et al. 2020.
    """

    process: LikelihoodProcess

    def __init__(
        self, shape: tuple[int, int, int], num_classes: int, *, network: nn.Module, process: LikelihoodProcess
    ) -> None:
        super().__init__(shape, num_classes, network=network, process=process)
        self.bound, self.method, self.discretized = process.bound, process.method, process.discretized

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        self.check_batch(x, y)
        return self.process.log_prob(self.network, x, y)

    def refined_log_prob(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        self.check_batch(x, y)
        return self.process.refined_log_prob(self.network, x, y)

    @torch.no_grad()
    def bound_terms(self, x: Tensor, y: Tensor | None = None) -> Iterator[Tensor]:
        self.check_batch(x, y)
        yield from self.process.bound_terms(self.network, x, y)
