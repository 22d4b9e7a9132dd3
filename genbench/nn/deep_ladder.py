"""The network of a very deep VAE: many layers of latents on each map, from one pixel up to the image."""

import math
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.nn.blocks import label_embedding, with_label, zero
from genbench.nn.sizes import SMALLEST_MAP, Sizes, multipliers_down_to
from genbench.probability.counts import MOST_CHANNELS, MOST_LAYERS, check_count
from genbench.probability.gaussian import reparameterize
from genbench.vaes.bound import Inference
from genbench.vaes.network import LatentNetwork

__all__ = ["DeepLadder", "StochasticLayer"]

Size = tuple[int, int]
Draw = tuple[Tensor, Tensor, Tensor]
"""u, mu, logvar of one layer in whitened coordinates, (B, numbers of the layer) each."""

LARGEST_BIAS = 64
"""The side of the largest map that has a learned vector at every position."""
LARGEST_1X1 = 2
"""The side of the largest map on which all convolutions are 1x1, since a 3x3 one would see mostly padding."""


class DeepLadder(LatentNetwork):
    """On each map `layers` stochastic layers of latent_channels numbers a position, one after the other.

    The maps are the image, halved (rounding up) down to sides of at most 4, and one pixel. On the way up to
    the image, a map begins as what the smaller one ended with, by nearest neighbours, plus a learned vector
    for each position. In inference, the layers of a map all see the features that the way down has there.
    layers, blocks: of each map, the largest first, or one number for all; blocks are those of the way down.
    A list says how many maps there are, the last of which is one pixel.
    bottleneck: channels inside of each block, as a share of width. num_classes: labels are a learned vector
    of each map, which the source does not have. patch, out_channels: see genbench.nn.sizes.Sizes; None is
    the channels of the image. Raises ValueError on sizes that no network can have.
    Source: Child 2021 (VDVAE), Figure 3, Section 3 and Appendix; layer by layer as in the published code.
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        *,
        layers: int | Sequence[int] = 2,
        blocks: int | Sequence[int] = 1,
        latent_channels: int = 4,
        width: int = 32,
        bottleneck: float = 0.5,
        patch: int = 1,
        out_channels: int | None = None,
    ) -> None:
        super().__init__()
        check_count("network.latent_channels", latent_channels, MOST_CHANNELS, usual=4)
        if not 0 < bottleneck <= 1:
            raise ValueError(
                f"network.bottleneck is {bottleneck}; it must be above 0 and at most 1, e.g. 0.25"
            )
        count = map_count(shape, patch, layers, blocks)
        sizes = Sizes(shape, num_classes, width, [1] * (count - 1), 1, patch, 0.0)
        maps: list[Size] = [*sizes.maps, (1, 1)]
        depths, heights = each_map("layers", layers, count), each_map("blocks", blocks, count)
        middle = max(round(width * bottleneck), 1)
        self.patch = patch
        self.bottom_up = BottomUp(sizes, maps, heights, middle)
        scale, smaller_first = sum(depths) ** -0.5, list(zip(maps, depths, strict=True))[::-1]
        self.levels = nn.ModuleList(
            Level(size, width, middle, latent=latent_channels, layers=depth, scale=scale, classes=num_classes)
            for size, depth in smaller_first
        )
        self.latents = [
            latent_channels * math.prod(size) for size, depth in smaller_first for _ in range(depth)
        ]
        self.latent = sum(self.latents)
        self.gain, self.shift = nn.Parameter(torch.ones(width, 1, 1)), nn.Parameter(torch.zeros(width, 1, 1))
        outputs = sizes.channels("out_channels", out_channels)
        self.leave = without_bias(nn.Conv2d(width, sizes.folded(outputs), 1))

    def layers(self) -> list[int]:
        return self.latents

    def forward(self, eps: Tensor, x: Tensor | None = None, y: Tensor | None = None) -> Inference:
        noise = list(eps.split(self.latents, dim=1))  # (B, numbers of the layer) each
        features = [None] * len(self.levels) if x is None else self.bottom_up(x, y)[::-1]
        h, drawn = eps.new_zeros(len(eps), 1, 1, 1), list[Draw]()  # the first map begins from nothing
        for level, seen in zip(self.levels, features, strict=True):
            h = cast("Level", level).begin(h, y)  # (B, width, h, w)
            for layer in cast("Level", level).layers:
                h, local = layer(h, noise[len(drawn)], seen)
                drawn.append(local)
        u, mu, logvar = (torch.cat(parts, dim=1) for parts in zip(*drawn, strict=True))  # (B, L) each
        output = self.leave(h * self.gain + self.shift)
        return Inference(u, mu, logvar, F.pixel_shuffle(output, self.patch).float())


class BottomUp(nn.Module):
    """Images to features of every map, each of `width` channels: residual blocks, and averages of squares.

    A map has blocks[i] blocks, whose features are the answer, then one more before it is halved.
    """

    def __init__(self, sizes: Sizes, maps: Sequence[Size], blocks: Sequence[int], middle: int) -> None:
        super().__init__()
        self.patch, self.maps = sizes.patch, maps
        self.enter = without_bias(nn.Conv2d(sizes.folded(sizes.shape[0]), sizes.width, 3, padding=1))
        self.label = label_embedding(sizes.num_classes, sizes.width)
        counts = [*(count + 1 for count in blocks[:-1]), blocks[-1]]
        scale, self.levels = sum(counts) ** -0.5, nn.ModuleList()
        for size, count in zip(maps, counts, strict=True):
            each = (Bottleneck(sizes.width, middle, sizes.width, size, scale) for _ in range(count))
            self.levels.append(nn.ModuleList(each))

    def forward(self, x: Tensor, y: Tensor | None = None) -> list[Tensor]:
        """x (B, C, H, W), y (B,) int64 where there are classes -> (B, width, h_i, w_i), largest map first."""
        # The sum of so many small terms remains float32 under autocast.
        h = with_label(self.enter(F.pixel_unshuffle(x, self.patch)).float(), self.label, y)
        features = []
        for level, smaller in zip(self.levels, [*self.maps[1:], None], strict=True):
            *within, last = cast("nn.ModuleList", level)
            for block in within:
                h = h + block(h)
            if smaller is None:
                features.append(h + last(h))
            else:
                features.append(h)
                h = pooled(h + last(h), smaller)
        return features


class Level(nn.Module):
    """The stochastic layers of one map, and the vectors that it begins with: of a position, of a label."""

    def __init__(
        self, size: Size, width: int, middle: int, *, latent: int, layers: int, scale: float, classes: int
    ) -> None:
        super().__init__()
        self.size = size
        bias = nn.Parameter(torch.zeros(width, *size)) if max(size) <= LARGEST_BIAS else None
        self.register_parameter("bias", bias)
        self.bias: nn.Parameter | None
        self.label = label_embedding(classes, width)
        self.layers = nn.ModuleList(
            StochasticLayer(width, middle, latent, size, scale) for _ in range(layers)
        )

    def begin(self, smaller: Tensor, y: Tensor | None) -> Tensor:
        """The map before its first layer, (B, width, h, w), given how the smaller one ended, (B, .., ..)."""
        h = F.interpolate(smaller, size=self.size, mode="nearest").contiguous(
            memory_format=torch.channels_last
        )
        return with_label(h if self.bias is None else h + self.bias, self.label, y)


class StochasticLayer(nn.Module):
    """One layer of latents: h + residual feature + projection of z, then a residual block.

    The prior N(m, s^2) of z and the residual feature are answers to h, the posterior to h and the features of
    the way down. At first the prior is N(0, I) and the feature 0.
    Source: Child 2021 (VDVAE), Figure 3.
    """

    def __init__(self, width: int, middle: int, latent: int, size: Size, scale: float) -> None:
        super().__init__()
        self.latent = latent
        self.posterior = Bottleneck(2 * width, middle, 2 * latent, size)
        self.prior = Bottleneck(width, middle, 2 * latent + width, size, 0.0)
        self.inject = without_bias(nn.Conv2d(latent, width, 1), scale)
        self.block = Bottleneck(width, middle, width, size, scale)

    def forward(self, h: Tensor, eps: Tensor, features: Tensor | None) -> tuple[Tensor, Draw]:
        """h (B, width, h, w), eps (B, h w latent), features as h or None -> the map, the draw.

        Without features, u = eps and z is drawn from the prior. With them u is z in the coordinates in which
        the prior is N(0, I): mu = (m_q - m) / s, deviation s_q / s, so that its KL is that of z.
        """
        prior, feature = self.prior(h).split((2 * self.latent, h.shape[1]), dim=1)
        mean, log_s = prior.float().chunk(2, dim=1)  # (B, latent, h, w) each
        u = eps.reshape(len(h), *h.shape[2:], self.latent).movedim(-1, 1)  # (B, latent, h, w)
        mu = logvar = torch.zeros_like(u)
        if features is not None:
            of_q, log_s_q = self.moments(h, features)
            mu, logvar = (of_q - mean) * (-log_s).exp(), 2 * (log_s_q - log_s)
            u = reparameterize(mu, logvar, u)
        h = h + feature + self.inject(mean + log_s.exp() * u)
        # Positions first, as channels_last has them in memory.
        return h + self.block(h), (flat(u), flat(mu), flat(logvar))

    def moments(self, h: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-deviation of z under its posterior, (B, latent, h, w) each, float32."""
        of_q, log_s_q = self.posterior(torch.cat([h, features], dim=1)).float().chunk(2, dim=1)
        return of_q, log_s_q


