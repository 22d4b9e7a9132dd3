"""Terms of an autoencoder's loss beside its likelihood: a distance of features, and a discriminator."""

from collections.abc import Callable

from torch import Tensor, nn

from genbench.gans.adversary import DISC, Adversary, last_layer
from genbench.probability.loss import Loss
from genbench.probability.perceptual import Perceptual

__all__ = ["Realism"]


class Realism(nn.Module):
    """A loss of an autoencoder, plus a perceptual distance of its reconstructions, plus an adversarial term.

    perceptual, adversary: either may be None, and without both every loss is returned as it is. The sum is
    no bound on a likelihood any more; a model's log_prob remains one.
    Source: Rombach et al. 2022, Section 3.1 and Eq. 25.
    """

    def __init__(self, perceptual: Perceptual | None, adversary: Adversary | None) -> None:
        super().__init__()
        self.perceptual, self.adversary = perceptual, adversary

    def phases(self, phase: str) -> tuple[str, ...]:
        """Return the phases of the autoencoder's training: its own, and that of the discriminator."""
        return (phase,) if self.adversary is None else (phase, DISC)

    def stages(self, phase: str) -> list[tuple[float, tuple[str, ...]]]:
        """Return share and phases of each stage of the autoencoder's training, see `Adversary.stages`."""
        return [(1.0, (phase,))] if self.adversary is None else self.adversary.stages(phase)

    def begin_step(self, spent: float) -> None:
        """Pass on the share of the autoencoder's training that is spent, 0 to 1, before each step."""
        if self.adversary is not None:
            self.adversary.begin_step(spent)

    def parameters_of_disc(self) -> list[nn.Parameter]:
        """Return the parameters that the phase "disc" trains; none without a discriminator."""
        return [] if self.adversary is None else list(self.adversary.parameters())

    def check(self, x: Tensor) -> None:
        """Raise ValueError on images x (B, C, H, W) that a part cannot take, and on a criterion without the
        bound that it needs."""
        if self.perceptual is not None:
            self.perceptual(x, x)
        if self.adversary is not None:
            self.adversary.check()
            self.adversary.discriminator(x)

    def forward(self, loss: Loss, fake: Callable[[], Tensor], x: Tensor, decoder: nn.Module) -> Loss:
        """Add the terms to an autoencoder's loss of images x (B, C, H, W).

        fake: makes their reconstructions, (B, C, H, W), where there is a term that needs them. decoder: its
        last layer balances the adversarial term.
        """
        if self.perceptual is None and self.adversary is None:
            return loss
        made = fake()
        if self.perceptual is not None:
            distance = self.perceptual(made, x).mean()
            total = loss.total + self.perceptual.weight * distance
            loss = Loss(total, {**loss.terms, "perceptual": distance.detach()})
        if self.adversary is not None:
            loss = self.adversary.generator_loss(loss, made, x, last=last_layer(decoder))
        return loss

    def discriminator_loss(self, x: Tensor, fake: Tensor) -> Loss:
        """Compute the loss of phase "disc" on images x and their reconstructions, (B, C, H, W) each."""
        assert self.adversary is not None, "there is no phase of a discriminator"
        return self.adversary.discriminator_loss(x, fake)
