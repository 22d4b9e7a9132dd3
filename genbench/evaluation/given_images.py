"""Images that any tool made, read from disk to be scored; what is not bytes of the shape of the data is
rejected, with the remedy, and nothing is converted.
"""

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from genbench.data.image_files import image_tree, remarks
from genbench.evaluation.npz_file import read_npz
from genbench.records.untrusted_files import open_regular

__all__ = ["GivenImages", "read"]

ARRAYS = "samples.npz"  # what `genbench sample` leaves in its folder, beside a grid that is no sample
MODES = {1: ("L", "1"), 3: ("RGB",)}  # Pillow's modes by channels, that of the remedy first


class GivenImages(NamedTuple):
    """Images that any tool made, all in memory, to be scored as samples are; with the classes that were asked
    for, where an .npz file states them.
    """

    images: Tensor
    """(N, C, H, W) uint8."""
    labels: Tensor | None
    """(N,) int64, the classes that were asked for, where they are known."""

    def part(self, start: int, count: int, device: torch.device) -> tuple[Tensor, Tensor | None]:
        """Return the images number start to start + count - 1, (count, C, H, W) uint8 on `device`, with their
        labels (count,) int64 on the host, or None where there are none.
        """
        index = slice(start, start + count)
        return self.images[index].to(device), None if self.labels is None else self.labels[index]


def read(path: Path, *, shape: tuple[int, int, int], num_classes: int) -> GivenImages:
    """Read the images of an .npz file (`samples`, and `labels` or not), or of all image files below a folder;
    of a folder that `genbench sample` wrote, its samples.npz.
    Nothing is resized or converted. Raises ValueError on what is not bytes of the shape (C, H, W) of the
    data, and where the path is neither.
    """
    path = Path(path)
    if (path / ARRAYS).is_file():
        return read_arrays(path / ARRAYS, shape, num_classes)
    if path.is_dir():
        return GivenImages(read_folder(path, shape), None)
    if path.suffix.lower() == ".npz" and path.exists():
        return read_arrays(path, shape, num_classes)
    raise ValueError(
        f"{path} is neither a run, nor a folder of images, nor an .npz file: give one of these; "
        "numpy.savez(FILE, samples=images) writes the last"
    )


def read_folder(folder: Path, shape: tuple[int, int, int]) -> Tensor:
    """Read all image files below a folder, in the order of their names: (N, C, H, W) uint8. Files that are
    passed over are reported by warnings. Raises ValueError where there is none.
    """
    tree = image_tree(folder)
    for remark in remarks(folder, [tree]):
        warnings.warn(remark, stacklevel=3)
    if not tree.images:
        raise ValueError(f"{folder} holds no images: .png, .jpg, .jpeg or .webp are read")
    return torch.stack([read_image(folder / file, shape) for file in tree.images])


def read_image(file: Path, shape: tuple[int, int, int]) -> Tensor:
    """Read one image file of the shape of the data: (C, H, W) uint8. Raises ValueError on other sizes and
    colour modes, and on files that Pillow cannot read.
    """
    channels, height, width = shape
    try:
        with open_regular(file) as opened, Image.open(opened) as image:
            mode, size = image.mode, image.size
            fits = mode in MODES[channels] and size == (width, height)
            # Others are not unpacked, which may take a thousand times the bytes of the file.
            pixels = np.array(image.convert("L" if channels == 1 else "RGB")) if fits else None
    except UnidentifiedImageError as error:
        raise ValueError(f"{file} is no image that can be read: take it out") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # all Pillow's
        raise ValueError(f"{file} is no image that can be read ({error}): take it out") from error
    if pixels is None:
        raise ValueError(
            f"{file} is {size[0]}x{size[1]} in mode {mode}; the data has {width}x{height} in mode "
            f"{MODES[channels][0]}: measure against other data (--data, --set data.size=..), or save it so"
        )
    return torch.from_numpy(pixels).reshape(height, width, channels).movedim(2, 0)


def read_arrays(file: Path, shape: tuple[int, int, int], num_classes: int) -> GivenImages:
    """Read the arrays of an .npz file, `samples` and, where it has them, `labels`. Raises ValueError where
    they are not images and classes of the data, and as `read_npz` does.
    """
    found = read_npz(file, ("samples", "labels"))
    samples = checked(found["samples"], shape, file)
    if "labels" not in found:
        return GivenImages(samples, None)
    return GivenImages(samples, checked_labels(found["labels"], len(samples), num_classes, file))


def checked(samples: np.ndarray, shape: tuple[int, int, int], file: Path) -> Tensor:
    """Check an array of images and arrange it: (N, H, W[, C]) uint8 -> (N, C, H, W). Raises ValueError on
    other dtypes, and on other shapes than that of the data.
    """
    if samples.dtype != np.uint8:
        # Numbers that are not finite come from a model that failed, which rounding would hide.
        broken = int((~np.isfinite(samples)).sum()) if np.issubdtype(samples.dtype, np.floating) else 0
        note = f", {broken:,} of its numbers not finite" if broken else ""
        raise ValueError(
            f"{file}: samples has dtype {samples.dtype}{note}; it must be uint8: round to 0 .. 255 first"
        )
    channels, height, width = shape
    images = samples[..., None] if samples.ndim == 3 else samples
    if images.ndim != 4 or images.shape[1:] != (height, width, channels) or len(images) == 0:
        grey = f" or [N, {height}, {width}]" if channels == 1 else ""
        legal = f"[N, {height}, {width}, {channels}]{grey}"
        raise ValueError(f"{file}: samples has shape {list(samples.shape)}; images of this data are {legal}")
    return torch.from_numpy(images).movedim(3, 1).contiguous()  # else each batch would be copied later


def checked_labels(labels: np.ndarray, n: int, num_classes: int, file: Path) -> Tensor:
    """Check that labels are n classes of the data, integers from 0 to num_classes - 1, and return them, (n,)
    int64.
    Raises ValueError on all others.
    """
    if labels.shape != (n,) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"{file}: labels has shape {list(labels.shape)} and dtype {labels.dtype}; it must be {n} integers"
        )
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"{file}: labels range from {labels.min()} to {labels.max()}; they must be from 0 to "
            f"{num_classes - 1}"
        )
    return torch.from_numpy(labels.astype(np.int64))  # torch lacks some of numpy's integers
