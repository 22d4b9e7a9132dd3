"""A classifier of noised images, whose gradient guides the sampling of diffusion models."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from genbench.nn.blocks import Downsample, ResidualBlock, Sinusoid, group_norm
from genbench.nn.sizes import SMALLEST_MAP, multipliers_down_to
from genbench.probability.counts import MOST_CHANNELS, check_count

__all__ = ["NoisyClassifier"]


class NoisyClassifier(nn.Module):
    """The downward half of a U-Net, pooled: xt (B, C, H, W), t (B,) in [0, 1] -> logits (B, K).

    width: channels of the first level, twice that of the others, one residual block each, down to maps of
    4x4. Raises ValueError on an odd width, and without classes.
    Source: Dhariwal & Nichol 2021, Section 4.3, there with attention pooling.
    """

    def __init__(self, shape: Sequence[int], num_classes: int, *, width: int = 32) -> None:
        super().__init__()
        check_count("guidance.classifier.width", width, MOST_CHANNELS, least=2, usual=32)
        if width % 2:
            raise ValueError(f"guidance.classifier.width is {width}; it must be even, e.g. 32")
        if num_classes < 1:
            raise ValueError(
                "guidance=classifier needs classes, and there are none: set conditional=true, or "
                "guidance=classifier_free for a model of text"
            )
        embedding = 4 * width
        self.time = nn.Sequential(Sinusoid(width), nn.Linear(width, embedding), nn.SiLU())
        self.enter, now = nn.Conv2d(shape[0], width, 3, padding=1), width
        self.blocks = nn.ModuleList()
        for level, multiplier in enumerate(multipliers_down_to(SMALLEST_MAP, max(shape[1:]))):
            if level:
                self.blocks.append(Downsample(now))
            self.blocks.append(ResidualBlock(now, multiplier * width, embedding, dropout=0.0))
            now = multiplier * width
        self.norm = group_norm(now)
        self.leave = nn.Linear(now, num_classes)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        condition = self.time(t)  # (B, E)
        h = self.enter(x)  # (B, width, H, W)
        for block in self.blocks:
            h = block(h, condition)
        return self.leave(F.silu(self.norm(h)).mean(dim=(2, 3)))  # (B, K)
