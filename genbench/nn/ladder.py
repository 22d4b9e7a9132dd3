"""The network of a hierarchical VAE: features on the way down, latents on the way up."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.nn.resnet import BottomUp, Condition, Exit, check_latent, map_sizes, widths_of
from genbench.nn.unet import ResidualBlock, Upsample, zero
from genbench.probability.gaussian import reparameterize
from genbench.vaes.bound import Inference
from genbench.vaes.network import LatentNetwork

__all__ = ["Ladder"]

Draw = tuple[Tensor, Tensor, Tensor]
"""u, mu, logvar of one layer in whitened coordinates, (B, numbers of the layer) each."""


class Ladder(LatentNetwork):
    """A vector of latent_top numbers for the whole image, then on each map `blocks` layers of local latents.

    On the way up, from the smallest map to the largest, each local layer draws latent_channels numbers a
    position given all above it (and, in inference, the features of its size from the way down). The vector
    also sets scale and shift of every block. Other settings as genbench.nn.resnet.BottomUp's.
    Source: Child 2021 (VDVAE), Figure 3; the vector on top is this project's.
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        *,
        latent_top: int = 16,
        latent_channels: int = 1,
        width: int = 32,
        multipliers: Sequence[int] | None = None,
        blocks: int = 1,
        patch: int = 1,
        out_channels: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_latent(min(latent_top, latent_channels))
        widths = widths_of(shape, width, multipliers, blocks, patch)
        self.patch, self.sizes = patch, map_sizes(shape, multipliers, patch)
        self.bottom_up = BottomUp(
            shape,
            num_classes,
            width=width,
            multipliers=multipliers,
            blocks=blocks,
            patch=patch,
            dropout=dropout,
        )
        self.map_shape = (widths[-1], *self.sizes[-1])
        numbers = widths[-1] * self.sizes[-1][0] * self.sizes[-1][1]
        self.infer = nn.Linear(numbers, 2 * latent_top)
        self.head = nn.Linear(latent_top, numbers)
        self.condition = Condition(latent_top, num_classes, 4 * width)
        self.levels, self.latents, now = nn.ModuleList(), [latent_top], widths[-1]
        for size, out in reversed(list(zip(self.sizes, widths, strict=True))):
            stage = nn.ModuleList([Upsample(now)] if self.levels else [])
            for _ in range(blocks):
                stage.append(LatentLayer(now, out, latent_channels, 4 * width, dropout))
                self.latents.append(latent_channels * size[0] * size[1])
                now = out
            self.levels.append(stage)
        self.latent = sum(self.latents)
        self.leave = Exit(now, (out_channels or shape[0]) * patch**2)

    def forward(self, eps: Tensor, x: Tensor | None = None, y: Tensor | None = None) -> Inference:
        noise = list(eps.split(self.latents, dim=1))
        features = None if x is None else self.bottom_up(x, y)
        top = draw(noise.pop(0), None if features is None else self.infer(features[-1].flatten(1)))
        drawn, condition = [top], self.condition(top[0], y)  # (B, E)
        h = self.head(top[0]).reshape(-1, *self.map_shape)
        for stage, size in zip(self.levels, reversed(self.sizes), strict=True):
            for layer in stage:
                if isinstance(layer, Upsample):
                    h = layer(h, size)
                else:
                    seen = None if features is None else features.pop()
                    h, local = layer(h, noise.pop(0), seen, condition)
                    drawn.append(local)
        u, mu, logvar = (torch.cat(parts, dim=1) for parts in zip(*drawn, strict=True))
        return Inference(u, mu, logvar, F.pixel_shuffle(self.leave(h), self.patch).float())


class LatentLayer(nn.Module):
    """Adds local latents z = prior mean + prior deviation * u to the map, then runs a residual block."""

    def __init__(self, inputs: int, outputs: int, latent: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.prior = zero(nn.Conv2d(inputs, 2 * latent, 1))
        self.posterior = nn.Sequential(
            nn.Conv2d(inputs + outputs, outputs, 3, padding=1),
            nn.SiLU(),
            zero(nn.Conv2d(outputs, 2 * latent, 1)),
        )
        self.inject = nn.Conv2d(latent, inputs, 1)
        self.block = ResidualBlock(inputs, outputs, embedding, dropout)

    def forward(
        self, h: Tensor, eps: Tensor, features: Tensor | None, condition: Tensor
    ) -> tuple[Tensor, Draw]:
        """h (B, inputs, h, w), eps (B, latent h w), features (B, outputs, h, w) or None -> map, draw."""
        seen = None if features is None else self.posterior(torch.cat([h, features], dim=1)).flatten(1)
        local = draw(eps, seen)
        mean, log_deviation = self.prior(h).chunk(2, dim=1)
        z = mean + log_deviation.exp() * local[0].reshape(mean.shape)
        return self.block(h + self.inject(z), condition), local


def draw(eps: Tensor, moments: Tensor | None) -> Draw:
    """u, mu, logvar from a posterior's moments (B, 2 L), from N(0, I) where there are none; float32."""
    if moments is None:
        return eps, torch.zeros_like(eps), torch.zeros_like(eps)
    mu, logvar = moments.float().chunk(2, dim=1)
    return reparameterize(mu, logvar, eps), mu, logvar
