"""What the network of a VAE answers to: one abstract class between networks and family."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from genbench.vaes.bound import Inference

__all__ = ["LatentNetwork"]


class LatentNetwork(nn.Module, ABC):
    """Latent layers z_1, z_2, .. from coarse to fine, each with a prior p(z_i | z_<i) and a posterior.

    In whitened coordinates u_i = (z_i - prior mean) / prior deviation, and all u in one vector of `latent`
    numbers, the prior of u is N(0, I) and each posterior is relative to its prior: KL(q(z) || p(z)) is the KL
    of q(u) to N(0, I), layer by layer, since a KL does not change under an invertible map.
    Source: Sonderby et al. 2016 (top-down inference); Vahdat & Kautz 2020 (NVAE), Section 3.2.
    """

    latent: int
    """The number of latent dimensions of all layers together, L."""

    @abstractmethod
    def forward(self, eps: Tensor, x: Tensor | None = None, y: Tensor | None = None) -> Inference:
        """With images x: u = mu + e^(logvar / 2) eps from the posteriors; without: u = eps, mu = logvar = 0.

        eps (B, L), x (B, C, H, W), y (B,) -> z holds u (B, L), output (B, outputs * C, H, W), all float32.
        """
