"""One small set that is made on the spot, and where the real data lie."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from genbench.data.source import ImageSource, digest

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


class Ramp(ImageSource):
    """12 + 4 images of 2 channels, 3 rows, 5 columns, drawn from a seed; the label is the number mod 3."""

    name = "ramp"
    shape = (2, 3, 5)
    num_classes = 3
    class_names = ("a", "b", "c")
    flip = True

    def __init__(
        self,
        *,
        labelled: bool = True,
        wrong_label: bool = False,
        short: bool = False,
        texts: Callable[[str], list[str]] | None = None,
    ) -> None:
        self.texts = texts
        self.captioned = texts is not None
        self.num_classes = 3 if labelled else 0
        self.wrong_label = wrong_label
        self.short = short
        self.decoded: list[str] = []

    def check(self) -> None:
        """Nothing can be missing."""

    def key(self) -> str:
        return digest([self.name, str(self.num_classes), *(["with captions"] if self.captioned else [])])

    def captions(self, split: str) -> list[str]:
        assert self.texts is not None
        return self.texts(split)

    def counts(self) -> dict[str, int]:
        return {"train": 12, "test": 4}

    def decode(self, split: str) -> Iterator[tuple[np.ndarray, int]]:
        self.decoded.append(split)
        for i in range(self.counts()[split] - self.short):
            label = 3 if self.wrong_label and i == 2 else i % 3
            yield self.image(split, i), label if self.num_classes else -1

    def image(self, split: str, i: int) -> np.ndarray:
        rng = np.random.default_rng([split == "test", i])
        return rng.integers(0, 256, (3, 5, 2), dtype=np.uint8)


@pytest.fixture
def ramp() -> type[Ramp]:
    return Ramp


@pytest.fixture
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the real data (../shared/data) are not here")
    return SHARED
