"""Sources of images: the facts that a set must state, and the reading of its images."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from genbench.data.law import KnownLaw
from genbench.records.untrusted import open_regular

__all__ = ["SPLITS", "GreySource", "ImageSource", "digest", "file_digest"]

SPLITS = ("train", "test")
STORE_VERSION = 1  # raise it when the store's layout changes: every key changes with it


class ImageSource(ABC):
    """A set of images that can be decoded; all but `decode` answers without decoding anything."""

    name: str
    """Short and fit for a file's name; it stands in tables."""
    shape: tuple[int, int, int]
    """(C, H, W) of every image."""
    num_classes: int
    """0 = no labels."""
    class_names: tuple[str, ...]
    flip: bool
    """True where a mirrored image is as likely as the image itself."""
    law: KnownLaw | None = None
    """The exact law of the images, of sets for which it is known."""

    @abstractmethod
    def check(self) -> None:
        """Raise ValueError or FileNotFoundError, before any work, on what would fail later."""

    @abstractmethod
    def key(self) -> str:
        """64 hex digits that change with the images: their files, the preprocessing, the store's version."""

    def remarks(self) -> list[str]:
        """Remarks on the files for the user, such as that some are not read: a sentence each."""
        return []

    @abstractmethod
    def counts(self) -> dict[str, int]:
        """Number of images of "train" and of "test"."""

    @abstractmethod
    def decode(self, split: str) -> Iterator[tuple[np.ndarray, int]]:
        """Images (H, W, C) uint8 with their labels (-1 = none), always in the same order."""


class GreySource(ImageSource):
    """A set of grey images that can also be had in black and white, as a set of another name.

    binarize: bytes of at least 128 become 255, all others 0.
    """

    def __init__(self, *, binarize: bool = False) -> None:
        self.binarize = binarize
        if binarize:  # stores, statistics and classifiers of either kind go by name and key
            self.name = f"{self.name}_binary"

    def toned(self, images: np.ndarray) -> np.ndarray:
        """Grey images (..) uint8 as the set has them."""
        return np.where(images >= 128, 255, 0).astype(np.uint8) if self.binarize else images


def digest(parts: Sequence[str]) -> str:
    """sha256 of a list of texts and the store's version, 64 hex digits."""
    return hashlib.sha256(json.dumps([STORE_VERSION, *parts]).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """sha256 of a regular file's bytes, 64 hex digits."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
