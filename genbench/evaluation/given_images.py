"""Images that any tool made, read from disk to be scored; what is not bytes of the shape of the data is
rejected, with the remedy, and nothing is converted.
"""

import os
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from genbench.data.folder_captions import find_captions
from genbench.data.image_files import SUFFIXES, image_tree, kinds_of, remarks
from genbench.data.image_reading import ImageFileError, large_images, opened
from genbench.evaluation.array_remedies import contents, rearranged, to_bytes, to_labels
from genbench.evaluation.npz_file import read_npy, read_npz
from genbench.evaluation.tensor_file import read_tensors
from genbench.records.texts import cleaned_prompt

__all__ = ["GivenImages", "checked", "checked_captions", "checked_labels", "read"]

ARRAYS = "samples.npz"  # what `genbench sample` leaves in its folder, beside a grid that is no sample
ORIENTATION = 0x0112  # of EXIF; 1 is upright
MODES = {1: ("L", "1"), 3: ("RGB",)}  # Pillow's modes by channels, that of the remedy first


class GivenImages(NamedTuple):
    """Images that any tool made, all in memory, to be scored as samples are; with the classes or the texts
    that were asked for, where they are stated.
    """

    images: Tensor
    """(N, C, H, W) uint8."""
    labels: Tensor | None
    """(N,) int64, the classes that were asked for, where they are known."""
    captions: Sequence[str] | None = None
    """The texts that were asked for, one for each image, where they are known; then there are no labels."""

    def part(self, start: int, count: int, device: torch.device) -> tuple[Tensor, Tensor | None]:
        """Return the images number start to start + count - 1, (count, C, H, W) uint8 on `device`, with their
        labels (count,) int64 on the host, of images with captions their numbers; None where there are
        neither.
        """
        index = slice(start, start + count)
        if self.captions is not None:
            return self.images[index].to(device), torch.arange(start, start + count)
        return self.images[index].to(device), None if self.labels is None else self.labels[index]


def read(
    path: Path, *, shape: tuple[int, int, int], num_classes: int, class_names: Sequence[str] = ()
) -> GivenImages:
    """Read the images of a file of arrays (.npz, .npy, .pt, .pth), or of all image files below a folder; of a
    folder that `genbench sample` wrote, its samples.npz.
    Nothing is resized or converted. class_names: of the data; a folder in which each image lies in a folder
    of one of these names gives labels, and one with a caption for each image, as folders of data have them,
    gives these. Raises ValueError on what is not bytes of the shape (C, H, W) of the
    data, and where the path is neither.
    """
    path = Path(path)
    if (path / ARRAYS).is_file():
        return read_arrays(path / ARRAYS, shape, num_classes)
    if path.is_dir():
        return read_folder(path, shape, class_names)
    if path.suffix.lower() in READERS and path.exists():
        return read_arrays(path, shape, num_classes)
    raise ValueError(
        f"{path} is neither a run, nor a folder of images, nor a file of arrays ({', '.join(READERS)}): "
        "give one of these; numpy.savez(FILE.npz, samples=images) writes the last"
    )


def read_folder(folder: Path, shape: tuple[int, int, int], class_names: Sequence[str]) -> GivenImages:
    """Read all image files below a folder, in the order of their names, numbers in them by value, so that
    2.png comes before 10.png and the order is that of an array. Files that are passed over are reported by
    warnings. Raises ValueError where there is none, or one that cannot be read, with their number.
    """
    tree = image_tree(folder)
    texts = find_captions(folder, tree.images, tree.texts, "auto")
    found = remarks(folder, [tree], read={} if texts.fault else kinds_of(texts.files))
    if texts.fault and texts.is_meant:
        found.append(f"Captions are not read: {texts.fault}.")
    if not tree.images:
        raise ValueError(f"{folder} holds no images ({', '.join(SUFFIXES)}). {' '.join(found)}".rstrip())
    for remark in found:
        warnings.warn(remark, stacklevel=3)
    files, images, faults = sorted(tree.images, key=natural), list[Tensor](), list[ValueError]()
    with large_images():
        for file in files:
            try:
                images.append(read_image(folder / file, shape))
            except ValueError as error:
                faults.append(error)
    if faults:
        more = f". The same holds for {len(faults) - 1:,} more of its images" if len(faults) > 1 else ""
        raise ValueError(f"{faults[0]}{more}")
    together = torch.stack(images).contiguous()
    if not texts.fault:
        return GivenImages(together, None, [texts.caption(file) for file in files])
    return GivenImages(together, folder_labels(files, class_names))


