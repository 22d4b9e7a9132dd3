"""A set made of any tree of image files."""

import hashlib
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np

from genbench.data.folder_captions import FolderCaptions, check_mode, find_captions
from genbench.data.image_files import (
    SUFFIXES,
    Tree,
    image_tree,
    is_folder,
    is_image,
    kinds_of,
    remarks,
    shortened,
)
from genbench.data.image_reading import ImageFileError, large_images, load
from genbench.data.layout import HELD_OUT, TRAIN, class_fault, deep_splits, named, tops
from genbench.data.resizing import check_resize
from genbench.data.source import BY_ROOT, SPLITS, ImageSource, digest, given_root
from genbench.records.titles import folder_title

__all__ = ["ImageFolder"]

MOST_PIXELS = 8192  # of a side: a chunk of larger images fills the memory
CHUNK_IMAGES = 256  # decoded ahead of the writer: what bounds the memory


class ImageFolder(ImageSource):
    """All PNG, JPEG, WebP, BMP and TIFF files under `root`, as squares of `size` pixels in 1 or 3 channels.

    Splits: the folders `train/` and `test/` (or else `val/` or another of HELD_OUT) where both exist, their
    names in any case; otherwise the test_fraction of the files (at least one) whose relative paths have the
    smallest sha256, also where all files lie in `train/`.
    Labels: the folders below a split's root, where every image lies in one of two or more; otherwise none.
    Images: turned as EXIF says; transparency laid on white; made a square by `resize`, one of `RESIZES`:
    "lanczos" center-crops, "box" and "adm" are those of published versions of ImageNet. Grey levels of 16
    bits become round(v / 257); what would lose more than that is refused (see `opened`).
    Captions: by the mode `captions`, of metadata.jsonl or of a .txt beside each image (see `find_captions`).
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
        captions: str = "auto",
        resize: str = "lanczos",
        validation: float | None = None,
    ) -> None:
        super().__init__(validation=validation)
        if not 1 <= size <= MOST_PIXELS:
            raise ValueError(f"data.size is {size}; it must be from 1 to {MOST_PIXELS:,} pixels")
        if channels not in (1, 3):
            raise ValueError(f"data.channels is {channels}; choose from 1 (grey) and 3 (RGB)")
        if not 0 < test_fraction < 1:
            raise ValueError(f"test_fraction is {test_fraction}; it must be a number between 0 and 1")
        check_mode(captions)
        self.caption_mode = captions
        self.resize_name, self.resize = resize, check_resize(resize)
        self.root = given_root(root)
        self.shape = (channels, size, size)
        self.flip = flip
        self.test_fraction = test_fraction

    @cached_property
    def name(self) -> str:  # type: ignore[override]  # computed at its first use, like those below
        return folder_title("" if self.root is None else self.root.resolve().name, self.shape[1])

    @cached_property
    def num_classes(self) -> int:  # type: ignore[override]
        return len(self.class_names)

    @cached_property
    def class_names(self) -> tuple[str, ...]:  # type: ignore[override]
        return () if class_fault(self.folders) else tuple(sorted(self.folders))

    @cached_property
    def folders(self) -> dict[str, Path]:
        """The folders that images lie in, relative to that of their split -> the path of one such image."""
        found = dict[str, Path]()
        for split, files in self.files.items():
            for file in files:
                found.setdefault(self.folder_of(file), self.bases[split] / file)
        return found

    def folder_of(self, file: str) -> str:
        """Return the folder that a file lies in, relative to that of its split; "" for that one itself."""
        return os.path.dirname(file.removeprefix(self.inner))

    @cached_property
    def top_folders(self) -> list[str]:
        """The names of the folders in `root`, sorted, without hidden ones.

        Raises FileNotFoundError where `root` is none, ValueError where it cannot be read.
        """
        if self.root is None:
            raise FileNotFoundError(f"data.root is null: give a folder of images {BY_ROOT}")
        if not self.root.is_dir():
            what = "is a file (unpack an archive first)" if self.root.exists() else "is not a folder"
            raise FileNotFoundError(
                f"data.root is {self.root}, which {what}: give a folder of images {BY_ROOT}"
            )
        try:
            entries = list(os.scandir(self.root))
        except OSError as error:
            raise ValueError(
                f"data.root is {self.root}, which cannot be read ({error.strerror}): give yourself the right "
                f"to read it, or name another folder {BY_ROOT}"
            ) from error
        return sorted(entry.name for entry in entries if is_folder(entry) and not entry.name.startswith("."))

    @cached_property
    def bases(self) -> dict[str, Path]:
        """The folder of each split; the same one for both where files are assigned to the splits by hash."""
        folders = self.top_folders
        assert self.root is not None
        train, held_out = (named(folders, names, self.root) for names in (TRAIN, HELD_OUT))
        if train is None or held_out is None:
            return dict.fromkeys(SPLITS, self.root)
        return {"train": self.root / train, "test": self.root / held_out}

    @cached_property
    def hashed(self) -> bool:
        """True where files are assigned to the splits by hash, since the folders do not say it."""
        return self.bases["train"] == self.bases["test"]

    @cached_property
    def inner(self) -> str:
        """`train/` where all images lie in it and no folder has test images, "" where that is not so."""
        found = tops(self.trees[self.bases["train"]].images) if self.hashed else set[str]()
        (top,) = found if len(found) == 1 else ("",)
        return f"{top}/" if top.lower() in TRAIN else ""

    @cached_property
    def trees(self) -> dict[Path, Tree]:
        """The tree of files below the folder of each split, or below their one folder."""
        return {base: image_tree(base) for base in dict.fromkeys(self.bases.values())}

    @cached_property
    def files(self) -> dict[str, list[str]]:
        """The image files of each split, relative to its base, sorted."""
        if not self.hashed:
            return {split: self.trees[base].images for split, base in self.bases.items()}
        images = self.trees[self.bases["train"]].images
        ranked = sorted(images, key=lambda f: hashlib.sha256(os.fsencode(f)).digest())
        n = max(1, round(len(ranked) * self.test_fraction))
        return {"train": sorted(ranked[n:]), "test": sorted(ranked[:n])}

    @cached_property
    def found_captions(self) -> FolderCaptions:
        """The captions of the images of both splits."""
        assert self.root is not None
        images = [self.below_root(split, file) for split in SPLITS for file in self.files[split]]
        texts = [self.prefix(base) + text for base, tree in self.trees.items() for text in tree.texts]
        return find_captions(self.root, images, texts, self.caption_mode)

    @cached_property
    def captioned(self) -> bool:  # type: ignore[override]
        return not self.found_captions.fault

    def below_root(self, split: str, file: str) -> str:
        """Return the path of an image of a split relative to `root`."""
        return self.prefix(self.bases[split]) + file

    def prefix(self, base: Path) -> str:
        """Return the way from `root` to the folder of a split: "" or its name with a slash."""
        return "" if base == self.root else f"{base.name}/"

    def check(self) -> None:
        """Raise FileNotFoundError where a split has no image, ValueError where the folders of the splits are
        ambiguous, there are test images alone, or captions that are asked for are at fault.
        """
        for split, base in self.bases.items():
            tree = self.trees[base]
            if not tree.images:
                others = " ".join(remarks(base, [tree]))
                raise FileNotFoundError(
                    f"{base} holds no images ({', '.join(SUFFIXES)}), and the {split} split needs at "
                    f"least one: name another folder {BY_ROOT}. {others}".rstrip()
                )
        found = tops(self.trees[self.bases["train"]].images) if self.hashed else {"train"}
        if all(top.lower() in HELD_OUT for top in found):
            raise ValueError(
                f"{self.root} holds test images alone ({', '.join(sorted(found))}): put the training images "
                "into train beside them, or name the folder of all images by data.root=PATH"
            )
        if not self.files["train"]:
            raise ValueError(
                f"{self.root} holds too few images ({len(self.files['test'])}): data.test_fraction="
                f"{self.test_fraction} of them, at least one, are held out, so that none is left to train "
                "on: add images, or give a smaller share"
            )
        if self.caption_mode in ("metadata", "txt") and self.found_captions.fault:
            raise ValueError(
                f"data.captions={self.caption_mode}: {self.found_captions.fault}. Without captions: "
                "data.captions=none"
            )

    def check_captions(self) -> None:
        if fault := self.found_captions.fault:
            raise ValueError(f"a model conditional on text needs a caption for each image: {fault}")

    def captions(self, split: str) -> list[str]:
        found = self.found_captions
        try:
            return [found.caption(self.below_root(split, file)) for file in self.files[split]]
        except ValueError as error:
            raise ValueError(f"{error}. A model without text reads no captions: text=none") from error

    def check_labels(self) -> None:
        """Raise ValueError where the folders give no labels, or a class no training image, with the reason
        and the layout that does.
        """
        if fault := class_fault(self.folders):
            raise ValueError(
                f"conditional=true needs labels, and the images of {self.root} have none ({fault}): put "
                "each class into a folder of its own right below data.root or its train/, as in "
                "train/CLASS/IMAGE, or use conditional=false"
            )
        trained = {self.folder_of(file) for file in self.files["train"]}
        if untrained := [name for name in self.class_names if name not in trained]:
            raise ValueError(
                f"conditional=true needs training images of each class, and {len(untrained)} of "
                f"{self.num_classes} have test images alone, such as {self.folders[untrained[0]]}: add some, "
                "or take the class out"
            )

    def remarks(self) -> list[str]:
        captions = self.found_captions
        base = Path(os.path.commonpath(list(self.trees)))
        found = remarks(base, list(self.trees.values()), read=self.caption_files())
        if captions.fault and captions.is_meant:
            found.append(f"Captions are not read: {captions.fault}.")
        if self.inner:
            found.append(
                f"{self.root} has no folder of test images ({'/, '.join(HELD_OUT)}/): "
                f"{len(self.files['test']):,} of the images in {self.inner} are held out as such."
            )
        if not self.hashed and (others := self.beside_splits()):
            found.append(f"Not read in {self.root}, beside the folders of the splits: {shortened(others)}.")
        if deep := deep_splits(self.folders):
            found.append(f"{deep} is no split, since it lies in another folder of {self.root}.")
        return found

    def caption_files(self) -> Counter[str]:
        """Count the files below the folders of the splits that captions are read from, by their kinds."""
        files = self.found_captions.files if self.captioned else ()
        prefixes = tuple(map(self.prefix, self.trees))
        return kinds_of(file for file in files if file.startswith(prefixes))

    def beside_splits(self) -> list[str]:
        """Return the names of folders and images in `root` that belong to neither split."""
        assert self.root is not None
        images = [entry.name for entry in os.scandir(self.root) if is_image(entry.name)]
        bases = {base.name for base in self.bases.values()}
        return sorted({*self.top_folders, *images} - bases)

    def key(self) -> str:
        if not self.captioned:
            return self.key_without_captions()
        parts = self.image_parts()
        for file in self.found_captions.files:
            stat = os.stat(f"{self.root}/{file}")
            parts.append(f"captions of {file} {stat.st_size} {stat.st_mtime_ns}")
        return digest(parts)

    def key_without_captions(self) -> str:
        return digest(self.image_parts())

    def image_parts(self) -> list[str]:
        """Return what the decoded images and labels follow from, a line for each fact and file."""
        way = "centre square, lanczos" if self.resize_name == "lanczos" else self.resize_name
        parts = [f"shape {self.shape}, {way}"]
        if self.inner and self.class_names:  # else the same files without labels have this key
            parts.append(f"classes in {self.inner}")
        for split, base in self.bases.items():
            for file in self.files[split]:
                stat = os.stat(f"{base}/{file}")  # pathlib's own takes longer than the disk
                parts.append(f"{split}/{file} {stat.st_size} {stat.st_mtime_ns}")
        return parts

    def counts(self) -> dict[str, int]:
        return {split: len(files) for split, files in self.files.items()}

    def hold_out(self, n: int) -> str:
        # Of files that the folders do not divide; more than half of them would be too many to hold out.
        images = sum(self.counts().values())
        share = math.ceil(100 * n / images) / 100
        return f"data.test_fraction={share}" if self.hashed and share <= 0.5 else ""

    def decode(self, split: str) -> Iterator[tuple[np.ndarray, int]]:
        files = self.files[split]
        for start in range(0, len(files), CHUNK_IMAGES):
            chunk = files[start : start + CHUNK_IMAGES]
            images, faults = self.read(split, chunk)
            if faults:
                raise self.all_faults(split, start + CHUNK_IMAGES, faults)
            yield from zip(images, map(self.label, chunk), strict=True)

    def read(self, split: str, files: Sequence[str]) -> tuple[list[np.ndarray], list[ImageFileError]]:
        """Read some files of a split, several at a time: their images, and the faults of the others."""

        def attempt(file: str) -> np.ndarray | ImageFileError:
            try:
                return load(self.bases[split] / file, self.shape, self.resize)
            except ImageFileError as error:
                return error

        with large_images(), ThreadPoolExecutor() as pool:
            found = list(pool.map(attempt, files))
        images = [image for image in found if isinstance(image, np.ndarray)]
        return images, [fault for fault in found if isinstance(fault, ImageFileError)]

    def all_faults(self, split: str, start: int, faults: list[ImageFileError]) -> ValueError:
        """Make the error of all files that cannot be read: the faults found so far, and those from image
        `start` of a split on, so that the user can mend all at once.
        """
        rest = {name: self.files[name] for name in SPLITS[SPLITS.index(split) :]}
        rest[split] = rest[split][start:]
        more = len(faults) - 1
        for name, files in rest.items():
            for first in range(0, len(files), CHUNK_IMAGES):
                more += len(self.read(name, files[first : first + CHUNK_IMAGES])[1])
        others = f". The same holds for {more:,} more of its images" if more else ""
        return ValueError(f"{faults[0]}{others}")

    def label(self, file: str) -> int:
        """Return the class of a file, by the folder that it lies in; -1 where there are no classes."""
        return self.class_numbers[self.folder_of(file)] if self.class_names else -1

    @cached_property
    def class_numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.class_names)}
