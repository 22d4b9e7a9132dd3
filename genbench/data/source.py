"""Sources of images: the facts that a set must state, and the reading of its images."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from genbench.data.known_distribution import KnownDistribution
from genbench.data.validation_part import check_share
from genbench.records.untrusted_files import open_regular
from genbench.runtime.disk import expanded

__all__ = ["BY_ROOT", "SPLITS", "GreySource", "ImageSource", "digest", "file_digest", "given_root"]

SPLITS = ("train", "test")
STORE_VERSION = 1  # part of every key: raise it when sources decode other bytes than before
BY_ROOT = "by data.root=PATH, of `genbench evaluate` by --data-root PATH"
"""End of a message that asks for a folder of images: the key of a command, and the option of the verb."""


class ImageSource(ABC):
    """A set of images that can be decoded: the base class of every option of `data=`.

    A subclass states the facts below and implements `check`, `key`, `counts` and `decode`; only `decode` may
    read the images themselves. `prepare` decodes a source once into a store, and from then on maps that. One
    whose constructor passes on `validation` can be trained with validation images, which `prepare` takes out
    of the training split.
    """

    name: str
    """A short name for tables, made of characters that a file name may have."""
    shape: tuple[int, int, int]
    """(C, H, W) of every image."""
    num_classes: int
    """Number of classes; 0 where the images have no labels."""
    class_names: tuple[str, ...]
    flip: bool
    """True where a mirrored image is as likely as the image itself."""
    distribution: KnownDistribution | None = None
    """The exact distribution of the images, of sets for which it is known."""
    captioned: bool = False
    """True where each image has a caption, which `captions` gives."""
    validation: float | None = None
    """The share of the training images that are set aside for validation; None for none."""

    def __init__(self, *, validation: float | None = None) -> None:
        check_share(validation)
        self.validation = validation

    @abstractmethod
    def check(self) -> None:
        """Raise ValueError or FileNotFoundError, before any work, on what would fail in `key` or `decode`."""

    @abstractmethod
    def key(self) -> str:
        """A digest of all that the decoded bytes follow from: files, preprocessing, the version of the store.

        64 hex digits. Stores, cached statistics and classifiers are found by it, so it must change with them.
        """

    def key_without_captions(self) -> str:
        """A digest like `key`, of the images and labels alone: what `prepare` finds them by for models that
        take no text, to which captions are nothing. By default it is `key`, for sources whose captions do not
        change by themselves.
        """
        return self.key()

    def check_labels(self) -> None:
        """Raise ValueError, with the reason, where a conditional model would have no labels to learn from."""
        if self.num_classes == 0:
            raise ValueError(
                f"conditional=true needs labels, and {self.name} has none: set conditional=false, "
                "or choose data with labels"
            )

    def check_captions(self) -> None:
        """Raise ValueError, with the reason, where a text-conditional model would have no captions to learn
        from.
        """
        if not self.captioned:
            raise ValueError(
                f"a model of text needs captions, and {self.name} has none: choose data with captions, such "
                "as data=captioned, or data=image_folder with a metadata.jsonl; or use text=none, which is "
                "for ddpm and others that are trained here, or model.prompts=FILE of model=diffusers"
            )

    def captions(self, split: str) -> Sequence[str]:
        """Return the caption of each image of a split, in the order of `decode`; called only where
        `captioned` is true. White space is made one space a stretch; `key` must change with the captions.
        By default it raises ValueError: a source with captions says which they are.
        """
        raise ValueError(
            f"{type(self).__name__}.captioned is true, and it has no captions: add captions(split)"
        )

    def remarks(self) -> list[str]:
        """Remarks on the files for the user, a sentence each, such as how many of them are not read."""
        return []

    @abstractmethod
    def counts(self) -> dict[str, int]:
        """Return the number of images of each split: {"train": n, "test": m}."""

    def hold_out(self, n: int) -> str:
        """Say, for a message, by which setting the test split gets n images or more, with a value that does;
        "" where no setting does, so that other images must be added.
        """
        return ""

    @abstractmethod
    def decode(self, split: str) -> Iterator[tuple[np.ndarray, int]]:
        """Read the images of a split, one at a time, always in the same order.

        Yields (H, W, C) uint8 arrays with their labels, -1 for none.
        """


class GreySource(ImageSource):
    """A set of grey images with the option `binarize`, under which it is a set of another name.

    binarize: bytes of at least 128 become 255, all others 0, so that an image is black and white.
    """

    def __init__(self, *, binarize: bool = False, validation: float | None = None) -> None:
        ImageSource.__init__(self, validation=validation)
        self.binarize = binarize
        if binarize:  # stores, statistics and classifiers of either kind go by name and key
            self.name = f"{self.name}_binary"

    def toned(self, images: np.ndarray) -> np.ndarray:
        """Grey images (..) uint8, made black and white where `binarize` says so."""
        return np.where(images >= 128, 255, 0).astype(np.uint8) if self.binarize else images


def given_root(root: str | None) -> Path | None:
    """Return the folder that `data.root` names, "~" in it expanded; None where it is null.

    Raises ValueError on an empty text, which would be the working directory, and on the home of nobody.
    """
    if root is None:
        return None
    if not root.strip():
        raise ValueError(f"data.root is {root!r}, which names no folder: give one {BY_ROOT}")
    return expanded(root, "write the whole path, or set HOME")


def digest(parts: Sequence[str]) -> str:
    """Compute the sha256 of a list of texts and the version of the store, 64 hex digits.

    Sources make their `key` with it, from everything that their decoded images follow from.
    """
    return hashlib.sha256(json.dumps([STORE_VERSION, *parts]).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Compute the sha256 of a file's bytes, 64 hex digits.

    Raises ValueError where it is not a regular file, OSError where it cannot be read.
    """
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
