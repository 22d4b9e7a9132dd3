"""The contract between the families of generative models and all code that trains, evaluates or uses them.

A family implements `Generator` and, by further abstract classes, what else it can do: `Likelihood`, `Latent`,
`Trajectory`, `Inpaints`, .. Callers ask with isinstance. Images are (B, C, H, W) in [-1, 1]; y is labels (B,)
int64, texts as a Condition of B rows, or None for an unconditional model.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Generator as Rng
from torch import Tensor, nn

from genbench.probability.differentiates import is_without_gradients
from genbench.probability.frames import check_frames, frame_indices
from genbench.probability.loss import Loss
from genbench.text.condition import Condition
from genbench.text.legal import Y, check_condition

__all__ = [
    "BoundTerms",
    "Condition",
    "Decodes",
    "Edits",
    "FitsAfterTraining",
    "ForwardProcess",
    "Generator",
    "Inpaints",
    "Latent",
    "Likelihood",
    "Loss",
    "Noising",
    "Rng",
    "Stage",
    "Trajectory",
    "Y",
    "check_frames",
    "frame_indices",
]


class Stage(NamedTuple):
    """A part of the training with phases of its own; stages follow one another.

    An autoencoder trained before its prior is one: (0.4, ("autoencoder",)), then (0.6, ("net",)).
    """

    share: float
    """Of the budget; those of all stages sum to 1."""
    phases: tuple[str, ...]
    """The phases that each of its steps passes over."""


class Generator(nn.Module, ABC):
    """p(x), or p(x | y), over images x in [-1, 1] of shape (C, H, W); abstract.

    shape: (C, H, W). num_classes: K, 0 for a model without labels, which takes y=None, or texts alone.
    A family implements `loss` and `sample`, and sets `phases` where several networks are trained in turn; it
    never logs, steps an optimizer or moves a device. Raises ValueError on a shape or K that cannot be.
    """

    phases: tuple[str, ...] = ("net",)
    """Each step passes over them, with a batch and optimizer each; () where weights come from elsewhere."""
    stages: tuple["Stage", ...] = ()
    """Parts of the training, one after the other; () is a single one of all phases."""
    period: int = 1
    """Steps 0, period, 2 period, .. do more than the others, such as a penalty of every 16th step."""
    takes_text: bool = False
    """True where y is texts, which `condition` makes a Condition of; num_classes is then 0."""

    def __init__(self, shape: tuple[int, int, int], num_classes: int = 0) -> None:
        super().__init__()
        if len(shape) != 3 or min(shape) < 1:
            raise ValueError(f"shape is {shape}; it must be (C, H, W), each at least 1")
        if num_classes < 0:
            raise ValueError(f"num_classes is {num_classes}; it must be 0 (unconditional) or more")
        self.shape = (shape[0], shape[1], shape[2])  # a tuple, whatever sequence the configuration has
        self.num_classes = num_classes

    @abstractmethod
    def loss(self, x: Tensor, y: Y = None, *, phase: str = "net", step: int = 0) -> Loss:
        """Compute the loss of one batch in one phase; `step` counts training steps from 0.

        x (B, C, H, W) in [-1, 1]; y: B labels, B texts or None. Randomness is torch's default generator,
        which the loop seeds anew at every step. Raises ValueError on a wrong shape, label or text."""

    def prepare(self, x: Tensor, y: Y = None, *, phase: str = "net", step: int = 0) -> None:
        """Update from the whole batch what the losses of its parts read, such as statistics of latents. The
        training loop calls it before the losses of a batch that is split; where a batch is whole, `loss` does
        the same itself. By default it does nothing."""

    def learn_words(self, captions: Iterable[str]) -> None:
        """Learn the words of the training captions, as a buffer, before a training; by default nothing."""

    def condition(self, texts: Sequence[str]) -> Condition:
        """Turn n texts into the condition y of n images, on the CPU; an empty text is the null condition.
        Raises ValueError on a text that is too long, and of a model that takes no text."""
        raise ValueError("this model takes no text: train one with text=small, on data with captions")

    def unknown_words(self, text: str) -> list[str]:
        """Return the words of a text that no training caption had, for a remark; they are not refused."""
        return []

    def example(self, n: int = 1) -> tuple[Tensor, Y]:
        """Return n grey images (n, C, H, W) with labels 0 or empty texts, to learn output shapes from."""
        labels = torch.zeros(n, dtype=torch.int64) if self.num_classes else None
        return torch.zeros(n, *self.shape), self.condition([""] * n) if self.takes_text else labels

    @abstractmethod
    def sample(self, n: int, y: Y = None, *, rng: Rng | None = None) -> Tensor:
        """Draw n images: (n, C, H, W) float32, not clamped; the same rng gives the same images.

        y: n labels, n texts or None. rng None is torch's default generator. The number of steps, guidance and
        temperature belong to objects of the constructor. Raises ValueError on wrong labels."""

    def samples_without_gradients(self) -> bool:
        """Return whether images are drawn in torch's inference mode, which is faster, and in which nothing
        can be differentiated. By default only where all parts are of genbench, and none needs gradients."""
        return is_without_gradients(self)

    def phase_parameters(self, phase: str) -> list[nn.Parameter]:
        """Return the parameters that `phase` trains, and no others: its optimizer gets these. By default all
        parameters of the model. Raises ValueError on an unknown phase."""
        self.check_phase(phase)
        return list(self.parameters())

    def networks(self) -> list[nn.Module]:
        """Return the modules whose passes count as the cost of a sample (NFE); by default every child."""
        return [child for child in self.children() if any(True for _ in child.parameters())]

    def autocast_networks(self) -> list[nn.Module]:
        """Return the modules that may compute in bfloat16 under precision=bf16; by default `networks`."""
        return self.networks()

    def stage(self, spent: float) -> tuple[Stage, float]:
        """Return the stage of a step that begins at a share `spent` of the budget, and the share before it:
        without stages a single one of all phases."""
        begun = 0.0
        for stage in self.stages[:-1]:
            if spent < begun + stage.share:
                return stage, begun
            begun += stage.share
        return (self.stages[-1] if self.stages else Stage(1.0, self.phases)), begun

    def begin_step(self, spent: float) -> None:
        """Prepare for the next step, whose share of the budget is spent (0 to 1); by default nothing."""

    def check_trainable(self) -> None:
        """Raise ValueError on settings with which training would have no meaning. Called before a training
        starts, not when a model is loaded; by default all are legal."""

    def check_budget(self, images: int) -> None:
        """Raise ValueError on settings without effect in a training of so many images; by default none."""

    def check_unbounded(self) -> None:
        """Raise ValueError where a setting needs images in [-1, 1]: a model of latents calls it on its prior,
        which sees other numbers; by default any data are legal."""

    def check_replayable(self) -> None:
        """Raise ValueError unless all steps (or every `period`) run the same operations, on the device and in
        place, so that trainer.cuda_graphs can record them. Refused by default."""
        raise ValueError("steps of this model are not known to be alike: use trainer.cuda_graphs=false")

    def check_phase(self, phase: str) -> None:
        """Raise ValueError unless `phase` is one of this model's phases, which the message lists."""
        if phase not in self.phases:
            names = ", ".join(dict.fromkeys(self.phases))
            raise ValueError(f"phase {phase!r} is unknown; choose from {names}")

    def check_images(self, x: Tensor) -> None:
        """Raise ValueError unless x is a batch of this model's images: (B, C, H, W), floating point."""
        if x.dim() != 4 or tuple(x.shape[1:]) != self.shape:
            raise ValueError(
                f"images have shape {tuple(x.shape)}; this model takes (B, *{self.shape}): "
                "build it with the shape of the data"
            )
        if not x.is_floating_point():
            legal = "floats in [-1, 1]: convert bytes by genbench.data.to_float"
            raise ValueError(f"images have dtype {x.dtype}; this model takes {legal}")

    def check_batch(self, x: Tensor, y: Y) -> None:
        """Raise ValueError unless x (B, C, H, W), floating point, and y are a batch of this model's."""
        self.check_images(x)
        self.check_labels(y, len(x))

    def check_labels(self, y: Y, n: int) -> None:
        """Raise ValueError unless y is what the model takes for n >= 1 images: labels, texts, or None."""
        check_condition(y, n, num_classes=self.num_classes, takes_text=self.takes_text)


