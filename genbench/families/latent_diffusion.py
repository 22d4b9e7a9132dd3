"""A generative model of an autoencoder's latents, such as latent diffusion."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from genbench.generator import FitsAfterTraining, Generator, Latent, Loss, Noising, Rng, Stage
from genbench.runtime import global_batch

__all__ = ["LatentDiffusion"]


class LatentDiffusion(Latent, Noising, FitsAfterTraining):
    """x = decode(mean + scale u), u from a prior that is a model of its own, as if latents were images.

    The training has two stages: the autoencoder for a share of the budget, then the prior on its latents,
    which are brought to mean 0 and deviation 1 a channel by their moments at the end of the first stage.
    autoencoder: any model with codes; latents that are vectors are maps of one pixel. One that was trained
    before (its weights frozen) leaves the whole budget to the prior.
    network, prior: made here, since only the autoencoder knows the shape of its latents:
    network(shape=(L, h, w)), prior(shape=(L, h, w), num_classes=K, network=network).
    Labels go to the prior; the autoencoder does without.
    Source: Rombach et al. 2022, Section 3; scaling by the moments: Appendix G.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_classes: int,
        *,
        autoencoder: Latent,
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
        later = self.prior_model.stages or (Stage(1.0, self.prior_model.phases),)
        if "classifier" in self.prior_model.phases:
            raise ValueError("guidance=classifier sees images, and the prior latents: take classifier_free")
        self.frozen = not any(p.requires_grad for p in autoencoder.parameters())
        self.share = 0.0 if self.frozen else share  # of the budget, for the autoencoder
        if not self.frozen:
            later = tuple(Stage((1 - share) * stage.share, stage.phases) for stage in later)
            self.stages = (Stage(share, ("autoencoder",)), *later)
            self.phases = ("autoencoder", *self.prior_model.phases)
        else:
            self.phases, self.stages = self.prior_model.phases, self.prior_model.stages
        channels = (self.latent_shape[0], 1, 1)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("square", torch.ones(channels))
        self.register_buffer("batches", torch.zeros(()))

    def networks(self) -> list[nn.Module]:
        return [*self.autoencoder.networks(), *self.prior_model.networks()]

    def autocast_networks(self) -> list[nn.Module]:
        return [*self.autoencoder.autocast_networks(), *self.prior_model.autocast_networks()]

    def noise_levels(self) -> tuple[Tensor, Tensor]:
        """Those of the prior, on latents."""
        assert isinstance(self.prior_model, Noising)
        return self.prior_model.noise_levels()

    def phase_parameters(self, phase: str) -> list[nn.Parameter]:
        self.check_phase(phase)
        if phase == "autoencoder":
            return list(self.autoencoder.parameters())
        return self.prior_model.phase_parameters(phase)

    def begin_step(self, spent: float) -> None:
        """Pass on the share of the prior's own budget, 0 while the autoencoder is trained."""
        self.prior_model.begin_step(max(spent - self.share, 0.0) / (1 - self.share))

    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> Loss:
        self.check_phase(phase)
        self.check_batch(x, y)
        if global_batch.is_whole():
            self.prepare(x, y, phase=phase, step=step)
        self.set_mode(phase)
        if phase == "autoencoder":
            return self.autoencoder.loss(x, phase=self.autoencoder.phases[0], step=step)
        return self.prior_model.loss(self.scaled(x), y, phase=phase, step=step)

    def fit(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        """Fit what the prior has to be fitted, to latents as it sees them."""
        if isinstance(self.prior_model, FitsAfterTraining):
            self.prior_model.fit((self.scaled(x), y) for x, y in batches)

    @torch.no_grad()
    def scaled(self, x: Tensor) -> Tensor:
        """The latents of images as the prior sees them, with mean 0 and deviation 1: (B, L, h, w)."""
        return (self.codes(x) - self.mean) / self.scale()

    def prepare(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> None:
        """Update the moments that scale latents: in the autoencoder's phase, or in all if it is frozen."""
        self.set_mode(phase)
        if self.training and (self.frozen or phase == "autoencoder"):
            self.follow(x)

    def set_mode(self, phase: str) -> None:
        """The autoencoder trains in its own phase only; in others it must answer as it will in sampling."""
        self.autoencoder.train(self.training and phase == "autoencoder")

    @torch.no_grad()
    def follow(self, x: Tensor) -> None:
        """Update the latents' moments: plain averages, later moving ones where codes change."""
        z = self.codes(x)
        weight = (1 / (self.batches + 1)).clamp(min=0.0 if self.frozen else self.momentum)
        self.mean.lerp_(global_batch.mean(z.mean(dim=(0, 2, 3), keepdim=True)[0]), weight)
        self.square.lerp_(global_batch.mean(z.square().mean(dim=(0, 2, 3), keepdim=True)[0]), weight)
        self.batches += 1

    def scale(self) -> Tensor:
        """The deviation of each channel of the latents, (L, 1, 1)."""
        return (self.square - self.mean.square()).clamp(min=1e-8).sqrt()

    def prior(self, n: int, y: Tensor | None = None, *, rng: Rng | None = None) -> Tensor:
        return self.mean + self.scale() * self.prior_model.sample(n, y, rng=rng)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        self.check_batch(x, y)
        return self.codes(x)

    def codes(self, x: Tensor) -> Tensor:
        """The autoencoder's latents as maps, (B, L, h, w)."""
        return self.autoencoder.encode(x).reshape(-1, *self.latent_shape)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        self.check_labels(y, len(z))
        return self.autoencoder.decode(z.reshape(-1, *self.autoencoder.latent_shape))
