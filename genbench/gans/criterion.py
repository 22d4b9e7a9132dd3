"""Criteria: the losses of discriminator and generator, as functions of the discriminator's logits."""

from abc import ABC, abstractmethod

import torch.nn.functional as F
from torch import Tensor, nn

from genbench.gans.network import has_spectral_norm
from genbench.gans.penalty import Penalties

__all__ = ["Criterion", "Hinge", "LeastSquares", "NonSaturating", "Relativistic", "Wasserstein"]


class Criterion(ABC):
    """A pair of losses of logits (B,), each the mean over the batch, () float32.

    The discriminator minimises `disc`, the generator `gen`. Logits 0 are no decision: D(x) = 1/2 where there
    is a probability.
    """

    compares: bool = False
    """True where `gen` needs the logits of real images too; all others save the pass for them."""

    def check(self, discriminator: nn.Module, penalties: Penalties) -> None:  # noqa: B027 - most fit all
        """Raise ValueError where these losses are undefined for such a discriminator; by default never.

        penalties: of the discriminator's slope, which some criteria need. The message names the settings to
        change.
        """

    @abstractmethod
    def disc(self, real: Tensor, fake: Tensor) -> Tensor:
        """The discriminator's loss, () float32.

        real, fake: logits (B,) of real images and of generated ones, the i-th of each as a pair where the
        criterion compares.
        """

    @abstractmethod
    def gen(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """The generator's loss, () float32.

        fake: logits (B,) of generated images, which gradients pass to; real: logits (B,) of real ones, given
        where the criterion compares.
        """


class NonSaturating(Criterion):
    """disc = E softplus(-real) + E softplus(fake), gen = E softplus(-fake).

    Source: Goodfellow et al. 2014, Section 3.
    """

    def disc(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(-real.float()).mean() + F.softplus(fake.float()).mean()

    def gen(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return F.softplus(-fake.float()).mean()


class LeastSquares(Criterion):
    """disc = E (real - 1)^2 / 2 + E fake^2 / 2, gen = E (fake - 1)^2 / 2.

    Source: Mao et al. 2017, Eq. 9.
    """

    def disc(self, real: Tensor, fake: Tensor) -> Tensor:
        return ((real.float() - 1).square().mean() + fake.float().square().mean()) / 2

    def gen(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return (fake.float() - 1).square().mean() / 2


class Hinge(Criterion):
    """disc = E max(0, 1 - real) + E max(0, 1 + fake), gen = -E fake.

    Source: Miyato et al. 2018, Eq. 16 and 17.
    """

    def disc(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.relu(1 - real.float()).mean() + F.relu(1 + fake.float()).mean()

    def gen(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -fake.float().mean()


class Wasserstein(Criterion):
    """disc = E fake - E real, gen = -E fake; it needs a discriminator of bounded slope, close to its optimum.

    The slope is bounded by one kind of penalty (with several at once it has no known target) or by spectral
    normalisation; without a bound the loss has no minimum.
    Source: Arjovsky et al. 2017, Eq. 2; with a gradient penalty and five discriminator steps for each of the
    generator's, which the configuration sets, as Gulrajani et al. 2017, Algorithm 1.
    """

    def disc(self, real: Tensor, fake: Tensor) -> Tensor:
        return fake.float().mean() - real.float().mean()

    def check(self, discriminator: nn.Module, penalties: Penalties) -> None:
        # Penalties at the images, of real or generated ones, aim at a slope of 0; the gradient penalty at 1.
        at_data = penalties.r1 > 0 or penalties.r2 > 0
        if not (penalties.has_weight() or has_spectral_norm(discriminator)):
            raise ValueError(
                "criterion=wasserstein needs a discriminator of bounded gradient, but nothing bounds it: use "
                "penalty=gradient, or network.discriminator.spectral_norm=true"
            )
        if penalties.gradient and at_data:
            raise ValueError(
                "criterion=wasserstein takes one kind of penalty, and "
                f"penalty.gradient={penalties.gradient:g} comes with penalty.r1={penalties.r1:g} and "
                f"penalty.r2={penalties.r2:g}: set penalty.r1=0 penalty.r2=0 (presets set them too), or "
                "penalty.gradient=0"
            )

    def gen(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -fake.float().mean()


class Relativistic(Criterion):
    """disc = E softplus(fake - real), gen = E softplus(real - fake), each fake paired with one real image.

    Raises ValueError where the generator's loss is asked for without the logits of real images.
    Source: Jolicoeur-Martineau 2019, Eq. 4; Huang et al. 2024 (R3GAN), Eq. 2.
    """

    compares = True

    def disc(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(fake.float() - real.float()).mean()

    def gen(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        if real is None:
            raise ValueError("real is None; the relativistic criterion needs the logits of real images too")
        return self.disc(fake, real)  # the same loss with real and generated images exchanged