def natural(file: str) -> list[tuple[int, int | str]]:
    """Return the key that sorts relative paths by their folders and names, and numbers in these by value."""
    # Digits and other characters take turns, so that a number is never compared with a text.
    parts = re.findall(r"([0-9]+)|([^0-9]+)", file)
    return [(0, int(digits)) if digits else (1, text) for digits, text in parts] + [(2, file)]


def folder_labels(files: Sequence[str], class_names: Sequence[str]) -> Tensor | None:
    """Return the classes of images by the folders that they lie in, (N,) int64; None where one of these is no
    class of the data, with a warning where others are.
    """
    number = {name: number for number, name in enumerate(class_names)}
    labels = [number.get(os.path.dirname(file), -1) for file in files]
    if -1 not in labels:
        return torch.tensor(labels)
    if max(labels) >= 0:
        other = files[labels.index(-1)]
        warnings.warn(f"Scored without labels, since {other} lies in no class of the data.", stacklevel=4)
    return None


def read_image(file: Path, shape: tuple[int, int, int]) -> Tensor:
    """Read one image file of the shape of the data: (C, H, W) uint8. Raises ValueError on other sizes and
    colour modes, and on files that cannot be read.
    """
    channels, height, width = shape
    with opened(file) as image:
        mode, size = image.mode, image.size
        fits = mode in MODES[channels] and size == (width, height)
        turned = image.getexif().get(ORIENTATION, 1) != 1 if fits else False
        # Others are not unpacked, which may take a thousand times the bytes of the file.
        pixels = np.array(image.convert("L" if channels == 1 else "RGB")) if fits else None
    if pixels is None:
        wanted = MODES[channels]
        changes = "" if size == (width, height) else f".resize(({width}, {height}))"
        changes = changes if mode in wanted else f'.convert("{wanted[0]}"){changes}'
        other = "" if size == (width, height) else " --set data.size=.., where the data has it, or"
        raise ValueError(
            f"{file} is {size[0]}x{size[1]} in mode {mode}; the data has {width}x{height} in mode "
            f"{wanted[0]}. Nothing is converted here, as that would change the score: compare with"
            f"{other} other data (--data), or save each image as Image.open(FILE){changes}, from PIL"
        )
    if turned:
        raise ImageFileError(file, "its EXIF data say that it is rotated: save it upright")
    return torch.from_numpy(pixels).reshape(height, width, channels).movedim(2, 0)


def of_npz(file: Path) -> dict[str, np.ndarray]:
    """Read the arrays of an .npz file by the names that genbench gives them, or that numpy gives where images
    and labels are saved without names, as the samples of guided-diffusion (ADM) are.
    """
    return read_npz(file, ("samples", "labels", "captions"), instead=("arr_0", "arr_1"))


READERS: Mapping[str, Callable[[Path], Mapping[str, np.ndarray | Tensor]]] = {
    ".npz": of_npz,
    ".npy": lambda file: {"": read_npy(file)},
    ".pt": lambda file: read_tensors(file, ("samples", "labels")),
    ".pth": lambda file: read_tensors(file, ("samples", "labels")),
}
"""Endings of files -> what reads their images and, where they have them, their labels, in this order, by the
names in the file; "" where there are no names."""


def read_arrays(file: Path, shape: tuple[int, int, int], num_classes: int) -> GivenImages:
    """Read the images and, where it has them, the labels of a file of arrays. Raises ValueError where they
    are not images and classes of the data, and as the reader of such files does.
    """
    found = dict(READERS[file.suffix.lower()](file))
    captions = found.pop("captions", None)
    samples, *labels = ((f"{file}: {name}" if name else str(file), array) for name, array in found.items())
    images = checked(samples[1], shape, samples[0])
    if captions is not None:
        if labels:
            raise ValueError(f"{file} holds labels and captions, and scores take one of them: keep one")
        return GivenImages(images, None, checked_captions(captions, len(images), f"{file}: captions"))
    if not labels:
        return GivenImages(images, None)
    return GivenImages(images, checked_labels(labels[0][1], len(images), num_classes, labels[0][0]))


