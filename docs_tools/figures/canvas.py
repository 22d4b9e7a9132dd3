"""Drawing on a page of 7.2 inches: columns of small pictures, boxes, arrows between them, and titled rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from PIL import Image
from torch import Tensor

__all__ = ["Box", "Canvas", "Column", "Item", "picture", "shape_text"]

WIDTH, DPI, COLOURS = 7.2, 200, 128
THUMB, GAP, SAMPLES = 0.36, 0.05, 3
LETTER, ARROW, MARGIN = 0.0625, 0.24, 0.08
"""Width of a small letter, usual half-length of an arrow, margin of the page: in inches."""
HEIGHT = SAMPLES * (THUMB + GAP)
"""Of the pictures of a row, in inches; labels stand above and below."""
MOST_NOISE = 16.0
SMALL, NORMAL = 7.5, 8.5
INK, LINE, FILL = "#1b1b1b", "#5b6b7b", "#e8eef7"


@dataclass(frozen=True)
class Column:
    """A column of pictures, one a sample: a symbol above, the tensor's shape below.

    pictures: arrays (h, w) or (h, w, 3) of uint8; notes: a text beside each, such as its time.
    """

    symbol: str
    pictures: Sequence[np.ndarray]
    shape: str = ""
    notes: Sequence[str] = ()
    plus: bool = False
    """True where it does not follow from the item before: no arrow leads to it."""

    @property
    def width(self) -> float:
        """The width in inches, the notes included."""
        return max(picture_width(p) for p in self.pictures) + (0.46 if self.notes else 0.0)


@dataclass(frozen=True)
class Box:
    """A box with lines of text, the first one in bold: a module of the model, or a loss.

    times: the number of its forward passes a sample, where that is more than one.
    """

    lines: Sequence[str]
    times: int = 1
    is_module: bool = True

    @property
    def width(self) -> float:
        """The width in inches, by the longest line."""
        return LETTER * max(map(len, self.lines)) + 0.14


Item = Column | Box


class Canvas:
    """A page of rows, drawn from top to bottom; `save` writes it as a small PNG, the same bytes each time."""

    def __init__(self, height: float) -> None:
        self.figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
        self.axes: Axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, WIDTH), ylim=(height, 0))
        self.axes.axis("off")
        self.top = 0.06

    def title(self, text: str) -> None:
        """Write a heading at the left, with a line above it."""
        self.axes.plot((MARGIN, WIDTH - MARGIN), (self.top, self.top), color="#c9d1d9", lw=0.8)
        self.text(MARGIN, self.top + 0.13, text, size=NORMAL, weight="bold", align="left")
        self.top += 0.26

    def row(self, title: str, items: Sequence[Item]) -> None:
        """Draw items from left to right, with an arrow between neighbours."""
        self.title(title)
        widths = [item.width for item in items]
        room = WIDTH - 2 * MARGIN - sum(widths)
        space = min(room / max(len(items) - 1, 1), 2 * ARROW)
        x, middle = MARGIN, self.top + 0.17 + HEIGHT / 2
        for number, (item, width) in enumerate(zip(items, widths, strict=True)):
            if isinstance(item, Column) and item.plus:
                self.divider(x - space / 2)
            elif number:
                self.arrow(x - space, x, middle)
            if isinstance(item, Column):
                self.column(item, x)
            else:
                self.box(item, x, middle)
            x += width + space
        self.top += HEIGHT + 0.42

    def column(self, column: Column, x: float) -> None:
        """Draw the pictures of a column at x, its symbol above and its shape below."""
        y = self.top + 0.17
        width = max(picture_width(p) for p in column.pictures)
        for number, picture in enumerate(column.pictures):
            own, bottom = picture_width(picture), y + THUMB
            self.axes.imshow(picture, extent=(x, x + own, bottom, y), cmap="gray", vmin=0, vmax=255,
                             interpolation="nearest", aspect="auto", zorder=2)  # fmt: skip
            self.frame(x, y, own)
            if column.notes:
                self.text(x + width + 0.04, y + THUMB / 2, column.notes[number], align="left")
            y += THUMB + GAP
        letters = len(column.symbol.replace("$", "").replace("\\", ""))
        is_wide = LETTER * letters / 2 > x + width / 2  # it would begin left of the page
        place = x if is_wide else x + width / 2
        self.text(place, self.top + 0.07, column.symbol, size=NORMAL, align="left" if is_wide else "center")
        self.text(x + width / 2, y + 0.06, column.shape)

    def frame(self, x: float, y: float, width: float) -> None:
        """Draw a thin line around a picture, which shows white ones on a white page."""
        self.axes.plot(
            (x, x + width, x + width, x, x), (y, y, y + THUMB, y + THUMB, y), color="#9aa7b5", lw=0.5
        )

    def box(self, box: Box, x: float, middle: float) -> None:
        """Draw a box with its lines of text around a height; of a module its passes a sample below it."""
        height = 0.16 * len(box.lines) + 0.1
        corner, shape = (x + 0.03, middle - height / 2), "round,pad=0.02,rounding_size=0.06"
        patch = FancyBboxPatch(corner, box.width - 0.06, height, boxstyle=shape, lw=0.9, ec=LINE)
        patch.set(fc=FILL if box.is_module else "white", ls="-" if box.is_module else "--")
        self.axes.add_patch(patch)
        for number, line in enumerate(box.lines):
            y = middle - height / 2 + 0.13 + 0.16 * number
            self.text(x + box.width / 2, y, line, weight="bold" if number == 0 else "normal")
        if box.times > 1:
            self.text(x + box.width / 2, middle + height / 2 + 0.14, f"{box.times} passes", size=NORMAL)

    def divider(self, x: float) -> None:
        """Draw a dotted line down a row: what stands behind it does not follow from what is before."""
        ends = (self.top + 0.1, self.top + 0.17 + HEIGHT)
        self.axes.plot((x, x), ends, color=LINE, lw=1, ls=":")

    def arrow(self, start: float, end: float, y: float) -> None:
        """Draw an arrow between two items, with a little room at both ends."""
        self.axes.annotate(
            "", (end - 0.02, y), (start + 0.02, y), arrowprops={"arrowstyle": "-|>", "color": LINE, "lw": 1}
        )

    def bars(self, title: str, names: Sequence[Sequence[str]], sizes: Sequence[tuple[float, float]]) -> None:
        """Draw the blocks of a network as bars of (width, height) from 0 to 1, lines of text below each."""
        self.title(title)
        room = (WIDTH - 2 * MARGIN) / len(names)
        base, tallest, step = self.top + 0.56, 0.5, min(room, 1.2)
        for number, (lines, (width, height)) in enumerate(zip(names, sizes, strict=True)):
            middle = MARGIN + step * (number + 0.5)
            half = max(0.8 * step * width, 0.05) / 2
            tall = max(tallest * height, 0.05)
            self.axes.fill((middle - half, middle + half, middle + half, middle - half),
                           (base, base, base - tall, base - tall), fc=FILL, ec=LINE, lw=0.8)  # fmt: skip
            for k, line in enumerate(lines):
                self.text(middle, base + 0.1 + 0.13 * k, line, size=6.8)
        self.top += 0.64 + 0.13 * max(map(len, names)) + 0.05

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = SMALL,
        weight: str = "normal",
        align: Literal["left", "center"] = "center",
    ) -> None:
        """Write one line, centred at a height; align: where x lies in it."""
        self.axes.text(x, y, text, fontsize=size, fontweight=weight, ha=align, va="center", color=INK)

    def save(self, path: Path) -> None:
        """Write the page, cut below its last row, as a PNG of few colours without a date."""
        drawn = FigureCanvasAgg(self.figure)
        drawn.draw()  # type: ignore[no-untyped-call]
        buffer = drawn.buffer_rgba()  # type: ignore[no-untyped-call]
        pixels = np.asarray(buffer)[: round(self.top * DPI), :, :3]
        Image.fromarray(pixels).quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def picture_width(picture: np.ndarray) -> float:
    """The width in inches of a picture whose height is THUMB, at most eight times that."""
    return THUMB * min(int(picture.shape[1]) / int(picture.shape[0]), 8.0)


def picture(values: Tensor, *, low: float | None = None, high: float | None = None) -> np.ndarray:
    """Draw one sample's tensor: images as they are, maps of other channels as tiles, vectors as squares.

    (1, H, W) or (3, H, W) in [-1, 1] -> (H, W) or (H, W, 3) uint8; (C, h, w) -> the first four channels;
    (L,) -> about a square of cells; (N, P) -> a table. Values but images' are scaled between their own ends,
    or `low` and `high`.
    """
    values = values.detach().float().cpu()
    if values.dim() == 3 and len(values) in (1, 3) and low is None:
        if float(values.max()) > MOST_NOISE:  # grey levels from 0 to 256, not [-1, 1]
            values = values / 128 - 1
        grey = ((values + 1) * 127.5).round().clamp(0, 255).byte().numpy()
        return grey[0] if len(grey) == 1 else grey.transpose(1, 2, 0)
    if values.dim() == 3:
        side = 1 if len(values) < 4 else 2
        rows = values[: side * side].unflatten(0, (side, side))
        values = rows.permute(0, 2, 1, 3).reshape(side * values.shape[1], side * values.shape[2])
    elif values.dim() == 1:
        across = next(k for k in range(round(len(values) ** 0.5), 0, -1) if len(values) % k == 0)
        values = values.reshape(across, -1)
    low, high = float(values.min()) if low is None else low, float(values.max()) if high is None else high
    scaled = ((values - low) / max(high - low, 1e-9)).clamp(0, 1)
    return colours(scaled)


def colours(share: Tensor) -> np.ndarray:
    """Map numbers in [0, 1] to colours from dark blue to yellow: (h, w) -> (h, w, 3) uint8."""
    from matplotlib import colormaps

    return np.asarray(255 * colormaps["viridis"](share.numpy())[..., :3]).round().astype(np.uint8)


def shape_text(shape: Sequence[int] | torch.Size) -> str:
    """Write a shape of a batch: (5, 1, 8, 8) -> "B 1 8 8"."""
    return " ".join(["B", *map(str, shape[1:])])
