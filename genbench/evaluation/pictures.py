"""Picture files: grids of images, noise schedules, curves, written whole or not at all; knows no model and no
data set, and imports matplotlib when it is needed.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from genbench.records.files import atomic_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["curves_figure", "save_grid", "schedule_figure"]

BORDER = 3  # pixels between tiles; a line of one is lost where a page shows the grid smaller
GREY = 128
FEW = 50  # points of a curve up to which each is marked
VISIBLE = 48  # pixels; smaller tiles are enlarged to at least this


def save_grid(images: Tensor, path: Path, *, columns: int | None = None, scale: int | None = None) -> None:
    """Write images as one PNG, row by row; small ones are enlarged by repeating pixels.
    images (N, C, H, W) uint8, C = 1 or 3. columns: near a square by default; each pixel becomes scale x
    scale. Raises ValueError on other shapes and types.
    """
    from PIL import Image

    if images.dim() != 4 or 0 in images.shape or images.shape[1] not in (1, 3):
        raise ValueError(f"images have shape {tuple(images.shape)}; they must be (N, 1 or 3, H, W), N >= 1")
    if images.dtype != torch.uint8:
        raise ValueError(f"images have dtype {images.dtype}; convert them by genbench.data.to_uint8")
    n, _, h, w = images.shape
    columns = math.isqrt(n - 1) + 1 if columns is None else columns  # the root of n, rounded up
    canvas = tile(images, columns, -(-VISIBLE // min(h, w)) if scale is None else scale)
    with atomic_file(path) as file:
        Image.fromarray(canvas).save(file, format="PNG")


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


def schedule_figure(schedules: Mapping[str, np.ndarray], path: Path) -> None:
    """Draw alpha_bar and log-SNR = log(alpha_bar / (1 - alpha_bar)) against t / T, a line a schedule.

    schedules: name -> alpha_bar on the grid 0..T, (T + 1,) float64. The file's ending decides the format
    (png, pdf, svg, ...).
    """
    # The objects of matplotlib, not pyplot: no global figure, no change of the user's backend.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, table in schedules.items():
        alpha_bar = np.asarray(table, dtype=np.float64)
        t = np.linspace(0.0, 1.0, len(alpha_bar))
        left.plot(t, alpha_bar, label=name)
        inside = (alpha_bar > 0) & (alpha_bar < 1)  # at t = 0 the ratio is infinite
        right.plot(t[inside], np.log(alpha_bar[inside] / (1 - alpha_bar[inside])), label=name)
    left.set(xlabel="t / T", ylabel=r"$\bar\alpha$")
    right.set(xlabel="t / T", ylabel=r"log SNR = log($\bar\alpha$ / (1 - $\bar\alpha$))")
    left.legend()
    save_figure(figure, path)


def curves_figure(
    lines: Mapping[str, tuple[np.ndarray, np.ndarray]],
    path: Path,
    *,
    x: str,
    y: str,
    logarithmic: bool = False,
) -> None:
    """Plot y against x, one line for each name, with markers where its points are few, and write the figure;
    the file's ending decides the format.
    lines: name -> (x (N,), y (N,)); x, y: titles of the axes; logarithmic: both are.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    for name, (xs, ys) in lines.items():
        axes.plot(xs, ys, marker="o" if len(xs) <= FEW else None, label=name)
    axes.set(xlabel=x, ylabel=y)
    if logarithmic:
        axes.loglog()
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    save_figure(figure, path)


def check_figure(path: Path) -> None:
    """Raise ValueError where the ending of a file names no format of figures; a name without one is a PNG."""
    from matplotlib.backend_bases import FigureCanvasBase

    legal = FigureCanvasBase.get_supported_filetypes()
    if path.suffix and path.suffix[1:].lower() not in legal:
        raise ValueError(
            f"--out {path} ends in {path.suffix}, which names no format of figures: choose from "
            f"{', '.join(legal)}"
        )


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a matplotlib figure to `path` as a whole or not at all; the file's ending decides the format,
    such as png, pdf or svg, and a name without one is a PNG.
    """
    with atomic_file(path) as file:
        figure.savefig(file, format=Path(path).suffix[1:] or "png", dpi=120)
