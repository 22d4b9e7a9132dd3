"""The U-Net of diffusion models: images and times in, an answer of the same size out."""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.nn.blocks import Downsample, ResidualBlock, Upsample, group_norm, zero
from genbench.nn.conditioning import ConditionedNetwork
from genbench.nn.fast import attention
from genbench.nn.sizes import Sizes
from genbench.probability.counts import MOST_CHANNELS, check_count
from genbench.text.condition import Conditioning, Encoded

__all__ = ["UNet"]


class UNet(ConditionedNetwork):
    """Residual U-Net with attention on small maps, conditioned by time and by label or text.

    shape, width, multipliers, blocks, patch, dropout: see genbench.nn.sizes.Sizes; on the way up each level
    has one block more.
    num_classes: 0 is unconditional; otherwise label `num_classes` is the null class, which y=None means.
    attention_side: attention on every map whose longer side is at most this; 0 is none.
    answers: channels of the answer for each channel of the images.
    inputs: channels of the input for each of them; 2 is an image beside xt, with a noise level of its own.
    context: E, numbers of each vector of an encoded text; 0 is no text. Maps with attention attend to its
    tokens too, and its pooled vector is added to the embedding of the time.
    times: numbers of the time of each image, 1 or 2, which are embedded together; see TimedNetwork.
    The answer is 0 at first. Raises ValueError on sizes that no network can have.
    Source: Ho et al. 2020, Appendix B; scale-shift conditioning of Nichol & Dhariwal 2021, Section 3.2; text:
    Rombach et al. 2022, Section 3.3 (attention), Nichol et al. 2022, Section 4.1 (pooled vector).
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
        context: int = 0,
        times: int = 1,
    ) -> None:
        super().__init__()
        sizes = Sizes(shape, num_classes, width, multipliers, blocks, patch, dropout)
        check_count("network.answers", answers, MOST_CHANNELS // shape[0], usual=1)
        check_count("network.inputs", inputs, MOST_CHANNELS // shape[0], usual=1)
        if attention_side < 0:
            raise ValueError(
                f"network.attention_side is {attention_side}; it must be at least 0 (none), e.g. 8"
            )
        self.patch, widths, channels, embedding = patch, sizes.widths, shape[0], sizes.embedding
        self.make_embeddings(
            width, embedding, num_classes=num_classes, inputs=inputs, context=context, times=times
        )
        attends = [size if max(size) <= attention_side else None for size in sizes.maps]
        block = partial(BlockWithAttention, embedding=embedding, dropout=dropout, context=context)

        self.enter = nn.Conv2d(sizes.folded(inputs * channels), width, 3, padding=1)
        self.down, skips, now = nn.ModuleList(), [width], width
        for level, out in enumerate(widths):
            for _ in range(blocks):
                self.down.append(block(now, out, attends=attends[level]))
                now = out
                skips.append(now)
            if level + 1 < len(widths):
                self.down.append(Downsample(now))
                skips.append(now)
        self.middle = nn.ModuleList(
            [
                block(now, now, attends=attends[-1]),
                block(now, now, attends=None),
            ]
        )
        self.up = nn.ModuleList()
        for level, out in reversed(list(enumerate(widths))):
            for _ in range(blocks + 1):
                self.up.append(block(now + skips.pop(), out, attends=attends[level]))
                now = out
            if level:
                self.up.append(Upsample(now))
        self.leave = nn.Sequential(
            group_norm(now),
            nn.SiLU(),
            zero(nn.Conv2d(now, sizes.folded(answers * channels), 3, padding=1)),
        )

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        y: Conditioning = None,
        level: Tensor | None = None,
        label: Tensor | None = None,
    ) -> Tensor:
        """x (B, inputs * C, H, W), t (B,) in [0, 1], y (B,) int64, B texts or None -> (B, answers * C, H, W).

        Of two times of each image t is (B, 2).
        level: the noise in [0, 1] of the image beside xt, (B,); None where there is no such image.
        label: what was done to each image in training, (B, 9); None is 0, nothing.
        """
        condition = self.condition(t, y, level, label)  # (B, E)
        text = y if isinstance(y, Encoded) else None
        h = self.enter(F.pixel_unshuffle(x, self.patch))  # (B, width, H / patch, W / patch)
        skips = [h]
        for layer in self.down:
            h = layer(h, condition, text)
            skips.append(h)
        for layer in self.middle:
            h = layer(h, condition, text)  # (B, width * multipliers[-1], h, w)
        for layer in self.up:
            if isinstance(layer, Upsample):
                h = layer(h, skips[-1].shape[-2:])
            else:
                h = layer(torch.cat([h, skips.pop()], dim=1), condition, text)
        return F.pixel_shuffle(self.leave(h), self.patch)  # (B, answers * C, H, W)


class BlockWithAttention(nn.Module):
    """A residual block, followed by attention to the map itself, then to a text.

    attends: the size (h, w) of the maps of a level that has attention, None of any other.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        embedding: int,
        *,
        attends: tuple[int, int] | None,
        dropout: float,
        context: int,
    ) -> None:
        super().__init__()
        self.residual = ResidualBlock(inputs, outputs, embedding, dropout)
        self.attention = Attention(outputs) if attends else nn.Identity()
        self.text = CrossAttention(outputs, context, attends) if attends and context else None

    def forward(self, x: Tensor, condition: Tensor, text: Encoded | None = None) -> Tensor:
        h = self.attention(self.residual(x, condition))  # (B, outputs, h, w)
        return h if self.text is None or text is None else self.text(h, text)


