"""The contract between the families of generative models and all that trains, measures or uses them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import torch
from torch import Generator as Rng
from torch import Tensor, nn

__all__ = [
    "BoundTerms",
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
    "check_frames",
    "frame_indices",
]


class Loss(NamedTuple):
    """What a training step minimises, and what it tells the log."""

    total: Tensor
    """() float32, mean over the batch; what is differentiated."""
    terms: dict[str, Tensor]
    """() each, detached, under stable names ("kl", "nll", "disc_real")."""


class Stage(NamedTuple):
    """A part of the training."""

    share: float
    """Of the budget; those of all stages sum to 1."""
    phases: tuple[str, ...]
    """What one step of it passes over."""


class Generator(nn.Module, ABC):
    """p(x), or p(x | y), over images x in [-1, 1] of shape (C, H, W)."""

    phases: tuple[str, ...] = ("net",)
    """One training step is one pass over this tuple; each phase has its own batch and optimizer."""
    stages: tuple["Stage", ...] = ()
    """Parts of the training, one after the other; () is a single one of all phases."""
    period: int = 1
    """Steps 0, period, 2 period, .. do more than the others, such as a penalty that is taken now and then."""

    def __init__(self, shape: tuple[int, int, int], num_classes: int = 0) -> None:
        super().__init__()
        if len(shape) != 3 or min(shape) < 1:
            raise ValueError(f"shape is {shape}; it must be (C, H, W), each at least 1")
        if num_classes < 0:
            raise ValueError(f"num_classes is {num_classes}; it must be 0 (unconditional) or more")
        self.shape = (shape[0], shape[1], shape[2])
        self.num_classes = num_classes

    @abstractmethod
    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> Loss:
        """Loss of one batch in one phase.

        x (B, C, H, W) in [-1, 1]; y (B,) int64 or None. Randomness is torch's default generator,
        which the training loop seeds anew at every step. Raises ValueError on a wrong shape or label.
        """

    def prepare(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> None:
        """Learn from the whole batch what the loss of each part needs, such as statistics of the first.

        The training loop calls it before the losses of a batch that is split; where a batch is whole, `loss`
        does the same itself. Most models have nothing of the kind.
        """

    @abstractmethod
    def sample(self, n: int, y: Tensor | None = None, *, rng: Rng | None = None) -> Tensor:
        """Draw n images: (n, C, H, W) float32, not clamped; the same rng gives the same images."""

    def phase_parameters(self, phase: str) -> list[nn.Parameter]:
        """The parameters that `phase` trains, and no others."""
        self.check_phase(phase)
        return list(self.parameters())

    def networks(self) -> list[nn.Module]:
        """The modules whose forward passes are the cost of a sample: every child with parameters."""
        return [child for child in self.children() if any(True for _ in child.parameters())]

    def autocast_networks(self) -> list[nn.Module]:
        """The modules that may compute in bfloat16: by default those of `networks`."""
        return self.networks()

    def stage(self, spent: float) -> tuple[Stage, float]:
        """The stage of a step that begins at a share `spent` of the budget, and what was spent before it."""
        begun = 0.0
        for stage in self.stages[:-1]:
            if spent < begun + stage.share:
                return stage, begun
            begun += stage.share
        return (self.stages[-1] if self.stages else Stage(1.0, self.phases)), begun

    def begin_step(self, spent: float) -> None:
        """Called before each training step with the share of the budget that is spent (0 to 1).

        By default it does nothing; models whose loss changes during training override it.
        """

    def check_trainable(self) -> None:
        """Raise ValueError on settings with which training means nothing; loaded models are not asked."""

    def check_unbounded(self) -> None:
        """Raise ValueError where data have to be images in [-1, 1]; by default they need not."""

    def check_phase(self, phase: str) -> None:
        """Raise ValueError unless `phase` is one of this model's."""
        if phase not in self.phases:
            raise ValueError(f"phase {phase!r} is unknown; this model has {', '.join(self.phases)}")

    def check_images(self, x: Tensor) -> None:
        """Raise ValueError unless x is a batch of this model's images."""
        if x.dim() != 4 or tuple(x.shape[1:]) != self.shape:
            raise ValueError(
                f"images have shape {tuple(x.shape)}; this model takes (B, *{self.shape}): "
                "build it with the shape of the data"
            )
        if not x.is_floating_point():
            raise ValueError(
                f"images have dtype {x.dtype}; this model takes floats in [-1, 1]: "
                "convert bytes by genbench.data.to_float"
            )

    def check_batch(self, x: Tensor, y: Tensor | None) -> None:
        """Raise ValueError unless x and y are a batch of this model's images with their labels."""
        self.check_images(x)
        self.check_labels(y, len(x))

    def check_labels(self, y: Tensor | None, n: int) -> None:
        """Raise ValueError unless y is a legal batch of n >= 1 labels (None for an unconditional model)."""
        if n < 1:
            raise ValueError(f"n is {n}; it must be at least 1 image")
        if self.num_classes == 0:
            if y is not None:
                raise ValueError("labels were given to an unconditional model; pass y=None")
            return
        legal = f"this model needs y of shape ({n},), int64, from 0 to {self.num_classes - 1}"
        if y is None:
            raise ValueError(f"y is None; {legal}")
        if tuple(y.shape) != (n,) or y.is_floating_point():
            raise ValueError(f"y has shape {tuple(y.shape)} and dtype {y.dtype}; {legal}")
        # Host tensors only: reading a range off a GPU would stall every step; the data layer has checked it.
        if y.device.type == "cpu" and (int(y.min()) < 0 or int(y.max()) >= self.num_classes):
            raise ValueError(f"y ranges from {int(y.min())} to {int(y.max())}; {legal}")


