"""Conversion of pixels from bytes to [-1, 1] and back; no other file converts them."""

import torch
from torch import Tensor

__all__ = ["bytes_of", "out_of_range", "to_float", "to_uint8"]


def to_float(images: Tensor) -> Tensor:
    """Convert bytes to numbers in [-1, 1].

    x = u / 127.5 - 1
    images (...) uint8 -> (...) float32. Raises TypeError on any other dtype.
    """
    if images.dtype != torch.uint8:
        raise TypeError(f"images have dtype {images.dtype}; to_float takes uint8: leave floats as they are")
    return images.float().div_(127.5).sub_(1)


def to_uint8(x: Tensor) -> Tensor:
    """Convert numbers in [-1, 1] to bytes: round half up, then clamp.

    u = clamp(floor(127.5 x + 127.5 + 1/2), 0, 255)
    x (...) float -> (...) uint8. Raises TypeError on integers, FloatingPointError on NaN.
    """
    if not x.is_floating_point():
        raise TypeError(f"x has dtype {x.dtype}; to_uint8 takes floats in [-1, 1]: leave bytes as they are")
    if bool(x.isnan().any()):
        raise FloatingPointError(
            "an image of the model holds NaN, which is not a byte: train again with a lower optim.lr"
        )
    return bytes_of(x)


def bytes_of(x: Tensor) -> Tensor:
    """Convert numbers as `to_uint8` does, without its question to the device whether there is a NaN: for
    images of the data, which have none.
    """
    return torch.floor(x.float() * 127.5 + 128).clamp(0, 255).to(torch.uint8)


def out_of_range(x: Tensor) -> Tensor:
    """Share of the pixels of x (...) that lie outside [-1, 1] and that `to_uint8` would clip: () float32.

    NaN counts as outside.
    """
    return (~(x.abs() <= 1)).float().mean()
