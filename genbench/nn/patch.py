"""The discriminator of patches: one logit for each part of an image, not one for the whole."""

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from genbench.nn.gan_blocks import SLOPE, group_norm_of_8
from genbench.probability.counts import MOST_CHANNELS, MOST_LAYERS, check_count

__all__ = ["PatchDiscriminator"]


class PatchDiscriminator(nn.Module):
    """Images to a map of logits, each of which sees a patch alone, above 0 where the patch looks real.

    shape: (C, H, W) of the images. width: channels of the first map; each of `layers` convolutions of stride
    2 halves the map and, after the first, doubles the channels, up to 8 times the width. One of stride 1 and
    the logits follow: with 3 layers a logit sees 54 pixels a side, with 2 it sees 26, with 1 it sees 12.
    Raises ValueError on sizes that no network can have, and on more layers than halve the image to 2 pixels.
    Apart from the source: kernels of 3 where the stride is 1, which keep small maps as large as they are, and
    group instead of batch normalisation, whose running statistics belong to the raw weights.
    Source: Isola et al. 2017, Section 3.2.2; Esser et al. 2021, Section 3.1.
    """

    def __init__(self, shape: Sequence[int], *, width: int = 32, layers: int = 2) -> None:
        super().__init__()
        check_count("adversarial.discriminator.width", width, MOST_CHANNELS // 8, usual=32)
        check_count("adversarial.discriminator.layers", layers, MOST_LAYERS, usual=2)
        if min(shape[1:]) < 2 ** (layers + 1):
            raise ValueError(
                f"adversarial.discriminator.layers is {layers}, and each halves images of {tuple(shape)}: "
                "take fewer, so that 2 pixels a side are left"
            )
        widths = [width * min(2**level, 8) for level in range(layers)]
        self.enter = nn.Conv2d(shape[0], width, 4, stride=2, padding=1)
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 4, stride=2, padding=1, bias=False) for a, b in pairwise(widths)
        )
        self.mix = nn.Conv2d(widths[-1], widths[-1], 3, padding=1, bias=False)
        self.norms = nn.ModuleList(group_norm_of_8(c) for c in [*widths[1:], widths[-1]])
        # Without a constant, which criteria that compare logits would never train.
        self.leave = nn.Conv2d(widths[-1], 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) in about [-1, 1] -> logits (B, h, w), h and w of H and W halved `layers` times."""
        h = F.leaky_relu(self.enter(x), SLOPE)
        for conv, norm in zip([*self.down, self.mix], self.norms, strict=True):
            h = F.leaky_relu(norm(conv(h)), SLOPE)
        return self.leave(h)[:, 0]
