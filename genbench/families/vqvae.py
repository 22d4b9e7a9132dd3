"""The vector-quantised autoencoder: images as small maps of codes."""

import torch
from torch import Tensor, nn

from genbench.generator import Loss, NoPrior, Rng, Unsampled
from genbench.vaes.codebook import Codebook, perplexity
from genbench.vaes.likelihood import PixelLikelihood

__all__ = ["VQVAE"]


class VQVAE(Unsampled):
    """Encoder to a map of L numbers a position, each position replaced by its nearest code, decoder.

    loss = -log p(x | decoder(codes)) / D + commitment * |z_e - sg[codes]|^2 / L, averaged over positions; the
    codebook itself follows the batch by moving averages. The latent is the map of codes (B, L, h, w).
    It codes images, and has no law of its codes: prior and sample raise NoPrior.
    Source: van den Oord et al. 2017, Eq. 3; here the reconstruction counts for each dimension, D = C H W.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_classes: int,
        *,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: PixelLikelihood,
        codebook: Codebook,
        commitment: float = 0.25,
    ) -> None:
        super().__init__(shape, num_classes)
        if commitment < 0:
            raise ValueError(f"model.commitment is {commitment}; it must be at least 0, e.g. 0.25")
        self.encoder, self.decoder, self.likelihood = encoder, decoder, likelihood
        self.codebook, self.commitment = codebook, commitment
        with torch.no_grad():
            y = torch.zeros(1, dtype=torch.int64) if num_classes else None
            self.latent_shape = tuple(encoder(torch.zeros(1, *shape), y).shape[1:])
        if self.latent_shape[0] != codebook.dimensions:
            raise ValueError(
                f"the encoder answers {self.latent_shape[0]} numbers a position, and "
                f"model.codebook.dimensions is {codebook.dimensions}: set network.encoder.out_channels to it"
            )

    def networks(self) -> list[nn.Module]:
        return [self.encoder, self.decoder]

    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> Loss:
        self.check_phase(phase)
        self.check_batch(x, y)
        q = self.codebook(self.encoder(x, y))
        reconstruction = self.likelihood.training_nats(self.decoder(q.z, y), x).mean()
        total = reconstruction / x[0].numel() + self.commitment * q.commitment
        terms = {
            "reconstruction": reconstruction.detach(),
            "commitment": q.commitment.detach(),
            "perplexity": perplexity(q.index, self.codebook.size),
        }
        return Loss(total, terms)

    def prior(self, n: int, y: Tensor | None = None, *, rng: Rng | None = None) -> Tensor:
        self.check_labels(y, n)
        raise NoPrior(
            "a VQ-VAE codes images; the law of its codes comes with the autoregressive family: "
            "use encode and decode, or take model=vae or autoencoder for samples"
        )

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        self.check_batch(x, y)
        z = self.encoder(x, y)
        return self.codebook.look_up(self.codebook.nearest(z.float().movedim(1, -1)))

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        self.check_labels(y, len(z))
        z = self.codebook.look_up(self.codebook.nearest(z.movedim(1, -1)))  # codes stay what they are
        return self.likelihood.mean(self.decoder(z, y))
