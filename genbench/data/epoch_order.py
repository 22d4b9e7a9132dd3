"""The order in which training sees its images."""

import hashlib

import numpy as np
import torch
from torch import Tensor

__all__ = ["EpochOrder"]


class EpochOrder:
    """An endless stream of image numbers: every epoch is a permutation of 0 ... n - 1 of its own.

    The stream is a function of (n, seed) and of nothing else, so a run resumes exactly from the number of
    images that it has seen. Raises ValueError on n < 1 or seed < 0.
    """

    def __init__(self, n: int, seed: int) -> None:
        if n < 1:
            raise ValueError(f"n is {n}; an order needs at least one image: give it a set that is not empty")
        if seed < 0:
            raise ValueError(f"seed is {seed}; it must be 0 or more")
        self.n = n
        self.seed = seed
        self.cached: tuple[int, Tensor] = (-1, torch.empty(0, dtype=torch.int64))

    def take(self, start: int, count: int) -> Tensor:
        """Return the images number start ... start + count - 1 of the stream, across epochs: (count,) int64,
        which may share memory with the order of an epoch.

        Raises ValueError on a negative start or count.
        """
        if start < 0 or count < 0:
            raise ValueError(f"start is {start} and count is {count}; both must be 0 or more")
        end = start + count
        epoch, offset = divmod(start, self.n)
        if offset + count <= self.n:  # of one epoch: nothing is copied
            return self.permutation(epoch)[offset : offset + count]
        pieces = []
        while start < end:
            epoch, offset = divmod(start, self.n)
            pieces.append(self.permutation(epoch)[offset : offset + end - start])
            start += len(pieces[-1])
        return torch.cat(pieces)

    def permutation(self, epoch: int) -> Tensor:
        """The order of one epoch, (n,) int64; the one that was asked for last is cached."""
        if self.cached[0] != epoch:
            # A hash of the words keeps (seed, epoch) apart from any other use of the same seed.
            words = f"genbench epoch order: seed {self.seed}, epoch {epoch}"
            rng = np.random.default_rng(int.from_bytes(hashlib.sha256(words.encode()).digest()))
            self.cached = (epoch, torch.from_numpy(rng.permutation(self.n)))
        return self.cached[1]
