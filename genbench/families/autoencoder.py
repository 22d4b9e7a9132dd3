"""The plain autoencoder, with a Gaussian fitted to its codes so that it can be sampled."""

import torch
from torch import Tensor, nn

from genbench.generator import Latent, Loss, Rng, Y
from genbench.text.legal import labels_of
from genbench.vaes.density import GaussianDensity
from genbench.vaes.likelihood import PixelLikelihood

__all__ = ["Autoencoder"]


class Autoencoder(Latent):
    """z = encoder(x), x' = mean of p(x | decoder(z)): a VAE with beta = 0 and no noise; no likelihood.

    loss = -log p(x | decoder(encoder(x))) / D, by the likelihood's own loss. In training mode each step also
    updates `density`, from which prior draws, by its codes (B, L), without gradient: over a window of the
    last batches, so that no second stage is needed.
    latent: L, which encoder and density must have too, else ValueError.
    Source: Hinton & Salakhutdinov 2006; a density fitted after: Ghosh et al. 2020, Section 4.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_classes: int,
        *,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: PixelLikelihood,
        density: GaussianDensity,
        latent: int,
    ) -> None:
        super().__init__(shape, num_classes)
        self.encoder, self.decoder, self.likelihood = encoder, decoder, likelihood
        self.density = density
        self.latent_shape = (latent,)
        with torch.no_grad():
            answered = encoder(*self.example()).shape[1]
        if not latent == answered == density.dimensions:
            raise ValueError(
                f"model.latent is {latent}, the encoder answers {answered} numbers, "
                f"model.density.dimensions is {density.dimensions}: all must be equal: set only model.latent"
            )

    def check_trainable(self) -> None:
        x, y = self.example()
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            self.likelihood.check(self.decoder(torch.zeros(1, *self.latent_shape), y), x)

    def networks(self) -> list[nn.Module]:
        return [self.encoder, self.decoder]

    def loss(self, x: Tensor, y: Y = None, *, phase: str = "net", step: int = 0) -> Loss:
        self.check_phase(phase)
        self.check_batch(x, y)
        z = self.encode(x, y)
        # An evaluation of the loss must not move the density that samples are drawn from.
        if self.training:
            self.density.update(z, labels_of(y))
        reconstruction = self.likelihood.training_nats(self.decoder(z, y), x).mean()
        return Loss(reconstruction / x[0].numel(), {"reconstruction": reconstruction.detach()})

    def prior(self, n: int, y: Y = None, *, rng: Rng | None = None) -> Tensor:
        self.check_labels(y, n)
        return self.density.sample(n, labels_of(y), rng=rng)

    def encode(self, x: Tensor, y: Y = None) -> Tensor:
        self.check_batch(x, y)
        return self.encoder(x, y).float()

    def decode(self, z: Tensor, y: Y = None) -> Tensor:
        self.check_labels(y, len(z))
        return self.likelihood.mean(self.decoder(z, y))
