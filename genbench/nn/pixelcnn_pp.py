"""PixelCNN++: shifted convolutions over whole pixels, at several resolutions, in two streams."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.autoregressive.network import Cache, CausalNetwork
from genbench.autoregressive.pixel_law import PixelLaw
from genbench.nn.blocks import label_embedding, with_label
from genbench.nn.weight_norm import DoublingConv, NormedConv, measuring
from genbench.probability.counts import MOST_CHANNELS, MOST_LAYERS, check_count
from genbench.runtime import global_batch

__all__ = ["PixelCNNPlusPlus"]

MOST_RESOLUTIONS = 10
LABEL_STD = 0.05


class Kernel(NamedTuple):
    """The window of a shifted convolution: pixels of it, of which the last row is the answer's own."""

    rows: int
    columns: int
    right: int
    """Columns to the right of the answer's own."""


ABOVE, LEFT = Kernel(2, 3, 1), Kernel(2, 2, 0)


class PixelCNNPlusPlus(CausalNetwork):
    """Gated residual blocks in two streams: the rows above a pixel, and what is before it in its row too.

    Each stream is a U-Net (see `Stream`). A token is a whole pixel; its channels are the business of the
    distribution. Nothing is masked: the image is moved by a pixel before the first convolutions, and no
    window of a later one reaches ahead of the pixel that it answers for.
    law: the distribution of a pixel that an answer describes. Levels that are names are read by a learned
    embedding of `width` numbers, others as numbers; a channel of ones tells pixels from the padding.
    width: channels of the maps. blocks: gated blocks at each resolution, on the way down; one more on the way
    up, but for the lowest. resolutions: each has half the sides of the one before it, rounded up.
    Raises ValueError on sizes that no network can have, and on a distribution of single channels of colours.
    Source: Salimans et al. 2017, Section 2.2 to 2.5, and the authors' code; apart from it, the image is moved
    before the first convolutions and not after them, so that the first row starts from their bias and not
    from 0, and the last layer starts at a tenth of its scale.
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        *,
        law: PixelLaw,
        width: int = 160,
        blocks: int = 5,
        resolutions: int = 3,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(shape, num_classes, law)
        check_sizes(width, blocks, resolutions)
        if self.tokens_per_pixel > 1:
            raise ValueError(
                f"network=pixelcnn_pp answers for whole pixels, and the distribution is of one of "
                f"{self.tokens_per_pixel} channels at a time: use pixel_law=mixture or pixel_law=palette"
            )
        self.level = None if law.ordered else nn.Embedding(law.levels, width)
        inputs = 1 + (self.shape[0] if law.ordered else width)
        self.rows_above = NormedConv(inputs, width, (2, 3))
        self.row_above, self.pixel_left = (
            NormedConv(inputs, width, (1, 3)),
            NormedConv(inputs, width, (2, 1)),
        )
        sizes = (width, blocks, resolutions, num_classes)
        self.above = Stream(*sizes, kernel=ABOVE, dropout=dropout, linked=False)
        self.left = Stream(*sizes, kernel=LEFT, dropout=dropout, linked=True)
        self.leave = NormedConv(width, law.outputs(self.channels), gain=0.1)

    def forward(self, x: Tensor, y: Tensor | None = None, cache: Cache | None = None) -> Tensor:
        return self.answers(x, y) if cache is None else self.step(x, y, cache)

    def answers(self, x: Tensor, y: Tensor | None) -> Tensor:
        """The answers for all pixels of images: x (B, C, H, W), y (B,) or None -> (B, N, P)."""
        image, (height, width) = self.read(x), self.shape[1:]
        links = self.above(self.rows_above(image[:, :, : height + 1]), y)
        start = self.row_above(image[:, :, 1:-1]) + self.pixel_left(image[:, :, 1:, :width])
        return self.to_answers(self.left(start, y, links)[0][-1])

    def step(self, x: Tensor, y: Tensor | None, cache: Cache) -> Tensor:
        """The answer for pixel `cache.position`, (B, 1, P).

        The upper stream passes once a row over that row, the other once a pixel over that pixel; the lower
        resolutions of either where they have a new row or pixel. Caches of convolutions hold the last rows
        of their input.
        """
        row, column = divmod(cache.position, self.shape[2])
        if cache.position == 0:
            cache.maps = {conv: conv.weights() for conv in self.modules() if isinstance(conv, NormedConv)}
        image, place = self.read(x), Place(row, None, self.shape[2], cache)
        if column == 0:
            start = self.rows_above(image[:, :, row : row + 2], cache)  # (B, width, 1, W)
            cache.layers = [tuple(maps) for maps in self.above(start, y, place=place)]
        windows = (
            image[:, :, row + 1 : row + 2, column : column + 3],
            image[:, :, row + 1 : row + 3, column : column + 1],
        )
        start = self.row_above(windows[0], cache) + self.pixel_left(windows[1], cache)  # (B, width, 1, 1)
        cache.position += 1
        place = dataclasses.replace(place, column=column)
        return self.to_answers(self.left(start, y, cache.layers, place)[0][-1], cache)

    def read(self, x: Tensor) -> Tensor:
        """Images with a channel of ones, and zeros around: (B, C, H, W) -> (B, inputs, H + 2, W + 2), of
        which two rows are above and a column is on each side.
        """
        if self.level is not None:
            x = self.level(self.law.to_level(x.movedim(1, -1))).flatten(3).movedim(-1, 1)
        return F.pad(torch.cat([x, torch.ones_like(x[:, :1])], dim=1), (1, 1, 2, 0))

    def to_answers(self, left: Tensor, cache: Cache | None = None) -> Tensor:
        """Answers for the pixels of a map of the last stream: (B, width, h, w) -> (B, h w, P)."""
        return self.leave(F.elu(left), cache).flatten(2).transpose(1, 2)

    @torch.no_grad()
    def initialise(self, x: Tensor, y: Tensor | None = None) -> None:
        """Set the statistics of all layers by a batch, so that each answers with its gain as scale there."""
        with measuring(self):
            self.answers(x, y)


@dataclasses.dataclass(frozen=True)
class Place:
    """The part of the maps of one resolution that a step of sampling computes: a row, or one pixel of it."""

    row: int
    column: int | None
    """Place of the pixel in its row; None for the whole row."""
    width: int
    """Columns of the maps of this resolution."""
    cache: Cache

    @property
    def begins_row(self) -> bool:
        """True where the last rows of a map move up by one."""
        return not self.column

    @property
    def is_even(self) -> bool:
        """True where the resolution below has a row, or pixel, for this one."""
        return self.row % 2 == 0 and (self.column or 0) % 2 == 0

    def halved(self) -> "Place":
        """The place of the same row and pixel at half the resolution."""
        column = None if self.column is None else self.column // 2
        return Place(self.row // 2, column, (self.width + 1) // 2, self.cache)

    def columns(self, before: int = 0, count: int = 1) -> slice:
        """The columns of a map with `before` more at the left: `count` of them from this pixel, or a row."""
        first = before + (self.column or 0)
        return slice(first, first + (self.width if self.column is None else count))


class Stream(nn.Module):
    """A U-Net of gated blocks: on the way up, each sees one from the way down, last first.

    The maps between two resolutions are halved by a shifted convolution of stride 2 and doubled by its
    transpose. linked: each block sees the map of the same block of another stream too.
    Source: Salimans et al. 2017, Figure 2.
    """

    def __init__(
        self,
        width: int,
        blocks: int,
        resolutions: int,
        num_classes: int,
        *,
        kernel: Kernel,
        dropout: float,
        linked: bool,
    ) -> None:
        super().__init__()

        def gated(count: int, links: int) -> nn.ModuleList:
            made = (GatedBlock(width, links, num_classes, kernel, dropout) for _ in range(count))
            return nn.ModuleList(made)

        self.down = gated(blocks, int(linked))
        self.up = gated(blocks + int(resolutions > 1), 1 + int(linked))
        self.inner: Stream | None = None
        if resolutions > 1:
            self.halving = ShiftedConv(width, width, kernel, stride=2)
            self.inner = Stream(
                width, blocks, resolutions - 1, num_classes, kernel=kernel, dropout=dropout, linked=linked
            )
            self.doubling = DoublingConv(width, kernel.columns, kernel.right)

    def forward(
        self,
        x: Tensor,
        y: Tensor | None,
        links: Sequence[Sequence[Tensor]] = (),
        place: Place | None = None,
    ) -> list[Sequence[Tensor]]:
        """x (B, width, H, W) -> the maps of all blocks, in their order, of each resolution from this one on.

        links: those of the other stream. place: x is that part of the map alone, and so are the answers; the
        list ends with the resolution that has a part of its own there.
        """
        seen = [(part_of(link, place),) for link in links[0]] if links else [()] * self.count()
        found: list[Tensor] = []
        deeper: list[Sequence[Tensor]] = []
        skips = [x]
        for block in self.down:
            x = block(x, seen[len(found)], y, place)
            found.append(x)
            skips.append(x)
        if self.inner is None:
            skips.pop()
        else:
            x, deeper = self.below(x, y, links, place)
        for block in self.up:
            x = block(x, (*seen[len(found)], skips.pop()), y, place)
            found.append(x)
        return [found, *deeper]

    def count(self) -> int:
        """Number of blocks at this resolution, on both ways."""
        return len(self.down) + len(self.up)

    def below(
        self, x: Tensor, y: Tensor | None, links: Sequence[Sequence[Tensor]], place: Place | None
    ) -> tuple[Tensor, list[Sequence[Tensor]]]:
        """The answer of the resolutions below at the size of x, (B, width, H, W), and the maps there."""
        assert self.inner is not None
        found: list[Sequence[Tensor]] = []
        window = self.halving.window(x, place)
        if place is None:
            found = self.inner(self.halving.answer(window), y, links[1:])
            return self.doubling(found[0][-1])[:, :, : x.shape[2], : x.shape[3]], found
        if place.is_even:
            found = self.inner(self.halving.answer(window, place.cache), y, links[1:], place.halved())
            self.remember(self.doubling(found[0][-1], place.cache), place)
        (rows,) = place.cache.maps[self]
        return rows[:, :, place.row % 2 : place.row % 2 + 1, place.columns()], found

    def remember(self, doubled: Tensor, place: Place) -> None:
        """Store what the resolution below answered: two rows, or two pixels of each, (B, width, 2, w)."""
        if place.column is None:
            place.cache.maps[self] = (doubled,)
            return
        if place.begins_row:
            side = place.width + place.width % 2
            place.cache.maps[self] = (doubled.new_zeros(*doubled.shape[:3], side),)
        place.cache.maps[self][0][..., place.columns(count=2)] = doubled


class GatedBlock(nn.Module):
    """x + a sigmoid(b), (a, b) = conv(dropout(f(conv(f(x)) + W f(others)))) + label, f = concatenated ELU.

    links: the number of other maps, of `width` channels each, that it sees pixel by pixel.
    Source: Salimans et al. 2017, Section 2.4 and the authors' code (gated_resnet); labels: van den Oord et
    al. 2016b, Eq. 4.
    """

    def __init__(self, width: int, links: int, num_classes: int, kernel: Kernel, dropout: float) -> None:
        super().__init__()
        self.conv1 = ShiftedConv(2 * width, width, kernel)
        self.link = NormedConv(2 * links * width, width) if links else None
        self.dropout = global_batch.Dropout(dropout)
        self.conv2 = ShiftedConv(2 * width, 2 * width, kernel, gain=0.1)
        self.label = label_embedding(num_classes, 2 * width)
        if self.label is not None:
            nn.init.normal_(self.label.weight, std=LABEL_STD)

    def forward(self, x: Tensor, others: Sequence[Tensor], y: Tensor | None, place: Place | None) -> Tensor:
        """x (B, width, h, w) -> the same shape."""
        h = self.conv1(concat_elu(x), place)  # (B, width, h, w)
        if self.link is not None:
            h = h + self.link(
                concat_elu(torch.cat(list(others), dim=1)), None if place is None else place.cache
            )
        h = self.conv2(self.dropout(concat_elu(h)), place)  # (B, 2 width, h, w)
        a, b = with_label(h, self.label, y).chunk(2, dim=1)
        return x + a * torch.sigmoid(b)


class ShiftedConv(nn.Module):
    """A convolution whose window ends with the row of its answer, `kernel.right` columns to the right of it.

    Source: Salimans et al. 2017, Section 2.3 and the authors' code (down_shifted_conv2d).
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: Kernel, *, stride: int = 1, gain: float = 1.0
    ) -> None:
        super().__init__()
        self.kernel, self.answer = (
            kernel,
            NormedConv(inputs, outputs, kernel[:2], stride=stride, gain=gain),
        )

    def forward(self, x: Tensor, place: Place | None = None) -> Tensor:
        return self.answer(self.window(x, place), None if place is None else place.cache)

    def window(self, x: Tensor, place: Place | None) -> Tensor:
        """The pixels that the answers for x need: x (B, C, H, W) with zeros at its sides and above; of a
        place, the last rows there, of which x is the newest row or pixel.
        """
        before = self.kernel.columns - 1 - self.kernel.right
        if place is None:
            return F.pad(x, (before, self.kernel.right, self.kernel.rows - 1, 0))
        if place.begins_row:
            side = place.width + self.kernel.columns - 1
            (rows,) = place.cache.maps.get(self, (x.new_zeros(*x.shape[:2], self.kernel.rows, side),))
            place.cache.maps[self] = (F.pad(rows[:, :, 1:], (0, 0, 0, 1)),)
        (rows,) = place.cache.maps[self]
        rows[:, :, -1:, place.columns(before)] = x
        return rows if place.column is None else rows[..., place.columns(count=self.kernel.columns)]


def concat_elu(x: Tensor) -> Tensor:
    """elu of x and of -x, side by side: (B, C, h, w) -> (B, 2 C, h, w). Source: Salimans et al. 2017."""
    return F.elu(torch.cat([x, -x], dim=1))


def part_of(maps: Tensor, place: Place | None) -> Tensor:
    """The columns of a place in a map of its row: (B, C, h, w) -> (B, C, h, 1), or all without a place."""
    return maps if place is None else maps[..., place.columns()]


def check_sizes(width: int, blocks: int, resolutions: int) -> None:
    """Raise ValueError on sizes that no network can have."""
    check_count("network.width", width, MOST_CHANNELS, usual=32)
    check_count("network.blocks", blocks, MOST_LAYERS, usual=1)
    check_count("network.resolutions", resolutions, MOST_RESOLUTIONS, usual=3)
