"""DDPM++, the U-Net of score-based models on CIFAR-10, with the settings that EDM trains it with."""

import math
from collections.abc import Sequence
from functools import partial
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.nn.blocks import group_norm, zero
from genbench.nn.conditioning import ConditionedNetwork
from genbench.nn.sizes import Sizes
from genbench.nn.unet import Attention
from genbench.probability.counts import MOST_CHANNELS, check_count
from genbench.runtime import global_batch
from genbench.text.condition import Conditioning

__all__ = ["DDPMPlusPlus"]

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)
HALF = math.sqrt(0.5)  # of a sum of two maps, whose variance then stays the same


class DDPMPlusPlus(ConditionedNetwork):
    """Residual U-Net whose blocks also halve and double the maps, and whose sums are divided by sqrt(2).

    shape, width, multipliers, blocks, dropout: see genbench.nn.sizes.Sizes; on the way up each level has one
    block more.
    num_classes, answers, times: as in genbench.nn.unet.UNet. There is no attention to texts.
    attention_side: attention on the largest map whose longer side is at most this, in each block on the way
    down and in the last one on the way up; 0 is none. The smallest map has one in the middle, always.
    adaptive: true for the condition as scale and shift of the second norm, false for a sum before it.
    The answer is 0 at first. Raises ValueError on sizes that no network can have.
    Source: Song et al. 2021, Appendix H (DDPM++); Karras et al. 2022, Appendix F, whose 55.7 M parameters
    width=128, multipliers=[2, 2, 2], blocks=4 has for 32x32x3. Apart from them: residual branches
    are 0 at first (there 1e-5), labels are embedded after the time's layers, t is embedded and not ln(sigma).
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        *,
        width: int = 16,
        multipliers: Sequence[int] | None = None,
        blocks: int = 1,
        attention_side: int = 4,
        dropout: float = 0.0,
        adaptive: bool = False,
        answers: int = 1,
        times: int = 1,
    ) -> None:
        super().__init__()
        sizes = Sizes(shape, num_classes, width, multipliers, blocks, 1, dropout)
        check_count("network.answers", answers, MOST_CHANNELS // shape[0], usual=1)
        check_count("network.attention_side", attention_side, MOST_CHANNELS, least=0, usual=16)
        self.make_embeddings(
            width, sizes.embedding, num_classes=num_classes, inputs=1, context=0, times=times
        )
        block = partial(Block, embedding=sizes.embedding, dropout=dropout, adaptive=adaptive)
        attends = next((level for level, size in enumerate(sizes.maps) if max(size) <= attention_side), None)

        self.enter = glorot(nn.Conv2d(shape[0], width, 3, padding=1))
        self.down, skips, now = nn.ModuleList(), [width], width
        for level, out in enumerate(sizes.widths):
            if level:
                self.down.append(block(now, now, resample=Halve()))
                skips.append(now)
            for _ in range(blocks):
                self.down.append(block(now, out, attends=level == attends))
                now = out
                skips.append(now)
        self.middle = nn.ModuleList([block(now, now, attends=True), block(now, now)])
        self.up = nn.ModuleList()
        for level, out in reversed(list(enumerate(sizes.widths))):
            if level + 1 < len(sizes.widths):
                self.up.append(block(now, now, resample=Double()))
            for k in range(blocks + 1):
                self.up.append(block(now + skips.pop(), out, attends=level == attends and k == blocks))
                now = out
        self.leave = nn.Sequential(
            group_norm(now), nn.SiLU(), zero(nn.Conv2d(now, answers * shape[0], 3, padding=1))
        )

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        y: Conditioning = None,
        level: Tensor | None = None,
        label: Tensor | None = None,
    ) -> Tensor:
        """x (B, C, H, W), t (B,) in [0, 1] or (B, 2), y (B,) int64 or None -> (B, answers * C, H, W).

        level: None, since there is no second image. label: what was done to each image, (B, 9).
        """
        condition = self.condition(t, y, level, label)  # (B, 4 width)
        h = self.enter(x)
        skips = [h]
        for block in self.down:
            h = block(h, condition)
            skips.append(h)
        for block in self.middle:
            h = block(h, condition)
        for block in self.up:
            if not isinstance(block.resample, Double):
                skip = skips.pop()
                # A map that was halved rounding up is one row or column too large when it is doubled.
                h = torch.cat([h[..., : skip.shape[2], : skip.shape[3]], skip], dim=1)
            h = block(h, condition)
        answer: Tensor = self.leave(h)
        return answer


class Block(nn.Module):
    """(skip(x) + conv(silu(norm(conv(silu(norm(x))) + shift)))) / sqrt(2), then (h + attention(h)) / sqrt(2).

    resample: a change of the map's size, before the first convolution and the skip. x (B, inputs, h, w),
    condition (B, embedding) -> (B, outputs, h', w').
    Source: Song et al. 2021, Appendix H; the blocks of Brock et al. 2019 (BigGAN) change the size.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        embedding: int,
        *,
        dropout: float,
        adaptive: bool,
        attends: bool = False,
        resample: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.adaptive = adaptive
        self.resample = resample or nn.Identity()
        self.norm1 = group_norm(inputs)
        self.conv1 = glorot(nn.Conv2d(inputs, outputs, 3, padding=1))
        self.condition = glorot(nn.Linear(embedding, (2 if adaptive else 1) * outputs))
        self.norm2 = group_norm(outputs)
        self.dropout = global_batch.Dropout(dropout)
        self.conv2 = zero(nn.Conv2d(outputs, outputs, 3, padding=1))
        projects = inputs != outputs or resample is not None
        self.skip = glorot(nn.Conv2d(inputs, outputs, 1)) if projects else nn.Identity()
        self.attention = Attention(outputs, outputs) if attends else None
        if self.attention is not None:
            glorot(self.attention.qkv, math.sqrt(0.2))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = self.conv1(self.resample(F.silu(self.norm1(x))))  # (B, outputs, h', w')
        shift = self.condition(condition)[:, :, None, None]
        h = self.norm2(h, *shift.chunk(2, dim=1)) if self.adaptive else self.norm2(h + shift)
        h = self.skip(self.resample(x)) + self.conv2(self.dropout(F.silu(h)))
        h = HALF * h
        return h if self.attention is None else HALF * self.attention(h)


class Halve(nn.Module):
    """Means of squares of 2x2 pixels, of fewer at an odd border: each side is halved, rounding up."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 2, ceil_mode=True)


class Double(nn.Module):
    """Each pixel is repeated over a square of 2x2, which doubles both sides of a map."""

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2.0, mode="nearest")


def glorot(layer: Layer, gain: float = 1.0) -> Layer:
    """Return the layer with weights drawn uniformly as in Glorot & Bengio 2010, times a gain, and bias 0."""
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
