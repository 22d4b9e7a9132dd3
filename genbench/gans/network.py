"""The networks of a GAN: two abstract classes between networks and family."""

from abc import ABC, abstractmethod

from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm

__all__ = ["DiscriminatorNetwork", "GeneratorNetwork", "has_spectral_norm"]


class GeneratorNetwork(nn.Module, ABC):
    """Latents z ~ N(0, I) of L numbers to images, one image for each latent and label.

    Each image follows from its own latent alone: statistics over the batch would couple samples, and their
    averages would belong to the raw weights.
    """

    @abstractmethod
    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """z (B, L), y (B,) int64 where there are classes -> images (B, C, H, W) in [-1, 1]."""


class DiscriminatorNetwork(nn.Module, ABC):
    """Images to logits, above 0 where an image looks real (criteria that compare logits fix no zero).

    It must be twice differentiable where a gradient penalty is taken.
    """

    @abstractmethod
    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """x (B, C, H, W) in about [-1, 1], y (B,) int64 where there are classes -> logits (B,)."""


def has_spectral_norm(discriminator: nn.Module) -> bool:
    """Return True where at least one layer of a discriminator has a weight W / sigma(W), by torch's
    parametrization `spectral_norm`, whose sigma is found by a power iteration in each training pass. Other
    parametrizations, such as weight_norm, bound no slope.
    """
    return any(isinstance(module, _SpectralNorm) for module in discriminator.modules())
