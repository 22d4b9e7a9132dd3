"""Grids of images as PNG files, written whole or not at all; knows no model and no data set."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from genbench.records.files import atomic_file
from genbench.runtime.printable import in_one_line

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont, ImageFont

__all__ = ["enlarged", "labelled", "save_grid", "untile"]

BORDER = 3  # pixels between tiles; a line of one is lost where a page shows the grid smaller
GREY = 128
LETTER = 14  # pixels; height of the letters of labels
LINE = 17  # pixels from one line of a label to the next
MARGIN = 230  # pixels; longer labels, such as captions, are broken into lines of at most this width
VISIBLE = 48  # pixels; smaller tiles are enlarged to at least this


def save_grid(
    images: Tensor,
    path: Path,
    *,
    columns: int | None = None,
    scale: int | None = None,
    labels: Sequence[str] = (),
) -> None:
    """Write images as one PNG, row by row; small ones are enlarged by repeating pixels.
    images (N, C, H, W) uint8, C = 1 or 3. columns: near a square by default; each pixel becomes scale x
    scale. labels: a text in front of each row, see `labelled`, or none. Raises ValueError on other shapes and
    types.
    """
    from PIL import Image

    if images.dim() != 4 or 0 in images.shape or images.shape[1] not in (1, 3):
        raise ValueError(f"images have shape {tuple(images.shape)}; they must be (N, 1 or 3, H, W), N >= 1")
    if images.dtype != torch.uint8:
        raise ValueError(f"images have dtype {images.dtype}; convert them by genbench.data.to_uint8")
    n, _, h, w = images.shape
    columns = math.isqrt(n - 1) + 1 if columns is None else columns  # the root of n, rounded up
    picture = Image.fromarray(tile(images, columns, scale_of(h, w) if scale is None else scale))
    if labels:
        picture = labelled(picture, labels)
    with atomic_file(path) as file:
        picture.save(file, format="PNG")


def tile(images: Tensor, columns: int, scale: int) -> np.ndarray:
    """Arrange images (N, C, H, W) on a canvas with a grey line around each tile and grey in empty places:
    (height, width) or (height, width, 3) uint8. Each pixel becomes scale x scale.
    """
    if columns < 1 or scale < 1:
        raise ValueError(f"columns is {columns} and scale is {scale}; both must be at least 1")
    n, c = images.shape[:2]
    tiles = images.cpu().numpy().transpose(0, 2, 3, 1).repeat(scale, axis=1).repeat(scale, axis=2)
    rows = -(-n // columns)
    # Each tile carries the line above it and to its left; the canvas adds those at the bottom and the right.
    tiles = np.pad(tiles, ((0, 0), (BORDER, 0), (BORDER, 0), (0, 0)), constant_values=GREY)
    tiles = np.pad(tiles, ((0, rows * columns - n), (0, 0), (0, 0), (0, 0)), constant_values=GREY)
    h, w = tiles.shape[1:3]
    canvas = tiles.reshape(rows, columns, h, w, c).transpose(0, 2, 1, 3, 4).reshape(rows * h, columns * w, c)
    canvas = np.pad(canvas, ((0, BORDER), (0, BORDER), (0, 0)), constant_values=GREY)
    return canvas[:, :, 0] if c == 1 else canvas


def labelled(picture: "Image", labels: Sequence[str]) -> "Image":
    """Return a grid with a white margin at its left, in which each of its rows has a label, black, beside its
    middle. The rows are of equal height, and as many as labels. A long label takes several lines, as many as
    its row has room for; then it ends in dots. Control characters are spelt out.
    """
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(LETTER)
    height = (picture.height - BORDER) / len(labels)
    rows = [broken(in_one_line(label), font, most=max(1, int(height // LINE))) for label in labels]
    margin = round(max(font.getlength(line) for lines in rows for line in lines)) + LETTER
    found = Image.new("RGB", (picture.width + margin, picture.height), "white")
    found.paste(picture, (margin, 0))
    draw = ImageDraw.Draw(found)
    for row, lines in enumerate(rows):
        for place, line in enumerate(lines):
            y = (row + 0.5) * height + (place - (len(lines) - 1) / 2) * LINE
            draw.text((LETTER // 2, y), line, fill="black", font=font, anchor="lm")
    return found


def broken(text: str, font: "FreeTypeFont | ImageFont", *, most: int) -> list[str]:
    """Break a text at its spaces into at most `most` lines of MARGIN pixels, one or more; what finds no room
    is left out, with dots in its place.
    """
    lines, left = list[str](), text[: MARGIN * most]  # no letter is narrower than a pixel
    while left and len(lines) < most:
        fits = next((n for n in range(len(left), 1, -1) if font.getlength(left[:n]) <= MARGIN), 1)
        space = left.rfind(" ", 1, fits + 1)
        end = len(left) if fits == len(left) else fits if space < 0 else space
        lines.append(left[:end].rstrip())
        left = left[end:].lstrip()
    if left or len(text) > MARGIN * most:
        last = lines[-1]
        while last and font.getlength(f"{last} ..") > MARGIN:
            last = last[:-1]
        lines[-1] = f"{last} .."
    return lines or [""]


def untile(canvas: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the images of a grid as `save_grid` draws it by default, each as large as it is there.

    canvas (H, W, 3) uint8, with labels at its left or without. height, width: of the images before they were
    enlarged. Returns (N, h, w, 3), row by row; N is 0 where there is no such grid. Empty places at the end
    are left out.
    """
    scale = scale_of(height, width)
    h, w = height * scale + BORDER, width * scale + BORDER
    rows, columns = (canvas.shape[0] - BORDER) // h, (canvas.shape[1] - BORDER) // w
    if (canvas.shape[0] - BORDER) % h or rows < 1 or columns < 1:
        return np.empty((0, h - BORDER, w - BORDER, 3), np.uint8)
    # Labels widen a grid at its left by any number of pixels: the places are counted from the right.
    left = canvas.shape[1] - BORDER - columns * w
    tiles = canvas[: rows * h, left : left + columns * w].reshape(rows, h, columns, w, 3)
    tiles = tiles.transpose(0, 2, 1, 3, 4).reshape(rows * columns, h, w, 3)
    has_border = (tiles[:, :BORDER] == GREY).all((1, 2, 3)) & (tiles[:, :, :BORDER] == GREY).all((1, 2, 3))
    found = tiles[has_border, BORDER:, BORDER:]
    filled = np.flatnonzero((found != GREY).any((1, 2, 3)))
    return found[: filled[-1] + 1] if len(filled) else found[:0]


def enlarged(images: Tensor) -> np.ndarray:
    """Return images (N, 1 or 3, H, W) uint8 as a grid shows them: (N, h, w, 3), small ones enlarged."""
    scale = scale_of(*images.shape[-2:])
    colours = images.cpu().numpy().transpose(0, 2, 3, 1).repeat(scale, axis=1).repeat(scale, axis=2)
    return np.broadcast_to(colours, (*colours.shape[:3], 3))


def scale_of(height: int, width: int) -> int:
    """Return how often each pixel of an image is repeated, so that small images can be seen."""
    return -(-VISIBLE // min(height, width))