class Likelihood(ABC):
    """A model that gives log p(x) of images, or a bound on it, from which bits per dimension follow. The kind
    of number travels with it into every table, since bounds and exact values do not compare. Abstract."""

    bound: Literal["exact", "lower", "estimate"]
    """Kind of log_prob: log p(x), a lower bound (in expectation over its own draws), or an estimate."""
    method: str
    """The method as tables name it: "elbo", "iwae-64", "one draw of uniform dequantization"."""
    discretized: bool = False
    """True where log_prob integrates in steps, whose error falls with their number."""

    @abstractmethod
    def log_prob(self, x: Tensor, y: Y = None) -> Tensor:
        """log p(x | y) of the DISCRETE 8-bit images x (B, C, H, W) in [-1, 1]: (B,) nats.

        The probabilities of all 256^D images sum to 1 (to at most 1 for a lower bound). Randomness is torch's
        default generator. Raises ValueError on a wrong shape or label."""

    def refined_log_prob(self, x: Tensor, y: Y = None) -> Tensor:
        """Compute log_prob in finer steps where it is `discretized`: (B,) nats; elsewhere it is log_prob
        itself. From the same state of torch's default generator both draw the same, so that their difference
        is the error of the steps alone."""
        return self.log_prob(x, y)


class Decodes(Generator):
    """A model whose images are functions of latents of a known distribution: sample = decode(prior). Not the
    same as Latent, since a GAN has no way back from images to latents. Abstract."""

    latent_shape: tuple[int, ...]
    """The shape of one image's latents, without the batch."""

    @abstractmethod
    def prior(self, n: int, y: Y = None, *, rng: Rng | None = None) -> Tensor:
        """Draw the latents of n images, of labels y (n,) or None: (n, *latent_shape) float32. The same rng
        gives the same latents; None is torch's default generator."""

    def latent_map(self) -> tuple[int, int, int]:
        """Return the shape (L, h, w) of the latents as images of L channels, for a model of the latents.
        Vectors (L,) are maps of one pixel. Raises ValueError on latents of any other number of dimensions."""
        if len(self.latent_shape) not in (1, 3):
            legal = "a model of them needs (L,) or (L, h, w): take another autoencoder"
            raise ValueError(f"latents have shape {self.latent_shape}; {legal}")
        channels, height, width = (*self.latent_shape, 1, 1)[:3]
        return channels, height, width

    @abstractmethod
    def decode(self, z: Tensor, y: Y = None) -> Tensor:
        """Map latents to images, without randomness: (B, *latent_shape) -> (B, C, H, W) float32, not clamped.
        y: B labels, B texts, or None for an unconditional model."""

    @torch.no_grad()
    def sample(self, n: int, y: Y = None, *, rng: Rng | None = None) -> Tensor:
        return self.decode(self.prior(n, y, rng=rng), y)


