"""The network of a VAE: abstract classes between networks and family."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from genbench.probability.gaussian import reparameterize
from genbench.vaes.bound import Inference

__all__ = ["LatentNetwork", "OneLayerNetwork"]


class LatentNetwork(nn.Module, ABC):
    """Latent layers z_1, z_2, .. from coarse to fine, each with a prior p(z_i | z_<i) and a posterior.

    In whitened coordinates u_i = (z_i - prior mean) / prior deviation, and all u in one vector of `latent`
    numbers, the prior of u is N(0, I) and each posterior is relative to its prior: KL(q(z) || p(z)) is the KL
    of q(u) to N(0, I), layer by layer, since a KL does not change under an invertible map.
    Source: Sonderby et al. 2016 (top-down inference); Vahdat & Kautz 2020 (NVAE), Section 3.2.
    """

    latent: int
    """The number of latent dimensions of all layers together, L."""

    def layers(self) -> list[int]:
        """The numbers of each layer, from the coarsest to the finest, L in all. By default one layer."""
        return [self.latent]

    def map_shape(self) -> tuple[int, int, int]:
        """The latent vector as a map (channels, h, w) with channels * h * w = L.

        One pixel, (L, 1, 1), unless the network has latents of positions; models of latents work on it.
        """
        return self.latent, 1, 1

    @abstractmethod
    def forward(self, eps: Tensor, x: Tensor | None = None, y: Tensor | None = None) -> Inference:
        """With images x: u = mu + e^(logvar / 2) eps from the posteriors; without: u = eps, mu = logvar = 0.

        eps (B, L), x (B, C, H, W), y (B,) -> z holds u (B, L), output (B, outputs * C, H, W), all float32.
        """


class OneLayerNetwork(LatentNetwork):
    """A single latent layer, u = z, with q(z | x) from `moments` and p(x | z) from `output`.

    Source: Kingma & Welling 2014, Section 3.
    """

    @abstractmethod
    def moments(self, x: Tensor, y: Tensor | None) -> Tensor:
        """Mean and log-variance of q(z | x), concatenated in this order.

        x (B, C, H, W), y (B,) int64 where there are classes -> (B, 2 L).
        """

    @abstractmethod
    def output(self, z: Tensor, y: Tensor | None) -> Tensor:
        """The decoder's answer for latents, which a pixel likelihood reads.

        z (B, L), y (B,) int64 where there are classes -> (B, outputs * C, H, W).
        """

    def forward(self, eps: Tensor, x: Tensor | None = None, y: Tensor | None = None) -> Inference:
        if x is None:
            mu = logvar = torch.zeros_like(eps)  # sampling: the posterior of no image is the prior
            z = eps
        else:
            mu, logvar = self.checked(self.moments(x, y)).float().chunk(2, dim=1)
            z = reparameterize(mu, logvar, eps)
        return Inference(z, mu, logvar, self.output(z, y).float())

    def checked(self, moments: Tensor) -> Tensor:
        """Return moments (B, 2 L) as they are; raises ValueError where they are not of L latent numbers."""
        if moments.shape[1] != 2 * self.latent:
            raise ValueError(
                f"the encoder answers {moments.shape[1]} numbers, and mean and log-variance of "
                f"{self.latent} latent numbers are {2 * self.latent}: set network.encoder.moments=2"
            )
        return moments
