"""Latent diffusion: an autoencoder, and a generative model of its latents as the prior."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from genbench.diffusion.guidance import Classifier
from genbench.generator import (
    Condition,
    FitsAfterTraining,
    Generator,
    Latent,
    Loss,
    Noising,
    Rng,
    Stage,
    Trajectory,
    Y,
    check_frames,
)
from genbench.probability.moments import deviation, update_moments
from genbench.runtime import global_batch

__all__ = ["LatentDiffusion"]


class LatentDiffusion(Latent, Trajectory, Noising, FitsAfterTraining):
    """x = decode(mean + scale u), u (L, h, w) from a prior, any model of images, as if latents were images.

    The training has two stages: the autoencoder for a share of the budget, then the prior on its latents,
    scaled to mean 0 and standard deviation 1 a channel by their moments at the end of the first stage. An
    autoencoder with a discriminator brings stages and a phase of its own, which share the first one.
    autoencoder: any model with latents; vectors are maps of one pixel. One that was trained before (its
    weights frozen) leaves the whole budget to the prior. It has no labels and no text: they go to the prior.
    network, prior: called here, since the shape of the latents follows from the autoencoder:
    network(shape=(L, h, w)), prior(shape=(L, h, w), num_classes=K, network=network).
    momentum: the least weight of a batch in the moments while the autoencoder is trained.
    Raises ValueError on numbers outside their range, on an autoencoder that cannot encode, of other images,
    with classes, of texts or with a prior that is trained with it, and on priors that need 8-bit images.
    Source: Rombach et al. 2022, Section 3; scaling by the moments: Appendix G.
    """

    mean: Tensor
    square: Tensor
    batches: Tensor

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_classes: int,
        *,
        autoencoder: Generator,
        network: Callable[..., nn.Module],
        prior: Callable[..., Generator],
        share: float = 0.4,
        momentum: float = 0.01,
    ) -> None:
        super().__init__(shape, num_classes)
        if not 0 < share < 1:
            raise ValueError(f"model.share is {share}; it must be between 0 and 1, e.g. 0.4")
        if not 0 < momentum <= 1:
            raise ValueError(f"model.momentum is {momentum}; it must be above 0 and at most 1, e.g. 0.01")
        # A run may be of any model.
        if not isinstance(autoencoder, Latent):
            raise ValueError(
                f"the autoencoder is of class {type(autoencoder).__name__}, which encodes no images (it has "
                "no map to latents): give autoencoder.run_dir a run of model=vae, autoencoder or vqvae"
            )
        if autoencoder.takes_text:
            raise ValueError(
                f"the autoencoder is a {type(autoencoder).__name__} of texts, which go to the prior alone: "
                "take a run with text=none"
            )
        if autoencoder.num_classes or autoencoder.shape != self.shape:
            raise ValueError(
                f"the autoencoder has shape {autoencoder.shape} and {autoencoder.num_classes} classes; "
                f"it must have {self.shape} and none: take a run of the same data with conditional=false"
            )
        self.autoencoder, self.momentum = autoencoder, momentum
        self.latent_shape = autoencoder.latent_map()
        net = network(shape=self.latent_shape)
        self.prior_model = prior(shape=self.latent_shape, num_classes=num_classes, network=net)
        self.prior_model.check_unbounded()
        self.takes_text = self.prior_model.takes_text
        later = self.prior_model.stages or (Stage(1.0, self.prior_model.phases),)
        if any(isinstance(part, Classifier) for part in self.prior_model.modules()):
            raise ValueError(
                "guidance=classifier knows images, and this prior models latents: use "
                "guidance=classifier_free"
            )
        # Weights that take no gradient: a run that was trained before.
        self.frozen = not any(p.requires_grad for p in autoencoder.parameters())
        self.share = 0.0 if self.frozen else share  # of the budget, for the autoencoder
        self.own_phases: dict[str, str] = {}  # of the autoencoder, by their names here
        if not self.frozen:
            later = tuple(Stage((1 - share) * stage.share, stage.phases) for stage in later)
            stages = self.first_stages()
            self.stages = (*(Stage(share * own, phases) for own, phases in stages), *later)
            self.phases = (*self.own_phases, *self.prior_model.phases)
            if len(self.phases) > len({*self.phases}):
                raise ValueError(
                    f"autoencoder and prior both have a phase of the names {', '.join(self.phases)}: train "
                    "the autoencoder first, and use autoencoder=run"
                )
        else:
            self.phases, self.stages = self.prior_model.phases, self.prior_model.stages
        # Mean and mean square a channel, and the number of batches so far.
        channels = (self.latent_shape[0], 1, 1)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("square", torch.ones(channels))
        self.register_buffer("batches", torch.zeros(()))

    def first_stages(self) -> list[Stage]:
        """Return the stages in which the autoencoder is trained, with shares that sum to 1 and the phases as
        they are named here, and note those names: its first phase is "autoencoder", others keep theirs.

        Raises ValueError where it has stages of a prior of its own, whose share of the budget it would count
        twice.
        """
        first = self.autoencoder.phases[0]
        stages = self.autoencoder.stages or (Stage(1.0, (first,)),)
        if any(first not in stage.phases for stage in stages):
            raise ValueError(
                f"the autoencoder is a {type(self.autoencoder).__name__} with a prior of its own, and "
                "latents have one: build it without, or train it first and use autoencoder=run"
            )
        self.own_phases = {
            "autoencoder" if phase == first else phase: phase for stage in stages for phase in stage.phases
        }
        names = {phase: name for name, phase in self.own_phases.items()}
        return [Stage(each.share, tuple(names[phase] for phase in each.phases)) for each in stages]

    def networks(self) -> list[nn.Module]:
        return [*self.autoencoder.networks(), *self.prior_model.networks()]

    def autocast_networks(self) -> list[nn.Module]:
        return [*self.autoencoder.autocast_networks(), *self.prior_model.autocast_networks()]

    def noise_levels(self) -> tuple[Tensor, Tensor]:
        """Return the noise levels of the prior, whose process noises latents: (n,) float64 each.

        The prior must be a Noising model.
        """
        assert isinstance(self.prior_model, Noising)
        return self.prior_model.noise_levels()

    def learn_words(self, captions: Iterable[str]) -> None:
        self.prior_model.learn_words(captions)

    def condition(self, texts: Sequence[str]) -> Condition:
        return self.prior_model.condition(texts)

    def unknown_words(self, text: str) -> list[str]:
        return self.prior_model.unknown_words(text)

    def phase_parameters(self, phase: str) -> list[nn.Parameter]:
        self.check_phase(phase)
        if phase in self.own_phases:
            return self.autoencoder.phase_parameters(self.own_phases[phase])
        return self.prior_model.phase_parameters(phase)

    def check_trainable(self) -> None:
        if not self.frozen:
            self.autoencoder.check_trainable()
        self.prior_model.check_trainable()

    def begin_step(self, spent: float) -> None:
        """Pass the prior the share of its own budget that is spent, 0 while the autoencoder is trained, and
        the autoencoder that of its own, 1 afterwards."""
        if not self.frozen:
            self.autoencoder.begin_step(min(spent / self.share, 1.0))
        # 1 - share is the prior's part of the budget.
        self.prior_model.begin_step(max(spent - self.share, 0.0) / (1 - self.share))

    def loss(self, x: Tensor, y: Y = None, *, phase: str = "net", step: int = 0) -> Loss:
        self.check_phase(phase)
        self.check_batch(x, y)
        if global_batch.is_whole():
            self.prepare(x, y, phase=phase, step=step)
        self.set_mode(phase)
        if phase in self.own_phases:
            return self.autoencoder.loss(x, phase=self.own_phases[phase], step=step)
        return self.prior_model.loss(self.scaled(x), y, phase=phase, step=step)

    def fit(self, batches: Iterable[tuple[Tensor, Y]]) -> None:
        """Fit the prior's numbers that follow from trained weights, to scaled latents of the images."""
        if isinstance(self.prior_model, FitsAfterTraining):
            self.prior_model.fit((self.scaled(x), y) for x, y in batches)

    @torch.no_grad()
    def scaled(self, x: Tensor) -> Tensor:
        """Return the latents that the prior models, (codes(x) - mean) / scale: (B, L, h, w)."""
        return (self.codes(x) - self.mean) / self.scale()

    def prepare(self, x: Tensor, y: Y = None, *, phase: str = "net", step: int = 0) -> None:
        """Update the moments of the latents, in the autoencoder's phase or, if that is frozen, in each."""
        self.set_mode(phase)
        if self.training and (self.frozen or phase == "autoencoder"):
            self.update_moments(x)

    def set_mode(self, phase: str) -> None:
        """Put the autoencoder in training mode in its own phases only: in others it is as in sampling."""
        self.autoencoder.train(self.training and phase in self.own_phases)

    @torch.no_grad()
    def update_moments(self, x: Tensor) -> None:
        """Average the latents' moments over batches, each new one with weight 1 / (their number).

        The weight is at least `momentum` while the autoencoder is trained: its latents change, so that old
        batches must fade.
        """
        least = 0.0 if self.frozen else self.momentum
        update_moments(self.codes(x), self.mean, self.square, self.batches, least=least)

    def scale(self) -> Tensor:
        """Return the standard deviation of each channel of the latents, (L, 1, 1)."""
        return deviation(self.mean, self.square)

    def prior(self, n: int, y: Y = None, *, rng: Rng | None = None) -> Tensor:
        return self.mean + self.scale() * self.prior_model.sample(n, y, rng=rng)

    @torch.no_grad()
    def trajectory(self, n: int, y: Y = None, *, rng: Rng | None = None, frames: int) -> Tensor:
        """Draw samples and return the decoded states of their latents on the way: (frames, n, C, H, W).

        The latents of a prior that draws in one step have no states on the way: all frames are the samples.
        """
        check_frames(frames)
        if not isinstance(self.prior_model, Trajectory):
            return self.sample(n, y, rng=rng).expand(frames, n, *self.shape)
        latents = self.prior_model.trajectory(n, y, rng=rng, frames=frames)
        return torch.stack([self.decode(self.mean + self.scale() * u, y) for u in latents])

    def states(self, n: int, y: Y = None, rng: Rng | None = None) -> Iterator[Tensor]:
        """Yield the decoded states of the latents, as `trajectory` does: (n, C, H, W) each."""
        if not isinstance(self.prior_model, Trajectory):
            yield self.sample(n, y, rng=rng)
            return
        for u in self.prior_model.states(n, y, rng):
            yield self.decode(self.mean + self.scale() * u, y)

    def encode(self, x: Tensor, y: Y = None) -> Tensor:
        self.check_batch(x, y)
        return self.codes(x)

    def codes(self, x: Tensor) -> Tensor:
        """Return the autoencoder's latents as maps: (B, C, H, W) -> (B, L, h, w)."""
        return self.autoencoder.encode(x).reshape(-1, *self.latent_shape)

    def decode(self, z: Tensor, y: Y = None) -> Tensor:
        self.check_labels(y, len(z))
        return self.autoencoder.decode(z.reshape(-1, *self.autoencoder.latent_shape))