class Bottleneck(nn.Sequential):
    """Convolutions 1x1, 3x3, 3x3, 1x1, each after a GELU, through `middle` channels; no norm.

    (B, inputs, h, w) -> (B, outputs, h, w). On maps of at most 2x2 all are 1x1. scale: of the initial weights
    of the last one, 1 / sqrt(number of residual blocks) for those, 0 for one that starts at 0.
    Source: Child 2021, Figure 3 and Section 3.1.
    """

    def __init__(self, inputs: int, middle: int, outputs: int, size: Size, scale: float = 1.0) -> None:
        side = 1 if max(size) <= LARGEST_1X1 else 3
        convs = [
            nn.Conv2d(inputs, middle, 1),
            nn.Conv2d(middle, middle, side, padding=side // 2),
            nn.Conv2d(middle, middle, side, padding=side // 2),
            nn.Conv2d(middle, outputs, 1),
        ]
        scales = (1.0, 1.0, 1.0, scale)
        super().__init__(
            *(
                layer
                for conv, factor in zip(convs, scales, strict=True)
                for layer in (nn.GELU(), without_bias(conv, factor))
            )
        )


def flat(latents: Tensor) -> Tensor:
    """(B, latent, h, w) -> (B, h w latent), position by position, each with its channels."""
    return latents.movedim(1, -1).flatten(1)


def without_bias(conv: nn.Conv2d, scale: float = 1.0) -> nn.Conv2d:
    """The same convolution with its bias at 0 and its weights times `scale`, in place."""
    if scale == 0:
        return zero(conv)
    nn.init.zeros_(cast("Tensor", conv.bias))
    with torch.no_grad():
        conv.weight *= scale
    return conv


def pooled(h: Tensor, size: Size) -> Tensor:
    """Means over squares of 2x2, those of an odd map's end over what is there, or over the whole map.

    (B, width, 2 h, 2 w) -> (B, width, h, w), which is `size`.
    """
    return h.mean((2, 3), keepdim=True) if size == (1, 1) else F.avg_pool2d(h, 2, ceil_mode=True)


def map_count(
    shape: Sequence[int], patch: int, layers: int | Sequence[int], blocks: int | Sequence[int]
) -> int:
    """The number of maps: as many as a list has entries, or those down to sides of at most 4, and one pixel.

    Raises ValueError on a list that is too short, or longer than the image can be halved.
    """
    longer, shorter = max(shape[1:]) // max(patch, 1), min(shape[1:]) // max(patch, 1)
    for name, given in (("layers", layers), ("blocks", blocks)):
        if not isinstance(given, int):
            most = int(math.log2(max(shorter, 1))) + 2
            if not 2 <= len(given) <= most:
                raise ValueError(
                    f"network.{name} has {entries(len(given))}, one for each map; images of {shape[1]}x"
                    f"{shape[2]} folded by network.patch={patch} have 2 to {most} maps, the last of one pixel"
                )
            return len(given)
    return len(multipliers_down_to(SMALLEST_MAP, longer)) + 1


def entries(count: int) -> str:
    """Return a number of entries in words: 1 entry, 2 entries."""
    return "1 entry" if count == 1 else f"{count} entries"


def each_map(name: str, given: int | Sequence[int], count: int) -> list[int]:
    """The numbers of all `count` maps; raises ValueError where a list has not so many, or one is below 1."""
    numbers = [given] * count if isinstance(given, int) else list(given)
    if len(numbers) != count:
        raise ValueError(
            f"network.{name} is {numbers}; it must have {entries(count)}, one for each map, the largest "
            "first, or be one number for all"
        )
    for place, number in enumerate(numbers):
        of_map = "" if isinstance(given, int) else f"[{place}]"
        check_count(f"network.{name}{of_map}", number, MOST_LAYERS, usual=2)
    return numbers
