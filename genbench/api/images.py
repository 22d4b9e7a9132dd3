"""Images as the Python interface returns them: an array, with ways to look at it and to save it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from genbench.evaluation.pictures import save_grid

__all__ = ["Images"]


@dataclass(frozen=True)
class Images:
    """8-bit images, with their labels or captions if they have any.

    array: uint8, (N, H, W) of grey images, (N, H, W, 3) of colour ones. labels: (N,) int64, or None.
    captions: N texts, or None.
    """

    array: np.ndarray
    labels: np.ndarray | None = None
    captions: Sequence[str] | None = None

    def __repr__(self) -> str:
        labels = "" if self.labels is None else ", with labels"
        captions = "" if self.captions is None else ", with captions"
        return f"Images({len(self)} of shape {self.array.shape[1:]}{labels}{captions})"

    def __len__(self) -> int:
        return len(self.array)

    def to_images(self) -> list[Image.Image]:
        """Return an image of Pillow for each, in mode L or RGB."""
        return [Image.fromarray(image) for image in self.array]

    def save_grid(self, path: str | Path, *, columns: int | None = None) -> Path:
        """Write all images as one PNG, row after row, and return its path.
        columns: images in a row; None takes a grid near a square.
        """
        channels_last = self.array[..., None] if self.array.ndim == 3 else self.array
        save_grid(torch.from_numpy(channels_last).permute(0, 3, 1, 2), Path(path), columns=columns)
        return Path(path)

    def save(self, path: str | Path) -> Path:
        """Write an .npz file that `genbench evaluate` and `genbench.evaluate` read, and return its path."""
        arrays = {"samples": self.array} | ({} if self.labels is None else {"labels": self.labels})
        if self.captions is not None:
            arrays["captions"] = np.array(self.captions, np.str_)
        with Path(path).open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # no name is the option of numpy
        return Path(path)
