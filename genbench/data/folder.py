"""A set made of any tree of image files."""

import hashlib
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from genbench.data.image_files import SUFFIXES, Tree, image_tree, remarks
from genbench.data.source import SPLITS, ImageSource, digest
from genbench.records.untrusted_files import open_regular
from genbench.runtime.disk import expanded

__all__ = ["ImageFolder"]

CHUNK_IMAGES = 256  # decoded ahead of the writer: what bounds the memory


class ImageFolder(ImageSource):
    """All PNG, JPEG and WebP files under `root`, as squares of `size` pixels in 1 or 3 channels.

    Splits: the folders `train/` and `test/` (or else `val/`) where both exist; otherwise the test_fraction of
    the files (at least one) whose relative paths have the smallest sha256.
    Labels: the folders below a split's root, where every image lies in one of two or more; otherwise none.
    Images: turned as EXIF says; transparency laid on white; center-cropped to a square, whose side is the
    shorter side, and resized by Lanczos. An image more than six times too large is first averaged over whole
    blocks.
    Hidden files and folders are passed over; so are files of other kinds, which `remarks` counts. Links are
    followed (see `image_tree`).
    """

    def __init__(
        self,
        root: str | None,
        *,
        size: int,
        channels: int = 3,
        flip: bool = True,
        test_fraction: float = 0.1,
    ) -> None:
        if size < 1:
            raise ValueError(f"size is {size}; it must be 1 pixel or more")
        if channels not in (1, 3):
            raise ValueError(f"channels is {channels}; choose from 1 (grey) and 3 (RGB)")
        if not 0 < test_fraction < 1:
            raise ValueError(f"test_fraction is {test_fraction}; it must be a number between 0 and 1")
        self.root = None if root is None else expanded(root, "write the whole path, or set HOME")
        self.shape = (channels, size, size)
        self.flip = flip
        self.test_fraction = test_fraction

    @cached_property
    def name(self) -> str:
        stem = "" if self.root is None else re.sub(r"\W+", "_", self.root.resolve().name).strip("_")
        return f"{stem or 'folder'}_{self.shape[1]}px"

    @cached_property
    def num_classes(self) -> int:
        return len(self.class_names)

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        folders = {os.path.dirname(file) for files in self.files.values() for file in files}
        named = len(folders) > 1 and all(folder and "/" not in folder for folder in folders)
        return tuple(sorted(folders)) if named else ()

    @cached_property
    def bases(self) -> dict[str, Path]:
        """The folder of each split; the same one for both where files are assigned to the splits by hash."""
        if self.root is None or not self.root.is_dir():
            raise FileNotFoundError(
                f"data.root is {self.root}, which is no folder: give a folder of images by data.root=PATH"
            )
        held_out = next((self.root / name for name in ("test", "val") if (self.root / name).is_dir()), None)
        if held_out is None or not (self.root / "train").is_dir():
            return dict.fromkeys(SPLITS, self.root)
        return {"train": self.root / "train", "test": held_out}

    @cached_property
    def trees(self) -> dict[Path, Tree]:
        """The tree of files below the folder of each split, or below their one folder."""
        return {base: image_tree(base) for base in dict.fromkeys(self.bases.values())}

    @cached_property
    def files(self) -> dict[str, list[str]]:
        """The image files of each split, relative to its base, sorted."""
        if self.bases["train"] != self.bases["test"]:
            return {split: self.trees[base].images for split, base in self.bases.items()}
        images = self.trees[self.bases["train"]].images
        ranked = sorted(images, key=lambda f: hashlib.sha256(os.fsencode(f)).digest())
        n = max(1, round(len(ranked) * self.test_fraction))
        return {"train": sorted(ranked[n:]), "test": sorted(ranked[:n])}

    def check(self) -> None:
        """Raise FileNotFoundError where a split has no image."""
        empty = [split for split in SPLITS if not self.files[split]]
        if empty:
            raise FileNotFoundError(
                f"{self.root} holds no images ({', '.join(SUFFIXES)}) for the split {' and '.join(empty)}; "
                "each split needs one at least: name another folder by data.root=PATH"
            )

    def remarks(self) -> list[str]:
        return remarks(Path(os.path.commonpath(list(self.trees))), list(self.trees.values()))

    def key(self) -> str:
        parts = [f"shape {self.shape}, centre square, lanczos"]
        for split, base in self.bases.items():
            for file in self.files[split]:
                stat = os.stat(f"{base}/{file}")  # pathlib's own takes longer than the disk
                parts.append(f"{split}/{file} {stat.st_size} {stat.st_mtime_ns}")
        return digest(parts)

    def counts(self) -> dict[str, int]:
        return {split: len(files) for split, files in self.files.items()}

    def decode(self, split: str) -> Iterator[tuple[np.ndarray, int]]:
        files, base = self.files[split], self.bases[split]
        with ThreadPoolExecutor() as pool:
            for start in range(0, len(files), CHUNK_IMAGES):
                chunk = files[start : start + CHUNK_IMAGES]
                images = pool.map(lambda file: load(base / file, self.shape), chunk)
                yield from zip(images, map(self.label, chunk), strict=True)

    def label(self, file: str) -> int:
        """Return the class of a file, by the folder that it lies in; -1 where there are no classes."""
        return self.class_numbers[os.path.dirname(file)] if self.class_names else -1

    @cached_property
    def class_numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.class_names)}


def load(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """Read an image file, center-crop and resize it: (H, W, C) uint8 for shape (C, H, W).

    Raises ValueError, which names the file, where it is missing, damaged or no image.
    """
    c, h, w = shape
    try:
        with open_regular(path) as file, Image.open(file) as found:
            image = flatten(ImageOps.exif_transpose(found), "L" if c == 1 else "RGB")
    # On damage Pillow's decoders raise a dozen types, SyntaxError and zlib's among them.
    except Exception as error:
        reason = "it is no image" if isinstance(error, UnidentifiedImageError) else error
        raise ValueError(
            f"{path} cannot be read ({reason}); repair it, or take it out of the folder"
        ) from error
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = (left, top, left + side, top + side)
    resized = image.resize((w, h), Image.Resampling.LANCZOS, box=square, reducing_gap=3.0)
    return np.asarray(resized).reshape(h, w, c)


def flatten(image: Image.Image, mode: str) -> Image.Image:
    """Convert an image of any mode to "L" (grey) or "RGB"; transparent parts become white."""
    if image.mode.startswith("I"):  # 16 bits, which Pillow would clip at 255
        levels = (np.asarray(image).astype(np.int64) + 128) // 257
        return Image.fromarray(levels.astype(np.uint8)).convert(mode)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert(mode)
