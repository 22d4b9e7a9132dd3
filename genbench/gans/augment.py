"""Differentiable augmentation of all images of a discriminator, against overfitting on small data sets."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from genbench.runtime import global_batch

__all__ = ["Augmentation", "DiffAugment", "NoAugmentation"]


class Augmentation(ABC):
    """A random, differentiable change of images, drawn for each image from torch's default generator.

    It is applied to real and generated images alike, and gradients pass through it to the generator.
    """

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """Changed images, of real and of generated ones alike: (B, C, H, W) -> (B, C, H, W)."""


class NoAugmentation(Augmentation):
    """The identity, which returns the images themselves."""

    def __call__(self, x: Tensor) -> Tensor:
        return x


class DiffAugment(Augmentation):
    """Colour, translation and cutout, each of a strength at which 0 is none; u ~ U(-1, 1) for each image.

    brightness: x + u brightness / 2.   saturation: (1 + u saturation) times the distance from the grey image.
    contrast: (1 + u contrast) times the distance from the image's mean.
    translation: by whole pixels, up to this share of either side, filled with zeros.
    cutout: a rectangle of this share of either side set to zero, its centre anywhere.
    Raises ValueError on strengths below 0 and shares above 1.
    Source: Zhao et al. 2020, Section 3.2 and Appendix; the defaults are theirs.
    """

    def __init__(
        self,
        *,
        brightness: float = 1.0,
        saturation: float = 1.0,
        contrast: float = 0.5,
        translation: float = 0.125,
        cutout: float = 0.5,
    ) -> None:
        strengths = {
            "brightness": brightness,
            "saturation": saturation,
            "contrast": contrast,
            "translation": translation,
            "cutout": cutout,
        }
        for name, strength in strengths.items():
            if not 0 <= strength <= (2 if name == "brightness" else 1):
                raise ValueError(
                    f"augmentation.{name} is {strength}; it must be from 0 (none) to 1 (brightness: to 2)"
                )
        self.brightness, self.saturation, self.contrast = brightness, saturation, contrast
        self.translation, self.cutout = translation, cutout

    def __call__(self, x: Tensor) -> Tensor:
        if self.brightness:
            x = x + self.brightness / 2 * uniform(x)
        if self.saturation:
            x = stretch(x, x.mean(1, keepdim=True), self.saturation)
        if self.contrast:
            x = stretch(x, x.mean((1, 2, 3), keepdim=True), self.contrast)
        if self.translation:
            # x'[i, j] = x[i + s, j + t] as a product with two matrices of zeros and ones: differentiable any
            # number of times, and the same bits in each run on a GPU, where scattered sums are not.
            rows, columns = (shift_matrix(x, x.shape[side], self.translation) for side in (2, 3))
            x = rows @ x @ columns.mT
        if self.cutout:
            rows, columns = (window(x, x.shape[side], self.cutout) for side in (2, 3))
            x = x * ~(rows[:, None, :, None] & columns[:, None, None, :])
        return x


def uniform(x: Tensor) -> Tensor:
    """A number from U(-1, 1) for each image of x (B, C, H, W): (B, 1, 1, 1)."""
    return global_batch.uniform(len(x), (1, 1, 1), device=x.device) * 2 - 1


def stretch(x: Tensor, centre: Tensor, strength: float) -> Tensor:
    """centre + (1 + u strength) (x - centre), u ~ U(-1, 1) for each image of x (B, C, H, W)."""
    return centre + (1 + strength * uniform(x)) * (x - centre)


def shift_matrix(x: Tensor, side: int, share: float) -> Tensor:
    """A matrix for each image that moves `side` numbers by a random whole distance: (B, 1, side, side).

    share: the largest distance over the side.
    """
    most = int(side * share + 0.5)
    by = global_batch.integers(len(x), (1, 1, 1), low=-most, high=most + 1, device=x.device)
    i = torch.arange(side, device=x.device)
    return (i[:, None] + by == i).to(x.dtype)  # rows without a 1 bring in the zeros


def window(x: Tensor, side: int, share: float) -> Tensor:
    """True in a random window of `share` of `side` positions, one window for each image: (B, side) bool."""
    size = int(side * share + 0.5)
    # As many windows reach over the left border as over the right one.
    start = global_batch.integers(len(x), (1,), low=0, high=side + 1 - size % 2, device=x.device) - size // 2
    i = torch.arange(side, device=x.device)
    return (i >= start) & (i < start + size)
