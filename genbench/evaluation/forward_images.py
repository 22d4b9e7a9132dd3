"""One image on its way to noise under several schedules, for `genbench schedules --images`."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from genbench.data import ImageSource, prepare, to_float, to_uint8
from genbench.data.image_reading import load
from genbench.evaluation.figures import Row, images_figure
from genbench.runtime.context import Context

__all__ = ["Noised", "first_image", "forward_figure", "forward_images", "image_file"]

SHAPE = (3, 64, 64)  # in which an image file of any size is shown
FRAMES = 9  # times, from 0 to 1


class Noised(NamedTuple):
    """One image at several times of a schedule."""

    t: list[float]
    """Times from 0 to 1, on the grid k / T."""
    alpha_bar: list[float]
    """Share of the data there, from 0 to 1."""
    images: Tensor
    """(F, C, H, W) in about [-1, 1], not clamped."""


def first_image(source: ImageSource, context: Context) -> Tensor:
    """Return the first training image of some data: (1, C, H, W) in [-1, 1]."""
    return to_float(prepare(source, progress=context.progress, captions=False).train.images[:1])


def image_file(path: Path) -> Tensor:
    """Return an image file of any size, center-cropped and resized: (1, 3, 64, 64) in [-1, 1]."""
    return to_float(torch.from_numpy(load(path, SHAPE).copy()).permute(2, 0, 1)[None])


def forward_images(
    x0: Tensor, tables: Mapping[str, Tensor], *, rng: torch.Generator, frames: int = FRAMES
) -> dict[str, Noised]:
    """Noise one image x0 (1, C, H, W) in [-1, 1] more and more by each of several schedules, all with one
    draw of the noise: xt = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) eps.

    tables: name -> alpha_bar on the grid 0..T, (T + 1,) float64. Returns name -> states at even times.
    Source: Ho et al. 2020, Eq. 4.
    """
    eps, found = torch.randn(x0.shape, generator=rng), dict[str, Noised]()
    for name, table in tables.items():
        T = len(table) - 1
        steps = torch.linspace(0, T, frames, dtype=torch.float64).round()
        at = table[steps.long()]
        alpha, sigma = at.sqrt().float()[:, None, None, None], (1 - at).sqrt().float()[:, None, None, None]
        found[name] = Noised((steps / T).tolist(), at.tolist(), alpha * x0 + sigma * eps)
    return found


def forward_figure(x0: Tensor, tables: Mapping[str, Tensor], path: Path, context: Context) -> None:
    """Draw an image x0 (1, C, H, W) on its way to noise, a row for each schedule, a column for each time; the
    file's ending decides the format.
    """
    noised = forward_images(x0, tables, rng=context.generator("forward"))
    rows = [
        Row(
            name,
            to_uint8(each.images).permute(0, 2, 3, 1).numpy(),
            [f"{share:.2g}" for share in each.alpha_bar],
        )
        for name, each in noised.items()
    ]
    first = next(iter(noised.values()))
    images_figure(rows, path, columns=[f"t = {t:.3g}" for t in first.t], below=r"$\bar\alpha$ = {}")
