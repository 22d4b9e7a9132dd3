"""Denoising diffusion and its relatives: a network that reverses a process from data to noise."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from genbench.diffusion.augment import Augmented, NonLeaking, give_labels
from genbench.diffusion.process import Known, LikelihoodProcess, Process
from genbench.diffusion.teacher import Teacher
from genbench.diffusion.timed_network import check_times
from genbench.gans.augment import NoAugmentation
from genbench.generator import (
    BoundTerms,
    Condition,
    Edits,
    FitsAfterTraining,
    ForwardProcess,
    Likelihood,
    Loss,
    Rng,
    Stage,
    Trajectory,
    Y,
    check_frames,
    frame_indices,
)
from genbench.text.condition import Conditioning
from genbench.text.encoder import TextEncoder, TextNetwork

__all__ = ["Denoising", "Diffusion"]


class Denoising(Edits, Trajectory, ForwardProcess, FitsAfterTraining):
    """A model that reverses a process from data to noise: network + process; no likelihood.

    The network answers `network(xt (B, C, H, W), t (B,), y)`, y labels (B,), B encoded texts or None; the
    process turns the answer into a loss and into samples (see diffusion.process). Consistency models are of
    this class.
    text: the encoder of a model of text, p(x | text); None for one of labels or none. It encodes each batch
    once, and its weights learn with the network unless they are frozen.
    init: the trained model whose weights the network begins with; None for the random ones that it has.
    augmentation: changes of the images in training, which the network is given as a label; losses outside of
    training, likelihoods and samples are those of unchanged images.
    Raises ValueError where the network's output does not fit the process, and where a model of text has
    labels too or a network that does not attend to its text.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_classes: int,
        *,
        network: nn.Module,
        process: Process,
        text: TextEncoder | None = None,
        init: Teacher | None = None,
        augmentation: NonLeaking | NoAugmentation | None = None,
    ) -> None:
        super().__init__(shape, num_classes)
        self.network, self.process = network, process
        self.text, self.takes_text = text, text is not None
        if text is not None:
            check_text(text, network, num_classes)
        self.augmentation = augmentation if isinstance(augmentation, NonLeaking) else None
        self.phases = process.phases
        # Phases with shares follow one another, each a stage of its own.
        self.stages = tuple(Stage(share, (phase,)) for phase, share in process.shares.items())
        with torch.no_grad():
            x, y = self.example()
            check_times(network, process.network_times)
            # In evaluation mode: without dropout, which draws randomness.
            process.check_network(network.eval(), x, self.encoded(y))
        if init is not None:
            init.start(network, process)
        if self.augmentation is not None:
            process.check_augmentation()
            give_labels(network)
        network.train()
        process.adopt(network)

    def loss(self, x: Tensor, y: Y = None, *, phase: str = "net", step: int = 0) -> Loss:
        self.check_phase(phase)
        self.check_batch(x, y)
        network = self.network
        # What guides samples, such as a classifier, takes no such label, so that its images are not changed.
        if self.augmentation is not None and self.training and phase == "net":
            x, label = self.augmentation(x)
            network = Augmented(network, label)
        return self.process.losses(network, x, self.encoded(y), phase=phase)

    def learn_words(self, captions: Iterable[str]) -> None:
        if self.text is not None:
            self.text.learn_words(captions)

    def condition(self, texts: Sequence[str]) -> Condition:
        return super().condition(texts) if self.text is None else self.text.condition(texts)

    def unknown_words(self, text: str) -> list[str]:
        return [] if self.text is None else self.text.unknown(text)

    def encoded(self, y: Y) -> Conditioning:
        """Return what the process and its network are given as y: encoded texts, or labels as they are."""
        if isinstance(y, Condition):
            assert self.text is not None
            return self.text(y)
        return y

    def begin_step(self, spent: float) -> None:
        self.process.begin_step(spent)

    def phase_parameters(self, phase: str) -> list[nn.Parameter]:
        self.check_phase(phase)
        guides = [p for network in self.process.networks() for p in network.parameters()]
        # A phase of a guide, such as a classifier: its parameters alone.
        if phase != "net" and phase not in self.process.shares:
            return guides
        # A learned schedule's parameters, too, are trained with the network, and what a text encoder learns.
        others = set(map(id, guides))
        if self.text is not None:
            others |= set(map(id, self.text.parameters())) - set(map(id, self.text.learned()))
        return [p for p in self.parameters() if id(p) not in others]

    def check_budget(self, images: int) -> None:
        self.process.check_budget(images)

    def check_unbounded(self) -> None:
        self.process.check_unbounded()

    def check_replayable(self) -> None:
        self.process.check_replayable()

    def fit(self, batches: Iterable[tuple[Tensor, Y]]) -> None:
        self.process.fit(self.network, ((x, self.encoded(y)) for x, y in batches))

    def networks(self) -> list[nn.Module]:
        # Without the encoder, which runs once a batch of samples, and not once a step.
        return [self.network, *self.process.networks()]

    def autocast_networks(self) -> list[nn.Module]:
        return [*self.networks(), *([] if self.text is None else [self.text])]

    @torch.no_grad()
    def sample(self, n: int, y: Y = None, *, rng: Rng | None = None) -> Tensor:
        *_, x = self.states(n, y, rng)
        return x

    @torch.no_grad()
    def trajectory(self, n: int, y: Y = None, *, rng: Rng | None = None, frames: int) -> Tensor:
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
    def inpaint(self, x: Tensor, mask: Tensor, y: Y = None, *, rng: Rng | None = None) -> Tensor:
        self.check_batch(x, y)
        self.check_mask(x, mask)
        # The process knows what is given, the mask here says what is to be drawn.
        noise, known = self.process.noise(len(x), self.shape, rng), Known(x, ~mask.expand_as(x))
        *_, filled = self.process.path(self.network, noise, self.encoded(y), rng, known=known)
        return filled

    @torch.no_grad()
    def vary(self, x: Tensor, y: Y = None, *, strength: float, rng: Rng | None = None) -> Tensor:
        self.check_batch(x, y)
        noised = self.process.noised(x, strength, rng)
        *_, varied = self.process.path(self.network, noised, self.encoded(y), rng, start=strength)
        return varied

    def states(self, n: int, y: Y = None, rng: Rng | None = None) -> Iterator[Tensor]:
        """Yield pure noise, then the state after each step towards the samples: (n, C, H, W) each."""
        self.check_labels(y, n)
        x = self.process.noise(n, self.shape, rng)
        yield x
        yield from self.process.path(self.network, x, self.encoded(y), rng)


