"""Draw samples of all families: `python -m docs_tools.figures.all_families RUNS --out docs/img`."""

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from docs_tools.figures.__main__ import families
from genbench import app
from genbench.data import prepare, to_float
from genbench.runtime.progress import Progress

__all__ = ["draw_samples"]

COLUMNS, SIDE = 5, 5
"""Families in a row of the picture; samples of each are SIDE x SIDE."""


def main() -> None:
    """Sample each family that has a finished run in the folders of the command line, and draw them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="folders with runs")
    parser.add_argument("--out", type=Path, default=Path("docs/img"), help="folder of the picture")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    runs = dict(families(asked.runs))
    drawn = {name: samples_of(run) for name, run in runs.items()}
    drawn["real images"] = real_images(next(iter(runs.values())))
    path = asked.out / "all_families.png"
    draw_samples(drawn, path)
    print(f"{path}: {len(runs)} families, {path.stat().st_size:,} bytes")


def samples_of(run: Path) -> Tensor:
    """Return the first SIDE x SIDE samples of a run at seed 0, not chosen: (n, C, H, W) in [0, 1]."""
    torch.manual_seed(0)
    return (app.load(run, device="cpu").sample(SIDE * SIDE).clamp(-1, 1) + 1) / 2


def real_images(run: Path) -> Tensor:
    """Return the first SIDE x SIDE held-out images of a run's data: (n, C, H, W) in [0, 1]."""
    source, _, _ = app.measuring(of_run=run)
    return (to_float(prepare(source, progress=Progress(None)).test.images[: SIDE * SIDE]) + 1) / 2


def draw_samples(samples: dict[str, Tensor], path: Path) -> None:
    """Write a picture with a square of samples for each name, the name above.

    samples: the name of a family -> (n, C, H, W) in [0, 1], n at least SIDE x SIDE.
    """
    rows = -(-len(samples) // COLUMNS)
    figure = Figure(figsize=(1.5 * COLUMNS, 1.7 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    places = figure.subplots(rows, COLUMNS, squeeze=False).flat
    for place in figure.axes:
        place.set_axis_off()
    for (name, images), place in zip(samples.items(), places, strict=False):
        place.imshow(square(images), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        place.set_title(name, fontsize=9)
    figure.savefig(path, dpi=140)


def square(images: Tensor) -> np.ndarray:
    """Put SIDE x SIDE images into one, with a pixel between them: (H', W', C), or (H', W') where C is 1."""
    _, channels, height, width = images.shape
    grid = torch.ones(channels, SIDE * (height + 1) - 1, SIDE * (width + 1) - 1)
    for number, image in enumerate(images[: SIDE * SIDE]):
        top, left = number // SIDE * (height + 1), number % SIDE * (width + 1)
        grid[:, top : top + height, left : left + width] = image
    return grid.permute(1, 2, 0).squeeze(-1).numpy()


if __name__ == "__main__":
    main()
