"""A U-Net over the tokens of an image, of which some are masked."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genbench.autoregressive.network import MaskedNetwork
from genbench.autoregressive.pixel_law import PixelLaw
from genbench.nn.unet import UNet

__all__ = ["MaskedUNet"]


class MaskedUNet(MaskedNetwork):
    """The U-Net of diffusion over learned vectors of the tokens, in the place of numbers of pixels.

    A token is the embedding of its level, or the vector of a mask, plus that of the label, which the U-Net
    takes too; the U-Net's answer is added to it, and a layer makes the answer of each token. The time that
    the U-Net takes is the share of masked tokens.
    law: the distribution of a token that an answer describes. The other arguments: see genbench.nn.unet.UNet.
    Raises ValueError on sizes that no network can have.
    Source: Shi et al. 2024 (MD4), Section 6.2, which has a U-Net over pixels; the residual is ours.
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        *,
        law: PixelLaw,
        width: int = 32,
        multipliers: Sequence[int] | None = None,
        blocks: int = 1,
        attention_side: int = 8,
        patch: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(shape, num_classes, law)
        self.unet = UNet(
            (self.tokens_per_pixel * width, *self.shape[1:]),
            num_classes,
            width=width,
            multipliers=multipliers,
            blocks=blocks,
            attention_side=attention_side,
            patch=patch,
            dropout=dropout,
        )
        self.level, self.mask = nn.Embedding(self.symbols, width), nn.Parameter(torch.randn(width))
        self.label = nn.Embedding(num_classes + 1, width) if num_classes else None
        self.norm, self.leave = nn.LayerNorm(width), nn.Linear(width, law.outputs(self.channels))

    def forward(self, x: Tensor, masked: Tensor, y: Tensor | None = None) -> Tensor:
        seen = self.level(self.numbers(self.to_tokens(x))).sum(2)  # (B, N, width)
        h = torch.where(masked[..., None], self.mask, seen)
        if self.label is not None:
            null = torch.full((len(x),), self.num_classes, device=x.device)
            h = h + self.label(null if y is None else y)[:, None]
        height, side = self.shape[1:]
        maps = h.unflatten(1, (height, side, -1)).flatten(3).permute(0, 3, 1, 2)  # (B, .. width, H, W)
        found = self.unet(maps, masked.float().mean(1), y).permute(0, 2, 3, 1).reshape(h.shape)
        return self.leave(self.norm(h + found))  # (B, N, P)