class Diffusion(Denoising, Likelihood, BoundTerms):
    """A diffusion or flow matching model, whose process also gives log p(x): network + process.

    bound, method and discretized are those of the process. Raises ValueError where the network's output does
    not fit the process.
    Source: Sohl-Dickstein et al. 2015; Ho et al. 2020.
    """

    process: LikelihoodProcess

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_classes: int,
        *,
        network: nn.Module,
        process: LikelihoodProcess,
        text: TextEncoder | None = None,
        augmentation: NonLeaking | NoAugmentation | None = None,
    ) -> None:
        super().__init__(
            shape, num_classes, network=network, process=process, text=text, augmentation=augmentation
        )
        self.bound, self.method, self.discretized = process.bound, process.method, process.discretized

    def log_prob(self, x: Tensor, y: Y = None) -> Tensor:
        self.check_batch(x, y)
        return self.process.log_prob(self.network, x, self.encoded(y))

    def refined_log_prob(self, x: Tensor, y: Y = None) -> Tensor:
        self.check_batch(x, y)
        return self.process.refined_log_prob(self.network, x, self.encoded(y))

    @torch.no_grad()
    def bound_terms(self, x: Tensor, y: Y = None) -> Iterator[Tensor]:
        self.check_batch(x, y)
        yield from self.process.bound_terms(self.network, x, self.encoded(y))


def check_text(text: TextEncoder, network: nn.Module, num_classes: int) -> None:
    """Raise ValueError unless a network attends to the vectors of a text encoder, and there are no labels."""
    if num_classes:
        raise ValueError(
            f"a model draws to texts or to classes, and this one was given both, {text.name} and "
            f"conditional=true ({num_classes} classes): leave conditional=true out, or use text=none"
        )
    context = network.context if isinstance(network, TextNetwork) else 0
    if context != text.width:
        takes = f"takes vectors of {context} numbers" if context else "takes no text"
        raise ValueError(
            f"{text.name} gives vectors of {text.width} numbers, and the network ({type(network).__name__}) "
            f"{takes}: choose network=unet network.context={text.width}; a network of your own takes text "
            "as a genbench.text.encoder.TextNetwork"
        )
