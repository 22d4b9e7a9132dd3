"""Copies of training images among samples, by distances between pixels."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from genbench.data import Split
from genbench.metrics.reference import Reference, subset
from genbench.metrics.scores.interval import Influences, at_least_0
from genbench.metrics.scores.score import Drawn, Score, of_split
from genbench.records.metric_kinds import KINDS

__all__ = ["NearestImage", "nearest_images"]

BLOCK = 2048  # training images at a time, which bounds the memory of their distances
CPU = torch.device("cpu")


class NearestImage(Score):
    """Mean distance in pixels to the nearest of all training images, and its ratio to that of held-out
    images.

    A ratio well below 1 comes from repeated training images. The ratio's interval is over the held-out images
    too. samples: how many are compared at most. Raises ValueError below 2.
    """

    key = "nearest"
    kinds = (KINDS["nearest"], KINDS["nearest_ratio"])
    on_features = False

    def __init__(self, samples: int = 1000) -> None:
        if samples < 2:
            raise ValueError(f"scores.nearest.samples is {samples}; it must be 2 or more")
        self.samples = samples

    def compute(self, drawn: Drawn, references: Sequence[Reference]) -> dict[str, float]:
        train, test = (of_split(references, split) for split in ("train", "test"))
        if train is None:
            return {}
        # A part of both sets, which bounds the time on large ones.
        distances, _ = nearest_images(train.images, subset(drawn.images, self.samples))
        mean, part = float(distances.mean()), (f"among={len(train.images)}",)
        name = drawn.name("nearest", part=part, n=len(distances), protocol="pixels")
        found = drawn.scored(name, mean, influences=Influences(distances))
        if test is None:
            return found
        real, _ = nearest_images(train.images, subset(test.images.images, self.samples))
        held_out = float(real.mean())
        if held_out > 0:  # 0 where all held-out images are among the training images
            ratio = mean / held_out
            # d(m / h) = dm / h - (m / h) dh / h, of the means m over samples and h over held-out images
            influences = Influences(distances / held_out, real=(-ratio * real / held_out,), scale=at_least_0)
            found |= drawn.scored(replace(name, kind="nearest_ratio"), ratio, influences=influences)
        return found


def nearest_images(real: Split, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Find for each image the nearest one of a split: its distance (M,) float64, its number (M,) int64.

    d(u, v) = (mean over pixels of ((u - v) / 255)^2)^(1/2)
    fake (M, C, H, W) uint8. The split is read block by block; the nearest is sought in float32, whose error
    is far below one level of one pixel, and its distance is taken in whole numbers.
    """
    y = fake.flatten(1).float() / 255
    best, index = torch.full((len(y),), torch.inf), torch.zeros(len(y), dtype=torch.long)
    for block in torch.arange(len(real)).split(BLOCK):
        x = real.gather(block, CPU)[0].flatten(1).float() / 255
        scores = (x.square().sum(1) - 2 * y @ x.T).min(1)  # |y|^2 is the same for all
        better = scores.values < best
        best = torch.where(better, scores.values, best)
        index = torch.where(better, block[scores.indices], index)
    difference = real.gather(index, CPU)[0].flatten(1).double() - fake.flatten(1).double()
    return (difference / 255).square().mean(1).sqrt(), index