class Latent(Decodes):
    """A model that maps images to latents and back, so that images can be reconstructed; abstract."""

    inverts: bool = False
    """True where decode inverts encode by construction: reconstructions differ by rounding alone."""

    @abstractmethod
    def encode(self, x: Tensor, y: Y = None) -> Tensor:
        """Map images to latents, without randomness: (B, C, H, W) -> (B, *latent_shape). Where the model has
        a distribution of latents it is that distribution's mean."""

    def reconstruct(self, x: Tensor, y: Y = None) -> Tensor:
        """Return decode(encode(x)): (B, C, H, W) -> (B, C, H, W), without randomness."""
        return self.decode(self.encode(x, y), y)


class FitsAfterTraining(ABC):
    """A model with numbers beside its weights that follow from trained weights in closed form; abstract.

    They are buffers, so that checkpoints contain them; each set of weights (averaged, raw) has its own. In
    the checkpoint of an unfinished training they are as they were at the start."""

    @abstractmethod
    def fit(self, batches: Iterable[tuple[Tensor, Y]]) -> None:
        """Set these numbers from training images (B, C, H, W) in [-1, 1] with labels (B,) or None. A model
        without such numbers reads no batch. The network is in evaluation mode."""


class BoundTerms(ABC):
    """A model whose bound on the likelihood is a sum over steps, which a figure can show; abstract."""

    @abstractmethod
    def bound_terms(self, x: Tensor, y: Y = None) -> Iterator[Tensor]:
        """Yield the terms of a bound on -log p(x) of images (B, C, H, W), from the data's step to the
        noise's: (B,) nats each. Raises ValueError where the bound is no such sum."""