def checked(given: np.ndarray | Tensor, shape: tuple[int, int, int], where: str) -> Tensor:
    """Check an array of images and arrange it: (N, H, W[, C]) uint8 -> (N, C, H, W) uint8. The channels of a
    tensor of torch may also stand before height and width.

    where: its place or name, with which messages begin. Raises ValueError on other dtypes, and on other
    shapes than that of the data, with the way from the array to the right one.
    """
    samples = given if isinstance(given, np.ndarray) else as_array(given, shape)
    if samples.dtype != np.uint8:
        raise ValueError(
            f"{where} has dtype {samples.dtype}{contents(samples)}; it must be uint8: {to_bytes(samples)}"
        )
    channels, height, width = shape
    images = samples[..., None] if samples.ndim == 3 else samples
    if images.ndim != 4 or images.shape[1:] != (height, width, channels) or len(images) == 0:
        grey = f" or [N, {height}, {width}]" if channels == 1 else ""
        first = f", of tensors also [N, {channels}, {height}, {width}]" if isinstance(given, Tensor) else ""
        legal = f"[N, {height}, {width}, {channels}]{grey}{first}"
        raise ValueError(
            f"{where} has shape {list(samples.shape)}; images of this data are {legal}"
            f"{rearranged(samples.shape, shape)}"
        )
    if images.max() == 1:
        warnings.warn(f"{where} has pixels 0 and 1 alone, the two darkest of 256 levels.", stacklevel=4)
    return torch.from_numpy(images).movedim(3, 1).contiguous()  # else each batch would be copied later


def as_array(tensor: Tensor, shape: tuple[int, int, int]) -> np.ndarray:
    """Return the numbers of a tensor as an array, with the channels at the end where those of images of a
    shape (C, H, W) stand before height and width.
    """
    x = tensor.detach().cpu().resolve_conj().resolve_neg()
    try:
        array = x.numpy()
    except TypeError:  # numpy lacks bfloat16 and others of torch's
        array = x.float().numpy()
    return np.moveaxis(array, 1, 3) if array.shape[1:] == shape else array


def checked_labels(given: np.ndarray | Tensor, n: int, num_classes: int, where: str) -> Tensor:
    """Check that labels are n classes of the data, integers from 0 to num_classes - 1, and return them, (n,)
    int64. where: their place or name, with which messages begin.
    Raises ValueError on all others.
    """
    labels = np.asarray(given)
    if labels.shape != (n,) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"{where} has shape {list(labels.shape)} and dtype {labels.dtype}; it must be {n} "
            f"integers: {to_labels(labels, n)}"
        )
    if num_classes == 0:
        raise ValueError(f"{where}: the data has no classes: save the samples without labels")
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"{where} range from {labels.min()} to {labels.max()}; they must be from 0 to "
            f"{num_classes - 1}, the classes of the data: number them so, or save the samples without labels"
        )
    return torch.from_numpy(labels.astype(np.int64))  # torch lacks some of numpy's integers


def checked_captions(given: object, n: int, where: str) -> list[str]:
    """Check that captions are n texts, and return them in one line each; an empty one is no text.

    where: their place or name, with which messages begin. Raises ValueError on all others, with the number of
    the image.
    """
    texts = np.asarray(given)
    if texts.shape != (n,) or texts.dtype.kind not in "US":
        raise ValueError(
            f"{where} has shape {list(texts.shape)} and dtype {texts.dtype}; it must be {n} texts: "
            "use numpy.array(captions, dtype=str), one for each image"
        )
    found = list[str]()
    for number, text in enumerate(texts.tolist()):
        place = f"{where}[{number}]"
        try:
            found.append(cleaned_prompt(text if isinstance(text, str) else text.decode(), place))
        except UnicodeDecodeError as error:
            raise ValueError(f"{place} is not UTF-8 text: save it in that encoding") from error
    return found
