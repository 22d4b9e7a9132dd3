"""The gated PixelCNN: masked convolutions that answer for each pixel by the pixels before it."""

from collections.abc import Iterable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.autoregressive.network import Cache, CausalNetwork
from genbench.autoregressive.pixel_law import PixelLaw
from genbench.nn.blocks import label_embedding, with_label
from genbench.probability.counts import MOST_CHANNELS, MOST_KERNEL, MOST_LAYERS, check_count
from genbench.runtime import global_batch

__all__ = ["PixelCNN"]


class PixelCNN(CausalNetwork):
    """Gated convolutions in two stacks, for the rows above and for the pixels to the left.

    law: the distribution of a token that an answer describes. Where a token is one channel, the maps are
    split into as many groups as an image has channels, and a mask hides from each group those after it.
    Levels that are names are read by a learned embedding of `width` numbers, others as numbers.
    width: channels of the maps. blocks: gated layers. kernel: side of the convolutions, of which the visible
    part is the upper half, (kernel // 2 + 1) x kernel, and the left half, kernel // 2 + 1.
    Raises ValueError on sizes that no network can have.
    Source: van den Oord et al. 2016b, Section 2.1 to 2.3; apart from it, the stack of the rows above has
    residual connections too, and dropout stands behind the gates (Salimans et al. 2017, Section 2.5).
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        *,
        law: PixelLaw,
        width: int = 64,
        blocks: int = 6,
        kernel: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(shape, num_classes, law)
        check_sizes(width, blocks, kernel, self.tokens_per_pixel)
        groups = self.tokens_per_pixel
        self.level = None if law.ordered else nn.Embedding(law.levels, width)
        self.inputs = self.shape[0] if law.ordered else groups * width
        self.layers = nn.ModuleList(
            GatedLayer(
                width if index else self.inputs,
                width,
                num_classes,
                kernel=kernel,
                groups=groups,
                first=index == 0,
                dropout=dropout,
            )
            for index in range(blocks)
        )
        self.leave = nn.Sequential(
            nn.ReLU(),
            MaskedConv(width, width, groups=groups),
            nn.ReLU(),
            MaskedConv(width, groups * law.outputs(self.channels), groups=groups),
        )

    def forward(self, x: Tensor, y: Tensor | None = None, cache: Cache | None = None) -> Tensor:
        if cache is not None:
            return self.step(x, y, cache)
        x = self.read(x)  # (B, inputs, H, W)
        # Moved down by a row, the upper stack sees no pixel of its own row.
        above, left = F.pad(x, (0, 0, 1, -1)), x
        for layer in self.layers:
            above, left = layer(above, left, y)  # (B, width, H, W) each
        return self.to_answers(left)

    def read(self, x: Tensor) -> Tensor:
        """A part of an image as the first layer reads it: (B, C, h, w) -> (B, inputs, h, w)."""
        if self.level is None:
            return x
        return self.level(self.law.to_level(x.movedim(1, -1))).flatten(3).movedim(-1, 1)

    def step(self, x: Tensor, y: Tensor | None, cache: Cache) -> Tensor:
        """The answer for token `cache.position`: (B, 1, P).

        The cache of a layer holds the last rows of its upper input, the row of its left input, and the link
        from the upper stack to that row. The upper stack passes once a row over that row, the left stack once
        a token over one pixel.
        """
        pixel, group = divmod(cache.position, self.tokens_per_pixel)
        row, column = divmod(pixel, self.shape[2])
        layers = cast("Iterable[GatedLayer]", self.layers)
        if cache.position == 0:
            cache.layers = [layer.empty_cache(x) for layer in layers]
        if group == column == 0:
            empty = x.new_zeros(len(x), self.inputs, 1, self.shape[2])
            self.begin_row(self.read(x[:, :, row - 1 : row]) if row else empty, y, cache)
        cache.position += 1
        # Both the last pixel, some channels of which were missing when it was read before, and this one.
        left = self.read(x[:, :, row : row + 1, max(column - 1, 0) : column + 1])  # (B, inputs, 1, 2 or 1)
        for layer, (_, columns, link) in zip(layers, cache.layers, strict=True):
            left = layer.left_step(left, columns, link, column, y)  # (B, width, 1, 1)
        return self.to_answers(left)[:, group : group + 1]

    def begin_row(self, above: Tensor, y: Tensor | None, cache: Cache) -> None:
        """Pass the row above the next one, (B, inputs, 1, W), through the upper stack of all layers."""
        for index, layer in enumerate(cast("Iterable[GatedLayer]", self.layers)):
            rows, columns, _ = cache.layers[index]
            above, rows, link = layer.above_step(above, rows, y)
            cache.layers[index] = (rows, columns, link)

    def to_answers(self, left: Tensor) -> Tensor:
        """Answers for the tokens of a map of the left stack: (B, width, h, w) -> (B, tokens, P)."""
        answers = self.leave(left).permute(0, 2, 3, 1)
        return answers.reshape(len(left), -1, answers.shape[-1] // self.tokens_per_pixel)


class GatedLayer(nn.Module):
    """tanh(a) sigmoid(b) of masked convolutions, in both stacks; residual but in the first layer.

    first: the input is the image itself, of which a token must not see itself.
    Source: van den Oord et al. 2016b, Figure 2.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        num_classes: int,
        *,
        kernel: int,
        groups: int,
        first: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.reach, self.first = kernel // 2, first
        self.label_above = label_embedding(num_classes, 2 * width)
        self.label_left = label_embedding(num_classes, 2 * width)
        self.above = nn.Conv2d(inputs, 2 * width, (self.reach + 1, kernel))
        self.link = nn.Conv2d(2 * width, 2 * width, 1)
        self.left = MaskedConv(
            inputs, width, halves=2, taps=self.reach + 1, groups=groups, before_itself=first
        )
        self.dropout = global_batch.Dropout(dropout)
        self.out = MaskedConv(width, width, groups=groups)

    def forward(self, above: Tensor, left: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """Maps of both stacks and labels -> both stacks, (B, width, H, W)."""
        r = self.reach
        new_above, link = self.from_above(F.pad(above, (r, r, r, 0)), y)
        new_left = self.from_left(F.pad(left, (r, 0)), link, y)
        return (new_above, new_left) if self.first else (above + new_above, left + new_left)

    def from_above(self, window: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """Rows (B, inputs, H + reach, W + 2 reach) -> (B, width, H, W), and the link to the left stack."""
        h = with_label(self.above(window), self.label_above, y)  # (B, 2 width, H, W)
        return self.dropout(gated(h)), self.link(h)

    def from_left(self, window: Tensor, link: Tensor, y: Tensor | None) -> Tensor:
        """The left stack (B, width, H, W) from (B, inputs, H, W + reach) and the link (B, 2 width, H, W)."""
        return self.out(self.dropout(gated(with_label(self.left(window) + link, self.label_left, y))))

    def empty_cache(self, x: Tensor) -> tuple[Tensor, ...]:
        """The layer's cache before the first pixel of images x: rows, columns and link (none yet)."""
        r, inputs, side = self.reach, self.left.in_channels, x.shape[3]
        rows = x.new_zeros(len(x), inputs, r + 1, side + 2 * r)
        return rows, x.new_zeros(len(x), inputs, 1, side + r), x.new_zeros(())

    def above_step(self, above: Tensor, rows: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """One more row (B, inputs, 1, W) -> that row of the upper stack, the new cached rows, the link."""
        rows = torch.cat([rows[:, :, 1:], F.pad(above, (self.reach, self.reach))], dim=2)
        new, link = self.from_above(rows, y)
        return new if self.first else above + new, rows, link

    def left_step(self, left: Tensor, columns: Tensor, link: Tensor, column: int, y: Tensor | None) -> Tensor:
        """The last pixels up to `column`, (B, inputs, 1, ..), which are cached too -> (B, width, 1, 1)."""
        end = column + self.reach + 1
        columns[..., end - left.shape[3] : end] = left
        new = self.from_left(columns[..., column:end], link[..., column : column + 1], y)
        return new if self.first else left + new


class MaskedConv(nn.Conv2d):
    """A convolution over `taps` pixels to the left, the last of which is, masked, the pixel itself.

    Channel j of n belongs to group j groups // n (in each of the `halves` of the outputs by itself); of the
    pixel itself, a group sees the groups up to its own, or those before its own (before_itself).
    Source: van den Oord et al. 2016a, Section 3.4, masks A and B.
    """

    mask: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        groups: int,
        taps: int = 1,
        halves: int = 1,
        before_itself: bool = False,
    ) -> None:
        super().__init__(inputs, halves * outputs, (1, taps))
        own = (torch.arange(outputs) * groups // outputs).repeat(halves)[:, None]
        seen = torch.arange(inputs) * groups // inputs
        mask = torch.ones_like(self.weight.detach())  # (halves * outputs, inputs, 1, taps)
        mask[:, :, 0, -1] = (seen < own if before_itself else seen <= own).float()
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.mask, self.bias)


def gated(h: Tensor) -> Tensor:
    """tanh(a) sigmoid(b), (B, 2 w, H, W) -> (B, w, H, W). Source: van den Oord et al. 2016b, Eq. 2."""
    a, b = h.chunk(2, dim=1)
    return torch.tanh(a) * torch.sigmoid(b)


def check_sizes(width: int, blocks: int, kernel: int, groups: int) -> None:
    """Raise ValueError on sizes that no network can have."""
    # At least a channel for each group.
    check_count("network.width", width, MOST_CHANNELS, least=groups, usual=32)
    check_count("network.blocks", blocks, MOST_LAYERS, usual=4)
    if not 3 <= kernel <= MOST_KERNEL or kernel % 2 == 0:
        raise ValueError(
            f"network.kernel is {kernel}; it must be odd, from 3, to reach other pixels, to {MOST_KERNEL}"
        )
