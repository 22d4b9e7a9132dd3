"""Captions of images: one line of text for each, read from a file of the store."""

import re
from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import overload

import numpy as np
from torch import Tensor

from genbench.data.memory_map import MappedFile

__all__ = ["CaptionFile", "Chosen", "of_sides"]

SIDES = re.compile(r"\b(left|right)", re.IGNORECASE)


def of_sides(captions: Sequence[str]) -> tuple[int, str]:
    """Count the captions that say left or right, which is wrong of a mirrored image, and return the first of
    them too; 0 and "" where none does. Captions of other languages than English are not understood.
    """
    found = [caption for caption in captions if SIDES.search(caption)]
    return len(found), found[0] if found else ""


class Texts(Sequence[str]):
    """A sequence of texts that are read one at a time; a slice of it is a list; abstract."""

    @abstractmethod
    def text(self, number: int) -> str:
        """Read the text of a number from 0 to len - 1."""

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        numbers = range(len(self))[index]  # which raises IndexError, as a list does
        return self.text(numbers) if isinstance(numbers, int) else [self.text(i) for i in numbers]


class CaptionFile(Texts):
    """The captions in a file of the store: UTF-8, one a line, in the order of the images.

    file: its bytes, (size,) uint8. n: the number of captions. Raises ValueError where it has another number
    of lines. Each read raises Damaged once the file was changed.
    """

    def __init__(self, file: MappedFile, n: int) -> None:
        self.file = file
        if len(self.ends) != n or self.ends[-1] != len(file.tensor) - 1:
            raise ValueError(f"{file.path} has {len(self.ends):,} captions for {n:,} images")

    @cached_property
    def ends(self) -> np.ndarray:
        """The place of each line's end, (n,) int64."""
        return np.flatnonzero(self.file.tensor.numpy() == ord("\n"))

    def __len__(self) -> int:
        return len(self.ends)

    def text(self, number: int) -> str:
        self.file.check()
        start = int(self.ends[number - 1]) + 1 if number else 0
        return self.file.tensor[start : int(self.ends[number])].numpy().tobytes().decode()


class Chosen(Texts):
    """Some of a sequence of texts: those whose numbers are in rows (m,) int64, in this order."""

    def __init__(self, texts: Sequence[str], rows: Tensor) -> None:
        self.texts, self.rows = texts, rows

    def __len__(self) -> int:
        return len(self.rows)

    def text(self, number: int) -> str:
        return self.texts[int(self.rows[number])]
