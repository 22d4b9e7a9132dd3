"""A set of images whose distribution is known exactly."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from genbench.data.known_distribution import LEVELS, KnownDistribution, rounded_normal
from genbench.data.source import ImageSource, digest
from genbench.runtime import rng
from genbench.runtime.memory import free_memory

__all__ = ["Gaussians", "blobs"]

BLOBS = 3  # of a picture
DARK, BRIGHT = 48, 208  # the levels of the pictures: their noise seldom meets the ends of the scale
CHUNK = 1000
MOST = 100_000_000  # images of a split, drawn in minutes


class Gaussians(ImageSource):
    """Pictures of Gaussian blobs, moved a little, under noise: size x size x 1, drawn from a seed.

    u_i = round(m_i(k, d) + s eps_i), clamped to 0 ... 255, eps ~ N(0, I), s the option `spread`
    k: the picture, with probability proportional to 1 / (k + 1); it is the label.
    d: how far it is moved, by at most `shift` pixels down and right, each equally likely.
    So p(u) is a mixture of classes (2 shift + 1)^2 modes of independent pixels: `distribution`, exactly.
    The pictures follow from (classes, size, seed); fewer images are the first of more.
    Raises ValueError on settings for which there are no such images.
    """

    name = "gaussians"
    flip = False

    def __init__(
        self,
        *,
        size: int = 8,
        classes: int = 10,
        shift: int = 1,
        spread: float = 8.0,
        train: int = 10_000,
        test: int = 1_000,
        seed: int = 0,
        validation: float | None = None,
    ) -> None:
        super().__init__(validation=validation)
        at_least = {
            "size": (size, 4),
            "classes": (classes, 1),
            "shift": (shift, 0),
            "seed": (seed, 0),
            "train": (train, 1),
            "test": (test, 1),
        }
        for key, (value, smallest) in at_least.items():
            if value < smallest:
                raise ValueError(f"data.{key} is {value}; it must be {smallest} or more")
        for split, count in (("train", train), ("test", test)):
            if count > MOST:
                raise ValueError(f"data.{split} is {count}; it must be {MOST:,} or less")
        if 2 * shift >= size:
            raise ValueError(f"data.shift is {shift}; it must be less than half of data.size={size}")
        if not 1 <= spread <= 64:
            raise ValueError(f"data.spread is {spread}; it must be from 1 to 64 grey levels")
        # float64 probabilities of each level of each pixel of each mode; a few copies while they are made
        needed, free = 8 * LEVELS * size**2 * classes * (2 * shift + 1) ** 2, free_memory()
        if needed > free:
            raise ValueError(
                f"data.size={size}, data.classes={classes} and data.shift={shift} take at least "
                f"{needed / 1e9:,.3g} GB of memory for the images' distribution, and {free / 1e9:,.3g} GB "
                "are free: use smaller values"
            )
        self.shape = (1, size, size)
        self.num_classes = classes
        self.class_names = tuple(map(str, range(classes)))
        self.shift, self.spread, self.seed = shift, spread, seed
        self.sizes = {"train": train, "test": test}

    def hold_out(self, n: int) -> str:
        return f"data.test={n}"

    @cached_property
    def distribution(self) -> KnownDistribution:  # type: ignore[override]  # at its first use
        """The exact distribution of the images, computed at the first use."""
        size, classes = self.shape[1], self.num_classes
        means = blobs(classes, size, shift=self.shift, seed=self.seed)  # (K, S, D)
        shifts = means.shape[1]
        return KnownDistribution(
            (1 / torch.arange(1, classes + 1)).repeat_interleave(shifts),
            rounded_normal(means.flatten(0, 1), self.spread),
            torch.arange(classes).repeat_interleave(shifts),
            key=self.distribution_key,
        )

    @property
    def distribution_key(self) -> str:
        """The key of the distribution, from the settings alone: 64 hex digits that change whenever it
        does.
        """
        return digest([self.name, f"{self.shape} {self.num_classes} {self.shift} {self.spread} {self.seed}"])

    def check(self) -> None:
        """The images are computed, so that nothing can be missing."""

    def key(self) -> str:
        return digest([self.distribution_key, str(self.sizes)])

    def counts(self) -> dict[str, int]:
        return self.sizes

    def decode(self, split: str) -> Iterator[tuple[np.ndarray, int]]:
        for start in range(0, self.sizes[split], CHUNK):
            # A whole chunk whatever the size of the set: fewer images are the first of more.
            stream = rng.generator(torch.device("cpu"), self.seed, f"gaussians {split}", start)
            images, labels = self.distribution.draw(CHUNK, stream)
            n = min(CHUNK, self.sizes[split] - start)
            squares = images[:n].reshape(n, *self.shape[1:], 1).numpy()
            yield from zip(squares, labels[:n].tolist(), strict=True)


def blobs(classes: int, size: int, *, shift: int, seed: int) -> Tensor:
    """The pictures in grey levels at each of S = (2 shift + 1)^2 places: (K, S, size^2) float64.

    level = DARK + (BRIGHT - DARK) (1 - prod_b (1 - exp(-|p - c_b|^2 / (2 r_b^2)))), p a pixel's centre
    """
    stream = rng.generator(torch.device("cpu"), seed, "gaussians pictures")
    drawn = torch.rand(classes, BLOBS, 3, generator=stream, dtype=torch.float64)
    centres, radii = size * (0.15 + 0.7 * drawn[..., :2]), size * (0.08 + 0.08 * drawn[..., 2])
    pixels = torch.cartesian_prod(*2 * [torch.arange(size) + 0.5])
    moves = torch.cartesian_prod(*2 * [torch.arange(-shift, shift + 1.0)])
    distances = pixels - moves[:, None] - centres[:, :, None, None]  # (K, BLOBS, S, size^2, 2)
    bumps = torch.exp(-distances.square().sum(-1) / (2 * radii.square()[..., None, None]))
    return DARK + (BRIGHT - DARK) * (1 - (1 - bumps).prod(1))
