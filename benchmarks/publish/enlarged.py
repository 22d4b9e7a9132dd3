"""A folder of larger images, for the claims on images of 64 pixels: Fashion-MNIST's first ones, enlarged."""

import shutil
from pathlib import Path

from PIL import Image

from genbench import app
from genbench.data import prepare
from genbench.runtime.progress import Progress

__all__ = ["FOLDER", "enlarge"]

FOLDER = Path("runs/enlarged_fashion_mnist")
"""Relative to the root of the repository, since the identity of a run counts the folder of its images."""
SIDE = 64
PARTS = {"train": slice(0, 5000), "test": slice(5000, 6000)}
"""Of the training images, in the order of their file."""


def enlarge(words: list[str], folder: Path) -> None:
    """Write 6,000 images of 28 pixels, enlarged by Lanczos' filter, as PNG files in a folder for each class;
    1,000 of them held out. Nothing is done where the folder is there, which it is once it is complete.

    words: overrides that say where the files of Fashion-MNIST lie.
    """
    if folder.is_dir():
        return
    source, _, _ = app.measuring(words)
    data = prepare(source, progress=Progress(None)).whole_train
    assert data.labels is not None
    partial = folder.with_name(f"partial-{folder.name}")
    if partial.is_dir():
        shutil.rmtree(partial)
    for part, chosen in PARTS.items():
        pairs = zip(data.images[chosen].squeeze(1).numpy(), data.labels[chosen].tolist(), strict=True)
        for i, (pixels, label) in enumerate(pairs):
            to = partial / part / str(label) / f"{i:05}.png"
            to.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(to)
    partial.rename(folder)
