"""A classifier of noised images, for guidance."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from genbench.nn.norm import GroupNorm
from genbench.nn.unet import Downsample, ResidualBlock, Sinusoid, groups, levels_down_to

__all__ = ["NoisyClassifier"]

SMALLEST_MAP = 4


class NoisyClassifier(nn.Module):
    """The downward half of a U-Net, pooled: xt (B, C, H, W), t (B,) -> logits (B, K).

    width: channels of the first level, twice that of the others, one residual block each, down to maps of
    4x4.
    Source: Dhariwal & Nichol 2021, Section 4.3, there with attention pooling.
    """

    def __init__(self, shape: Sequence[int], num_classes: int, *, width: int = 32) -> None:
        super().__init__()
        if width < 2 or width % 2:
            raise ValueError(f"guidance.classifier.width is {width}; it must be even and at least 2")
        if num_classes < 1:
            raise ValueError("guidance=classifier leads to classes, and there are none: set conditional=true")
        channels, height, breadth = shape
        embedding = 4 * width
        self.time = nn.Sequential(Sinusoid(width), nn.Linear(width, embedding), nn.SiLU())
        self.enter, now = nn.Conv2d(channels, width, 3, padding=1), width
        self.blocks = nn.ModuleList()
        for level, multiplier in enumerate(levels_down_to(SMALLEST_MAP, max(height, breadth))):
            if level:
                self.blocks.append(Downsample(now))
            self.blocks.append(ResidualBlock(now, multiplier * width, embedding, dropout=0.0))
            now = multiplier * width
        self.norm = GroupNorm(groups(now), now)
        self.leave = nn.Linear(now, num_classes)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        condition = self.time(t)
        h = self.enter(x)
        for block in self.blocks:
            h = block(h, condition)
        return self.leave(F.silu(self.norm(h)).mean(dim=(2, 3)))
