"""The network of a hierarchical VAE: features on the way down, latents on the way up."""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.nn.blocks import Condition, NormConv, ResidualBlock, Upsample, zero
from genbench.nn.resnet import BottomUp
from genbench.nn.sizes import Sizes
from genbench.probability.counts import MOST_CHANNELS, check_count
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
    also sets scale and shift of every block. out_channels: None is those of the image. Other settings: see
    genbench.nn.sizes.Sizes. Raises ValueError on sizes that no network can have.
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
        check_count("network.latent_top", latent_top, MOST_CHANNELS, usual=16)
        check_count("network.latent_channels", latent_channels, MOST_CHANNELS, usual=1)
        sizes = Sizes(shape, num_classes, width, multipliers, blocks, patch, dropout)
        self.patch, self.sizes, self.smallest = patch, sizes.maps, sizes.smallest
        self.bottom_up = BottomUp(sizes)
        now, height, breadth = self.smallest
        self.infer = nn.Linear(now * height * breadth, 2 * latent_top)
        self.head = nn.Linear(latent_top, now * height * breadth)
        self.condition = Condition(latent_top, num_classes, sizes.embedding)
        self.levels, self.latents = nn.ModuleList(), [latent_top]
        for (height, breadth), out in reversed(list(zip(sizes.maps, sizes.widths, strict=True))):
            stage = nn.ModuleList([Upsample(now)] if self.levels else [])
            for _ in range(blocks):
                stage.append(LatentLayer(now, out, latent_channels, sizes.embedding, dropout))
                self.latents.append(latent_channels * height * breadth)
                now = out
            self.levels.append(stage)
        self.latent = sum(self.latents)
        outputs = sizes.channels("out_channels", out_channels)
        self.leave = NormConv(now, sizes.folded(outputs))

    def layers(self) -> list[int]:
        return self.latents

    def forward(self, eps: Tensor, x: Tensor | None = None, y: Tensor | None = None) -> Inference:
        noise = list(eps.split(self.latents, dim=1))  # (B, numbers of the layer) each
        features = None if x is None else self.bottom_up(x, y)
        top = draw(noise.pop(0), None if features is None else self.infer(features[-1].flatten(1)))
        drawn, condition = [top], self.condition(top[0], y)  # (B, E)
        h = self.head(top[0]).reshape(-1, *self.smallest)  # (B, width_L, h, w)
        for stage, size in zip(self.levels, reversed(self.sizes), strict=True):
            for layer in cast("nn.ModuleList", stage):
                if isinstance(layer, Upsample):
                    h = layer(h, size)
                else:
                    seen = None if features is None else features.pop()
                    h, local = layer(h, noise.pop(0), seen, condition)
                    drawn.append(local)
        u, mu, logvar = (torch.cat(parts, dim=1) for parts in zip(*drawn, strict=True))  # (B, L) each
        return Inference(u, mu, logvar, F.pixel_shuffle(self.leave(h), self.patch).float())


class LatentLayer(nn.Module):
    """Adds local latents z = prior mean + prior deviation * u to the map, then runs a residual block.

    Prior and posterior start as N(0, I). Source: Child 2021 (VDVAE), Figure 3.
    """

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
        mean, log_deviation = self.prior(h).chunk(2, dim=1)  # (B, latent, h, w) each
        z = mean + log_deviation.exp() * local[0].reshape(mean.shape)
        return self.block(h + self.inject(z), condition), local


def draw(eps: Tensor, moments: Tensor | None) -> Draw:
    """u, mu, logvar from a posterior's moments (B, 2 L), from N(0, I) where there are none; float32."""
    if moments is None:
        return eps, torch.zeros_like(eps), torch.zeros_like(eps)
    mu, logvar = moments.float().chunk(2, dim=1)
    return reparameterize(mu, logvar, eps), mu, logvar
