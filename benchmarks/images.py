"""Data sets of random bytes, of any size and shape."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from genbench.data import ImageSource
from genbench.data.source import digest

__all__ = ["RandomImages", "RandomTexts", "temporary_cache"]

TESTED = 16
CHUNK = 1000


class RandomImages(ImageSource):
    """n training images (C, H, W) of random bytes, without labels."""

    num_classes, class_names, flip = 0, (), False

    def __init__(self, n: int, shape: tuple[int, int, int] = (1, 28, 28)) -> None:
        self.n, self.shape = n, shape
        self.name = f"random_{n}_{'x'.join(map(str, shape))}"

    def check(self) -> None:
        """Return at once: no file can be missing."""

    def key(self) -> str:
        return digest([self.name])

    def counts(self) -> dict[str, int]:
        return {"train": self.n, "test": TESTED}

    def decode(self, split: str) -> Iterator[tuple[np.ndarray, int]]:
        c, h, w = self.shape
        rng, left = np.random.default_rng(0), self.counts()[split]
        while left > 0:
            for image in rng.integers(0, 256, (min(CHUNK, left), h, w, c), dtype=np.uint8):
                yield image, -1
            left -= CHUNK


class RandomTexts(RandomImages):
    """n training images of 1x32x32, each with a caption of so many words, of 100 different ones."""

    captioned = True

    def __init__(self, n: int, words: int) -> None:
        super().__init__(n, (1, 32, 32))
        self.words = words
        self.name += f"_{words}_words"

    def captions(self, split: str) -> Sequence[str]:
        drawn = np.random.default_rng(0).integers(0, 100, (self.counts()[split], self.words))
        return [" ".join(f"w{number}" for number in row) for row in drawn]


@contextmanager
def temporary_cache() -> Iterator[None]:
    """Within, genbench stores its data in a temporary folder (GENBENCH_CACHE)."""
    before = os.environ.get("GENBENCH_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GENBENCH_CACHE"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["GENBENCH_CACHE"]
            else:
                os.environ["GENBENCH_CACHE"] = before
