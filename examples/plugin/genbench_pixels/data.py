"""A set of drawn images: horizontal and vertical stripes of random widths, with their direction as label."""

from collections.abc import Iterator

import numpy as np

from genbench.data.source import SPLITS, ImageSource, digest

__all__ = ["Stripes"]


class Stripes(ImageSource):
    """Grey images of size x size pixels, half of them with horizontal, half with vertical stripes.

    size: pixels, 4 to 256; train, test: number of images of each split, at least 20; validation: the share of
    the training images that are set aside, None for none.
    """

    name = "stripes"
    num_classes = 2
    class_names = ("horizontal", "vertical")
    flip = True

    def __init__(
        self, *, size: int = 8, train: int = 1000, test: int = 200, validation: float | None = None
    ) -> None:
        super().__init__(validation=validation)
        if not 4 <= size <= 256:
            raise ValueError(f"data.size is {size}; it must be from 4 to 256")
        if min(train, test) < 20:
            raise ValueError(f"data.train is {train} and data.test {test}; both must be at least 20")
        self.shape = (1, size, size)
        self.sizes = {"train": train, "test": test}

    def check(self) -> None:
        """Accept every machine: nothing is read."""

    def key(self) -> str:
        """Return a digest of the settings that the images follow from."""
        return digest([self.name, str(self.shape), str(self.sizes)])

    def counts(self) -> dict[str, int]:
        """Return the number of images of each split."""
        return dict(self.sizes)

    def decode(self, split: str) -> Iterator[tuple[np.ndarray, int]]:
        """Draw the images of a split (H, W, 1) uint8, always the same ones, with their labels in turn."""
        rng = np.random.default_rng(SPLITS.index(split))
        for number in range(self.sizes[split]):
            label, period, offset = number % 2, rng.integers(2, 5), rng.integers(0, 8)
            wave = (np.arange(self.shape[1]) + offset) // period % 2 * 200 + rng.integers(0, 56)
            image = np.broadcast_to(wave if label else wave[:, None], self.shape[1:])
            yield image.astype(np.uint8)[..., None], label
