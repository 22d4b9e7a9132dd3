"""The U-Net of diffusion models: images and times in, an answer of the same size out."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.nn.blocks import Downsample, ResidualBlock, Sinusoid, Upsample, group_norm, zero
from genbench.nn.fast import attention
from genbench.nn.sizes import Sizes
from genbench.probability.counts import MOST_CHANNELS, check_count

__all__ = ["UNet"]


class UNet(nn.Module):
    """Residual U-Net with attention on small maps, conditioned by time and label.

    shape, width, multipliers, blocks, patch, dropout: see genbench.nn.sizes.Sizes; on the way up each level
    has one block more.
    num_classes: 0 is unconditional; otherwise label `num_classes` is the null class, which y=None means.
    attention_side: attention on every map whose longer side is at most this; 0 is none.
    answers: channels of the answer for each channel of the images.
    inputs: channels of the input for each of them; 2 is an image beside xt, with a noise level of its own.
    The answer is 0 at first. Raises ValueError on sizes that no network can have.
    Source: Ho et al. 2020, Appendix B; scale-shift conditioning of Nichol & Dhariwal 2021, Section 3.2.
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        *,
        width: int = 64,
        multipliers: Sequence[int] | None = None,
        blocks: int = 2,
        attention_side: int = 8,
        patch: int = 2,
        dropout: float = 0.0,
        answers: int = 1,
        inputs: int = 1,
    ) -> None:
        super().__init__()
        sizes = Sizes(shape, num_classes, width, multipliers, blocks, patch, dropout)
        check_count("network.answers", answers, MOST_CHANNELS // shape[0], usual=1)
        check_count("network.inputs", inputs, MOST_CHANNELS // shape[0], usual=1)
        if attention_side < 0:
            raise ValueError(
                f"network.attention_side is {attention_side}; it must be at least 0 (none), e.g. 8"
            )
        self.patch, self.num_classes = patch, num_classes
        widths, channels, embedding = sizes.widths, shape[0], sizes.embedding
        self.time = embedder(width, embedding)
        self.label = nn.Embedding(num_classes + 1, embedding) if num_classes else None
        self.level = embedder(width, embedding) if inputs > 1 else None
        attends = [max(size) <= attention_side for size in sizes.maps]

        self.enter = nn.Conv2d(sizes.folded(inputs * channels), width, 3, padding=1)
        self.down, skips, now = nn.ModuleList(), [width], width
        for level, out in enumerate(widths):
            for _ in range(blocks):
                self.down.append(
                    BlockWithAttention(now, out, embedding, attends=attends[level], dropout=dropout)
                )
                now = out
                skips.append(now)
            if level + 1 < len(widths):
                self.down.append(Downsample(now))
                skips.append(now)
        self.middle = nn.ModuleList(
            [
                BlockWithAttention(now, now, embedding, attends=attends[-1], dropout=dropout),
                BlockWithAttention(now, now, embedding, attends=False, dropout=dropout),
            ]
        )
        self.up = nn.ModuleList()
        for level, out in reversed(list(enumerate(widths))):
            for _ in range(blocks + 1):
                self.up.append(
                    BlockWithAttention(
                        now + skips.pop(), out, embedding, attends=attends[level], dropout=dropout
                    )
                )
                now = out
            if level:
                self.up.append(Upsample(now))
        self.leave = nn.Sequential(
            group_norm(now),
            nn.SiLU(),
            zero(nn.Conv2d(now, sizes.folded(answers * channels), 3, padding=1)),
        )

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None, level: Tensor | None = None) -> Tensor:
        """x (B, inputs * C, H, W), t (B,) in [0, 1], y (B,) int64 or None -> (B, answers * C, H, W).

        level: the noise in [0, 1] of the image beside xt, (B,); None where there is no such image.
        """
        embedding = self.embed(t, y)
        if self.level is not None and level is not None:
            embedding = embedding + self.level(level)
        condition = F.silu(embedding)  # (B, E)
        h = self.enter(F.pixel_unshuffle(x, self.patch))  # (B, width, H / patch, W / patch)
        skips = [h]
        for layer in self.down:
            h = layer(h, condition)
            skips.append(h)
        for layer in self.middle:
            h = layer(h, condition)  # (B, width * multipliers[-1], h, w)
        for layer in self.up:
            if isinstance(layer, Upsample):
                h = layer(h, skips[-1].shape[-2:])
            else:
                h = layer(torch.cat([h, skips.pop()], dim=1), condition)
        return F.pixel_shuffle(self.leave(h), self.patch)  # (B, answers * C, H, W)

    def embed(self, t: Tensor, y: Tensor | None) -> Tensor:
        """The embedding of times (B,) plus that of labels (B,), the null class where y is None: (B, E)."""
        embedding = self.time(t)
        if self.label is None:
            return embedding
        null = torch.full(t.shape, self.num_classes, device=t.device)
        return embedding + self.label(null if y is None else y)


def embedder(width: int, embedding: int) -> nn.Sequential:
    """Return layers from numbers in [0, 1], such as times (B,), to their embeddings: (B, E)."""
    return nn.Sequential(
        Sinusoid(width), nn.Linear(width, embedding), nn.SiLU(), nn.Linear(embedding, embedding)
    )


class BlockWithAttention(nn.Module):
    """A residual block, followed by attention where the level has it."""

    def __init__(self, inputs: int, outputs: int, embedding: int, *, attends: bool, dropout: float) -> None:
        super().__init__()
        self.residual = ResidualBlock(inputs, outputs, embedding, dropout)
        self.attention = Attention(outputs) if attends else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return self.attention(self.residual(x, condition))  # (B, outputs, h, w)


class Attention(nn.Module):
    """x + multi-head self-attention over the positions of the map, heads of about `head_channels` channels.

    (B, C, h, w) -> (B, C, h, w); the identity at first. Source: Ho et al. 2020, Appendix B.
    """

    def __init__(self, channels: int, head_channels: int = 32) -> None:
        super().__init__()
        wanted = max(channels // head_channels, 1)
        self.heads = max(heads for heads in range(1, wanted + 1) if channels % heads == 0)
        self.norm = group_norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = zero(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        b, c, height, width = x.shape
        qkv = self.qkv(self.norm(x)).flatten(2).transpose(1, 2)  # (B, N, 3 C)
        q, k, v = qkv.reshape(b, -1, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        h = attention(q, k, v)  # (B, heads, N, C / heads)
        return x + self.out(h.permute(0, 1, 3, 2).reshape(b, c, height, width))