class Likelihood(ABC):
    """A model that gives log p(x)."""

    bound: Literal["exact", "lower", "estimate"]
    """Kind of log_prob: log p(x), a lower bound (in expectation over its own draws), or an estimate."""
    method: str
    """How, as tables say it: "elbo", "iwae-64", "one draw of uniform dequantization"."""
    discretized: bool = False
    """True where log_prob integrates in steps, whose error falls with their number."""

    @abstractmethod
    def log_prob(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Log-probability of the DISCRETE 8-bit image in nats, (B,)."""

    def refined_log_prob(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """log_prob as finer steps have it where it is `discretized`, (B,) nats; log_prob itself elsewhere.

        From the same state of torch's default generator both draw the same, so that they differ by the error
        of the steps alone.
        """
        return self.log_prob(x, y)


class Decodes(Generator):
    """A model whose images are functions of latents of a known law: sample = decode(prior).

    Apart from Latent, since a GAN has no way back from images to latents.
    """

    latent_shape: tuple[int, ...]

    @abstractmethod
    def prior(self, n: int, y: Tensor | None = None, *, rng: Rng | None = None) -> Tensor:
        """Latents of n images: (n, *latent_shape)."""

    def latent_map(self) -> tuple[int, int, int]:
        """The shape that a model of the latents, as if they were images, would see: (L, h, w)."""
        if len(self.latent_shape) not in (1, 3):
            raise ValueError(f"latents of shape {self.latent_shape} are no maps: (L,) or (L, h, w) can be")
        channels, height, width = (*self.latent_shape, 1, 1)[:3]
        return channels, height, width

    @abstractmethod
    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Images of latents: (B, *latent_shape) -> (B, C, H, W)."""

    @torch.no_grad()
    def sample(self, n: int, y: Tensor | None = None, *, rng: Rng | None = None) -> Tensor:
        return self.decode(self.prior(n, y, rng=rng), y)


class Latent(Decodes):
    """A model that maps images to latents and back."""

    inverts: bool = False
    """Whether decode undoes encode by construction: an error of rebuilt images would be rounding alone."""

    @abstractmethod
    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Latents of images, without chance: (B, C, H, W) -> (B, *latent_shape)."""

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """decode(encode(x)), (B, C, H, W)."""
        return self.decode(self.encode(x, y), y)


class FitsAfterTraining(ABC):
    """A model with numbers beside its weights that are found, in closed form, once the weights are trained.

    They stand in buffers, so that checkpoints keep them; each set of weights (averaged, raw) has its own. In
    the checkpoint of an unfinished training they are as they were at the start.
    """

    @abstractmethod
    def fit(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        """Find them from training images (B, C, H, W) in [-1, 1] with labels (B,) or None.

        Models without such numbers draw no batch. The network is in evaluation mode; randomness is torch's
        default generator.
        """


class BoundTerms(ABC):
    """A model whose bound on the likelihood is a sum over steps, which can be shown."""

    @abstractmethod
    def bound_terms(self, x: Tensor, y: Tensor | None = None) -> Iterator[Tensor]:
        """Terms of a bound on -log p(x), from the data's step to the noise's: (B,) nats each."""


class Trajectory(ABC):
    """A model whose samples come about step by step."""

    @abstractmethod
    def trajectory(self, n: int, y: Tensor | None = None, *, rng: Rng | None = None, frames: int) -> Tensor:
        """States on the way from noise to n images, the last one the samples: (frames, n, C, H, W)."""


class Noising(ABC):
    """A model that goes back from noise, of images or of what they are coded as."""

    @abstractmethod
    def noise_levels(self) -> tuple[Tensor, Tensor]:
        """Some hundred times t in [0, 1], and alpha_bar there, what is left of the data: (n,) float64 each.

        Under Gaussian noise signal^2 / (signal^2 + noise^2); of bits, the share that was not drawn anew.
        """


class ForwardProcess(Noising):
    """A model that learns to undo a process from data to noise, which can be shown.

    Apart from Trajectory, since an autoregressive model has a way to its samples but none to noise.
    """

    @abstractmethod
    def forward_process(self, x: Tensor, *, rng: Rng | None = None, frames: int) -> Tensor:
        """One batch on its way from data to noise, the first state x itself: (frames, B, C, H, W)."""


class Inpaints(Generator):
    """A model that completes images."""

    @abstractmethod
    def inpaint(self, x: Tensor, mask: Tensor, y: Tensor | None = None, *, rng: Rng | None = None) -> Tensor:
        """x (B, C, H, W), drawn anew given the rest where mask (B, 1, H, W), bool, is True."""

    def check_mask(self, x: Tensor, mask: Tensor) -> None:
        """Raise ValueError unless mask says of each pixel of x whether it is to be drawn."""
        wanted = (len(x), 1, *self.shape[1:])
        if tuple(mask.shape) != wanted or mask.dtype != torch.bool:
            raise ValueError(
                f"mask has shape {tuple(mask.shape)} and dtype {mask.dtype}; it must be {wanted}, bool, True "
                "where pixels are to be drawn"
            )


class Edits(Inpaints):
    """A model that also varies images."""

    @abstractmethod
    def vary(self, x: Tensor, y: Tensor | None = None, *, strength: float, rng: Rng | None = None) -> Tensor:
        """Images near x (B, C, H, W); strength in (0, 1]: near 0 is x itself, 1 ignores it."""


def check_frames(frames: int) -> None:
    """Raise ValueError unless there are at least two frames."""
    if frames < 2:
        raise ValueError(f"frames is {frames}; it must be at least 2, the first state and the last")


def frame_indices(states: int, frames: int) -> list[int]:
    """Indices of `frames` states, evenly spaced from the first to the last (repeated where they are few)."""
    check_frames(frames)
    return [round(i * (states - 1) / (frames - 1)) for i in range(frames)]
