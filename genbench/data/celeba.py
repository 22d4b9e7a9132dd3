"""CelebA, whose images stay in their archive until they are cropped and resized."""

import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from genbench.data.image_reading import load
from genbench.data.resizing import crop_resized
from genbench.data.sets import TorchvisionSource, check_sum, copy
from genbench.data.source import digest, file_digest

__all__ = ["CelebA"]

LISTS = (
    *("list_attr_celeba.txt", "identity_CelebA.txt", "list_bbox_celeba.txt"),
    *("list_landmarks_align_celeba.txt", "list_eval_partition.txt"),
)
"""The files beside the images, all of which torchvision wants and checks by their md5 sums."""
CROP = 140  # pixels a side, of 178 x 218
IMAGE_BYTES = 2**20  # of one JPEG; the largest has some 30 kB


class CelebA(TorchvisionSource):
    """CelebA, aligned and cropped: 162,770 + 19,962 photographs of faces, without classes, in torchvision's
    splits `train` and `test`; the 19,867 of `valid` are not read.

    Crop: the centre 140 x 140 pixels of 178 x 218, resized to `size` x `size` by the bilinear filter with
    antialiasing, as in the code of Song et al. 2021 (score SDE), at 64 pixels there.
    The images are read from img_align_celeba.zip, or from the unpacked folder img_align_celeba beside the
    lists. Source: Liu, Luo, Wang, Tang 2015. Raises ValueError on a size out of range.
    """

    name = "celeba"
    num_classes = 0
    class_names = ()
    flip = True
    archives = ("celeba/img_align_celeba.zip", *(f"celeba/{file}" for file in LISTS))
    unpacked = ("celeba/img_align_celeba/000001.jpg", *(f"celeba/{file}" for file in LISTS))
    sizes = (162_770, 19_962)

    def __init__(
        self,
        root: str | None = None,
        *,
        download: bool = True,
        size: int = 64,
        validation: float | None = None,
    ) -> None:
        super().__init__(root, download=download, validation=validation)
        if not 1 <= size <= CROP:
            raise ValueError(f"data.size is {size}; it must be from 1 to the {CROP} pixels of the crop")
        self.shape = (3, size, size)

    def official(self) -> tuple[Any, list[str]]:
        from torchvision.datasets import CelebA

        sums = {file: md5 for _, md5, file in CelebA.file_list}
        return CelebA, [sums[Path(archive).name] for archive in self.archives]

    def key(self) -> str:
        parts = [self.name, f"centre {CROP}, {self.shape[1]} pixels, bilinear"]
        if self.root is not None and not self.packed(self.root):
            # As of an image folder: to hash all images at each start would take longer than to map a store.
            parts += [file_digest(self.root / file) for file in self.unpacked[1:]]
            pictures = self.root / Path(self.unpacked[0]).parent
            for entry in sorted(os.scandir(pictures), key=lambda entry: entry.name):
                found = entry.stat()
                parts.append(f"{entry.name} {found.st_size} {found.st_mtime_ns}")
        return digest(parts)

    def decode(self, split: str) -> Iterator[tuple[np.ndarray, int]]:
        home = self.fetched() if self.root is None else self.root
        names = self.names(home, split)
        with self.pictures(home) as read:
            for name in names:
                path = home / "celeba" / "img_align_celeba" / name
                yield load(path, self.shape, self.cropped, content=read(name)), -1

    def cropped(self, image: Image.Image, size: tuple[int, int]) -> Image.Image:
        """Cut the centre out of an image of 178 x 218 pixels and resize it to `size`. Raises ValueError on
        images of another size.
        """
        if image.size != (178, 218):
            raise ValueError(
                f"{self.name} has an image of {image.size[0]}x{image.size[1]} pixels instead of 178x218: "
                "give the aligned and cropped images, img_align_celeba"
            )
        return crop_resized(image, CROP, size[0])

    def names(self, home: Path, split: str) -> list[str]:
        """Return the names of the images of a split, by torchvision, from the lists in the folder `home`.
        Raises ValueError where they are damaged.
        """
        kind, _ = self.official()
        with tempfile.TemporaryDirectory() as scratch:
            for file in LISTS:
                copy(home / "celeba" / file, Path(scratch) / "celeba" / file)
            (Path(scratch) / "celeba" / "img_align_celeba").mkdir()  # which torchvision wants to see
            try:
                names = list(kind(scratch, split=split).filename)
            except (RuntimeError, ValueError, IndexError) as error:
                raise ValueError(
                    f"{home} holds damaged lists of {self.name} (torchvision checks their md5 sums): "
                    f"download {', '.join(LISTS)} again"
                ) from error
        if len(names) != self.counts()[split] or not all(map(is_plain, names)):
            raise ValueError(f"{home} holds damaged lists of {self.name}: download them again")
        return names

    @contextmanager
    def pictures(self, home: Path) -> Iterator[Callable[[str], bytes | None]]:
        """Give, for the length of a `with` block, a function from the name of an image to its bytes, of the
        archive in the folder `home`, or to None where its file is in the folder itself.
        Raises ValueError where the archive is damaged or lacks an image.
        """
        if not self.packed(home):
            yield lambda name: None
            return
        archive = home / self.archives[0]
        check_sum(archive, self.official()[1][0])
        with zipfile.ZipFile(archive) as opened:
            yield lambda name: member(opened, f"img_align_celeba/{name}", archive)


def member(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    """Read one file of an archive. Raises ValueError where it is missing, too large or damaged."""
    try:
        if archive.getinfo(name).file_size > IMAGE_BYTES:
            raise zipfile.BadZipFile(f"{name} is larger than {IMAGE_BYTES:,} bytes")
        return archive.read(name)
    except (KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is damaged ({error}): download it again") from error


def is_plain(name: str) -> bool:
    """Return True for a name of a file in a folder, without a way to another one."""
    return bool(name) and Path(name).name == name
