"""The condition of super-resolution: small images, noised as the second stage of a cascade sees them."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench.runtime import global_batch
from genbench.text.condition import Conditioning

__all__ = ["Condition", "Conditioned", "LowResolution", "eight_bit"]


class Condition(NamedTuple):
    """The input of a super-resolution network beside xt, t and y: one row for each image."""

    images: Tensor
    """Noised small images, enlarged to the size of xt: (B, C, H, W)."""
    level: Tensor
    """The standard deviation s of their noise, in [0, 1]: (B,)."""


class LowResolution(nn.Module):
    """low = the 8-bit image nearest to the means of squares of x; seen as sqrt(1 - s^2) low + s eps.

    factor: f, the side of the squares, which divides H and W. augmentation: s in sampling and in likelihoods.
    max_augmentation: in training s is uniform in [0, max_augmentation] (conditioning augmentation): a little
    noise hides the errors of a base model, which the small images of training do not have.
    Raises ValueError on numbers outside their range.
    Source: Ho et al. 2022, Section 4.2; Saharia et al. 2022, Section 2.3. Unlike there, s is the noise's
    standard deviation, uniform, and pixels are enlarged to squares, so that no number of `low` is lost.
    """

    def __init__(self, *, factor: int = 2, augmentation: float = 0.3, max_augmentation: float = 0.5) -> None:
        super().__init__()
        if factor < 2:
            raise ValueError(f"model.condition.factor is {factor}; it must be at least 2, e.g. 2")
        if not 0 <= max_augmentation <= 1:
            raise ValueError(
                f"model.condition.max_augmentation is {max_augmentation}; it must be from 0 to 1, e.g. 0.5"
            )
        if not 0 <= augmentation <= max_augmentation:
            raise ValueError(
                f"model.condition.augmentation is {augmentation}; it must be from 0 to the largest level of "
                f"training, model.condition.max_augmentation={max_augmentation}"
            )
        self.factor, self.augmentation, self.max_augmentation = factor, augmentation, max_augmentation

    def shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """Return (C, H / f, W / f) of images (C, H, W). Raises ValueError where f does not divide the sides,
        with the smallest factor that does, or that there is none."""
        channels, height, width = shape
        if height % self.factor or width % self.factor:
            legal = [f for f in range(2, min(height, width) + 1) if not (height % f or width % f)]
            remedy = f"use {' or '.join(map(str, legal[:3]))}" if legal else "resize the images to even sides"
            raise ValueError(
                f"model.condition.factor is {self.factor}; it must divide the image of {height}x{width}: "
                f"{remedy}"
            )
        return channels, height // self.factor, width // self.factor

    def low(self, x: Tensor) -> Tensor:
        """Return the small 8-bit images of x: (B, C, H, W) -> (B, C, H / f, W / f) in [-1, 1]."""
        return eight_bit(F.avg_pool2d(x, self.factor))

    def enlarged(self, low: Tensor) -> Tensor:
        """Repeat each pixel over its square: (B, C, H / f, W / f) -> (B, C, H, W)."""
        return F.interpolate(low, scale_factor=self.factor, mode="nearest")

    def in_training(self, low: Tensor) -> Condition:
        """Noise small images (B, C, h, w) at random levels, by torch's default generator."""
        level = self.max_augmentation * global_batch.uniform(len(low), device=low.device)
        return self.noised(low, level, global_batch.normal_like(low))

    def in_sampling(self, low: Tensor, rng: Generator | None = None) -> Condition:
        """Noise small images (B, C, h, w) at the level of sampling. rng None is torch's default generator."""
        level = torch.full((len(low),), self.augmentation, device=low.device)
        eps = global_batch.normal(len(low), low.shape[1:], rng=rng, device=low.device)
        return self.noised(low, level, eps)

    def noised(self, low: Tensor, level: Tensor, eps: Tensor) -> Condition:
        """Noise small images (B, C, h, w) at levels s (B,) by eps of their shape; at 0 they are unchanged."""
        s = level[:, None, None, None]
        return Condition(self.enlarged((1 - s.square()).sqrt() * low + s * eps), level)


class Conditioned(nn.Module):
    """The network of super-resolution as a process calls it, (xt, t, y), for the condition of one batch.

    network(cat(xt, images) (B, 2C, H, W), t (B,), y, level (B,)) -> (B, answers * C, H, W).
    """

    def __init__(self, network: nn.Module, condition: Condition) -> None:
        super().__init__()
        self.network, self.condition = network, condition

    def forward(self, xt: Tensor, t: Tensor, y: Conditioning = None) -> Tensor:
        images, level = self.condition
        if len(xt) > len(level):  # a guidance asks for two estimates of the batch at once
            again = len(xt) // len(level)
            # By `cat`, since `repeat` forgets that the layout is channels_last.
            images, level = torch.cat([images] * again), level.repeat(again)
        answer: Tensor = self.network(torch.cat([xt, images], dim=1), t, y, level)
        return answer


def eight_bit(x: Tensor) -> Tensor:
    """Round numbers in [-1, 1] to the nearest of 256 grey levels, those beyond to the ends: any shape."""
    return ((x + 1) * 127.5).round().clamp(0, 255) / 127.5 - 1