class Attention(nn.Module):
    """x + multi-head self-attention over the positions of the map, heads of about `head_channels` channels.

    (B, C, h, w) -> (B, C, h, w); the identity at first. Source: Ho et al. 2020, Appendix B.
    """

    def __init__(self, channels: int, head_channels: int = 32) -> None:
        super().__init__()
        self.heads = heads_of(channels, head_channels)
        self.norm = group_norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = zero(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        b, c, height, width = x.shape
        qkv = self.qkv(self.norm(x)).flatten(2).transpose(1, 2)  # (B, N, 3 C)
        q, k, v = qkv.reshape(b, -1, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        h = attention(q, k, v)  # (B, heads, N, C / heads)
        return x + self.out(h.permute(0, 1, 3, 2).reshape(b, c, height, width))


class CrossAttention(nn.Module):
    """x + multi-head attention from the positions of the map to the tokens of a text, padding left out.

    Each position has a learned vector in its query, so that a word such as "left" is found by the positions
    that it is about: that halves the images until captions place objects (a deviation from the source).
    size: (h, w) of the maps. x (B, C, h, w), text of B rows with hidden (B, L, E) -> (B, C, h, w); the
    identity at first.
    Source: Rombach et al. 2022, Section 3.3.
    """

    def __init__(
        self, channels: int, context: int, size: tuple[int, int], *, head_channels: int = 32
    ) -> None:
        super().__init__()
        self.heads = heads_of(channels, head_channels)
        self.norm = group_norm(channels)
        self.position = nn.Parameter(torch.randn(channels, *size))
        self.q = nn.Conv2d(channels, channels, 1)
        self.kv = nn.Linear(context, 2 * channels)
        self.out = zero(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor, text: Encoded) -> Tensor:
        b, c, height, width = x.shape
        q = self.q(self.norm(x) + self.position).flatten(2).transpose(1, 2)  # (B, N, C)
        q = q.reshape(b, -1, self.heads, c // self.heads).transpose(1, 2)
        kv = self.kv(text.hidden).reshape(b, -1, 2, self.heads, c // self.heads)
        k, v = kv.permute(2, 0, 3, 1, 4)  # (B, heads, L, C / heads)
        h = attention(q, k, v, mask=text.mask[:, None, None])  # (B, heads, N, C / heads)
        return x + self.out(h.transpose(2, 3).reshape(b, c, height, width))


def heads_of(channels: int, head_channels: int) -> int:
    """Return the number of heads that divides the channels and gives each about head_channels of them."""
    wanted = max(channels // head_channels, 1)
    return max(heads for heads in range(1, wanted + 1) if channels % heads == 0)
