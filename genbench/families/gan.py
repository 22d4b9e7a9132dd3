"""Generative adversarial networks: generator + discriminator + criterion + penalties + augmentation."""

from functools import partial

import torch
from torch import Tensor, nn

from genbench.gans.augment import Augmentation
from genbench.gans.criterion import Criterion
from genbench.gans.network import DiscriminatorNetwork, GeneratorNetwork, has_spectral_norm
from genbench.gans.penalty import Penalties
from genbench.generator import Decodes, Loss, Rng, Y
from genbench.probability.counts import MOST_CHANNELS, MOST_LAYERS, check_count
from genbench.runtime import global_batch

__all__ = ["GAN"]


class GAN(Decodes):
    """A generator trained against a discriminator of real and generated images; there is no likelihood.

    generator(z (B, L), y (B,) or None) -> images (B, C, H, W); discriminator(x, y) -> logits (B,).
    Phase "disc" minimises criterion.disc + penalties by the discriminator, phase "gen" criterion.gen by the
    generator; each sees images through the augmentation, real and generated alike.
    latent_size: L, of z ~ N(0, 1). critic_steps: phases "disc" for each "gen".
    divergence: logits beyond it make the loss infinite, on which the loop stops and names phase and step.
    Raises ValueError on sizes below 1 and on a divergence that is not above 0.
    Source: Goodfellow et al. 2014, Algorithm 1; augmentation in both phases: Zhao et al. 2020, Eq. 3.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_classes: int,
        *,
        generator: GeneratorNetwork,
        discriminator: DiscriminatorNetwork,
        criterion: Criterion,
        penalties: Penalties,
        augmentation: Augmentation,
        latent_size: int = 64,
        critic_steps: int = 1,
        divergence: float = 1e4,
    ) -> None:
        super().__init__(shape, num_classes)
        check_count("model.latent_size", latent_size, MOST_CHANNELS, usual=64)
        check_count("model.critic_steps", critic_steps, MOST_LAYERS, usual=1)
        if not divergence > 0:
            raise ValueError(f"model.divergence is {divergence}; it must be above 0, e.g. 1e4")
        self.generator, self.discriminator = generator, discriminator
        self.criterion, self.penalties, self.augmentation = criterion, penalties, augmentation
        self.latent_shape, self.divergence = (latent_size,), divergence
        # Several discriminator phases, each with a batch of its own, before one of the generator.
        self.phases, self.period = ("disc",) * critic_steps + ("gen",), penalties.every

    def check_trainable(self) -> None:
        self.criterion.check(self.discriminator, self.penalties)

    def check_replayable(self) -> None:
        """Accept all settings: penalties that are due at some steps alone are due every `period` steps."""

    def networks(self) -> list[nn.Module]:
        """Return the generator alone: sampling never calls the discriminator."""
        return [self.generator]

    def autocast_networks(self) -> list[nn.Module]:
        """Return both networks, or the generator alone where the slope of the discriminator is bounded, by a
        penalty or by spectral normalisation: both bounds need float32.
        """
        bounded = self.penalties.has_weight() or has_spectral_norm(self.discriminator)
        return [self.generator] if bounded else [self.generator, self.discriminator]

    def loss(self, x: Tensor, y: Y = None, *, phase: str = "disc", step: int = 0) -> Loss:
        self.check_phase(phase)
        self.check_batch(x, y)
        return self.gen_loss(x, y) if phase == "gen" else self.disc_loss(x, y, step)

    def phase_parameters(self, phase: str) -> list[nn.Parameter]:
        self.check_phase(phase)
        network = self.generator if phase == "gen" else self.discriminator
        return list(network.parameters())

    def prior(self, n: int, y: Y = None, *, rng: Rng | None = None) -> Tensor:
        self.check_labels(y, n)
        device = next(self.generator.parameters()).device
        return global_batch.normal(n, self.latent_shape, rng=rng, device=device)

    def decode(self, z: Tensor, y: Y = None) -> Tensor:
        self.check_labels(y, len(z))
        return self.generator(z, y).float()

    def disc_loss(self, x: Tensor, y: Y, step: int) -> Loss:
        """Compute the loss of phase "disc" on real images x (B, C, H, W) and as many generated ones.

        total = criterion.disc + penalties; the terms also have the mean logits and accuracies of both kinds.
        """
        critic = partial(self.logits, y=y)
        # Where a penalty is due, both require gradient, which the penalty differentiates.
        real, fake = self.penalties.watch(x, self.sample(len(x), y), step=step)
        real_logits, fake_logits = critic(real), critic(fake)
        adversarial = self.criterion.disc(real_logits, fake_logits)
        # Of the same passes: logits are not computed twice.
        penalty = self.penalties(critic, real, fake, logits=(real_logits, fake_logits), step=step)
        terms = {
            "adversarial": adversarial.detach(),
            "real_logits": real_logits.detach().mean(),
            "fake_logits": fake_logits.detach().mean(),
            "real_accuracy": (real_logits > 0).float().mean(),
            "fake_accuracy": (fake_logits < 0).float().mean(),
            # The accuracy for criteria whose logits have no zero, such as the relativistic one.
            "pair_accuracy": (real_logits > fake_logits).float().mean(),
            **penalty.terms,
        }
        return Loss(self.bounded(adversarial + penalty.total, torch.cat([real_logits, fake_logits])), terms)

    def gen_loss(self, x: Tensor, y: Y) -> Loss:
        """Compute the loss of phase "gen", criterion.gen of as many generated images as x (B, C, H, W) has.

        The real images x themselves count only where the criterion compares both kinds.
        """
        fake_logits = self.logits(self.decode(self.prior(len(x), y), y), y)
        real_logits = None
        if self.criterion.compares:
            with torch.no_grad():  # they do not depend on the generator
                real_logits = self.logits(x, y)
        total = self.criterion.gen(fake_logits, real_logits)
        return Loss(self.bounded(total, fake_logits), {"fake_logits": fake_logits.detach().mean()})

    def logits(self, x: Tensor, y: Y) -> Tensor:
        """Return the discriminator's logits of augmented images: (B, C, H, W), y (B,) or None -> (B,)."""
        return self.discriminator(self.augmentation(x), y)

    def bounded(self, total: Tensor, logits: Tensor) -> Tensor:
        """Return the loss (), infinite with its gradient where a logit is beyond `divergence`.

        By arithmetic: reading a flag off a GPU would stall every step.
        """
        # Not >, so that a NaN counts as exploded too.
        exploded = ~(logits.detach().abs().amax() <= self.divergence)
        return total * torch.where(exploded, torch.inf, 1.0)