class Trajectory(ABC):
    """A model that draws samples step by step, so that the states on the way can be shown; abstract."""

    @abstractmethod
    def trajectory(self, n: int, y: Y = None, *, rng: Rng | None = None, frames: int) -> Tensor:
        """Draw n samples, and return states on the way: (frames, n, C, H, W), the last one the samples.
        The same rng gives the images of `sample`. Raises ValueError on fewer than two frames."""

    def states(self, n: int, y: Y = None, rng: Rng | None = None) -> Iterator[Tensor]:
        """Yield each state (n, C, H, W) when it is drawn, the last one the samples; they may share memory. By
        default those of `trajectory`, once all are drawn."""
        yield from self.trajectory(n, y, rng=rng, frames=16)


class Noising(ABC):
    """A model that reverses a noising process, of images or of their latents; abstract."""

    @abstractmethod
    def noise_levels(self) -> tuple[Tensor, Tensor]:
        """Return some hundred times t in [0, 1] and the share of data there, alpha_bar: (n,) float64 each.
        Under Gaussian noise signal^2 / (signal^2 + noise^2); of bits, the share that was not drawn anew."""


class ForwardProcess(Noising):
    """A model that learns to reverse a process from images to noise, which a figure can show; abstract.

    Not the same as Trajectory: an autoregressive model draws step by step but has no noising process."""

    @abstractmethod
    def forward_process(self, x: Tensor, *, rng: Rng | None = None, frames: int) -> Tensor:
        """Noise one batch x (B, C, H, W) more and more: (frames, B, C, H, W), the first state x itself.
        Raises ValueError on fewer than two frames."""


class Inpaints(Generator):
    """A model that completes images of which some pixels are given; abstract."""

    @abstractmethod
    def inpaint(self, x: Tensor, mask: Tensor, y: Y = None, *, rng: Rng | None = None) -> Tensor:
        """Draw the pixels where mask (B, 1, H, W), bool, is True, given the others: (B, C, H, W) -> the same.
        The given pixels are unchanged. Raises ValueError on another mask."""

    def check_mask(self, x: Tensor, mask: Tensor) -> None:
        """Raise ValueError unless mask is (B, 1, H, W), bool, for x (B, C, H, W)."""
        wanted = (len(x), 1, *self.shape[1:])
        if tuple(mask.shape) != wanted or mask.dtype != torch.bool:
            raise ValueError(
                f"mask has shape {tuple(mask.shape)} and dtype {mask.dtype}; it must be {wanted}, bool, True "
                "where pixels are to be drawn"
            )


class Edits(Inpaints):
    """A model that also draws variations of images; abstract."""

    @abstractmethod
    def vary(self, x: Tensor, y: Y = None, *, strength: float, rng: Rng | None = None) -> Tensor:
        """Draw images near x: (B, C, H, W) -> (B, C, H, W). strength in (0, 1]: near 0 gives x itself, 1 a
        sample that does not depend on x. Raises ValueError on any other."""
