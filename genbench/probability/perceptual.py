"""The perceptual distance of two images: that of the features of a frozen network at several depths."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["Layers", "Perceptual", "no_perceptual", "unit_length"]

Layers = Sequence[tuple[Tensor, Tensor]]
"""Features (B, F, h, w) of each layer of a network, and the weights (F,) >= 0 of their channels."""


class Perceptual(nn.Module):
    """d(a, b) = sum_l mean_hw sum_f w_lf (n_lf(a) - n_lf(b))^2, a squared distance of images: 0 where equal.

    n_l are the features of layer l, of unit length over its channels at each position.
    network: frozen, images (B, C, H, W) in about [-1, 1] -> `Layers`, whose gradient reaches the images.
    weight: of the distance in a loss; 0 is the loss without it. eps: added to a squared length before its
    root, which has no slope at 0, where no feature of a layer is active.
    Raises ValueError on a weight below 0 and on an eps that is not above 0.
    Source: Zhang et al. 2018, Eq. 1, with the eps of torchmetrics.
    """

    def __init__(self, network: nn.Module, *, weight: float = 1.0, eps: float = 1e-8) -> None:
        super().__init__()
        if not weight >= 0:
            raise ValueError(f"perceptual.weight is {weight}; it must be at least 0 (no effect), e.g. 1.0")
        if not eps > 0:
            raise ValueError(f"perceptual.eps is {eps}; it must be above 0, e.g. 1e-8")
        self.network, self.weight, self.eps = network.requires_grad_(False), weight, eps

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Distances of images a and b, (B, C, H, W) each in about [-1, 1] -> (B,) float32."""
        distances = []
        for (ours, weights), (theirs, _) in zip(self.layers(a), self.layers(b), strict=True):
            apart = (unit_length(ours, self.eps) - unit_length(theirs, self.eps)).square()
            distances.append((weights[:, None, None] * apart).sum(1).mean((1, 2)))
        return torch.stack(distances).sum(0)

    def layers(self, x: Tensor) -> Layers:
        """Return the features of images (B, C, H, W) in about [-1, 1], and their weights, layer by layer."""
        layers: Layers = self.network(x.float())
        return layers

    def train(self, mode: bool = True) -> "Perceptual":
        """Remain in evaluation mode, whatever the model around it does: a distance knows no batch."""
        return super().train(False)


def no_perceptual() -> None:
    """Make no perceptual distance: losses compare pixels alone (perceptual=none)."""


def unit_length(maps: Tensor, eps: float) -> Tensor:
    """Divide maps (B, F, h, w) at each position by their length over the channels, sqrt(eps + sum f^2)."""
    return maps / (eps + maps.square().sum(1, keepdim=True)).sqrt()
