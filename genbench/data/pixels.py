"""The one way from bytes to [-1, 1], and the one way back."""

import torch
from torch import Tensor

__all__ = ["out_of_range", "to_float", "to_uint8"]


def to_float(images: Tensor) -> Tensor:
    """Bytes as numbers in [-1, 1].

    x = u / 127.5 - 1
    images (...) uint8 -> (...) float32. Raises TypeError on any other dtype.
    """
    if images.dtype != torch.uint8:
        raise TypeError(f"images have dtype {images.dtype}; to_float takes uint8: floats need nothing")
    return images.float() / 127.5 - 1


def to_uint8(x: Tensor) -> Tensor:
    """Numbers in [-1, 1] as bytes, round half up, then clamp.

    u = clamp(floor(127.5 x + 127.5 + 1/2), 0, 255)
    x (...) float -> (...) uint8. Raises TypeError on integers, ValueError on NaN.
    """
    if not x.is_floating_point():
        raise TypeError(f"x has dtype {x.dtype}; to_uint8 takes floats in [-1, 1]: bytes need nothing")
    levels = torch.floor(x.float() * 127.5 + 128)
    if bool(levels.isnan().any()):
        raise ValueError("x holds NaN, which has no byte; mend the model that made it, or drop the image")
    return levels.clamp(0, 255).to(torch.uint8)


def out_of_range(x: Tensor) -> Tensor:
    """Share of the pixels of x (...) that lie outside [-1, 1], NaN among them: () float32."""
    return (~(x.abs() <= 1)).float().mean()
