"""Places of patches on a grid, as transformers over images see them: rotations of queries and keys, and
vectors that are added to tokens.
"""

import torch
from torch import Tensor

__all__ = ["grid", "position_vectors", "rotate", "rotations"]

ROTARY_BASE = 100.0  # of Heo et al. 2024 for images, whose sides have far fewer places than a text
VECTOR_BASE = 10_000.0


def grid(height: int, width: int) -> Tensor:
    """Return row and column of each place of a grid, row after row: (height * width, 2) float32, from 0."""
    return torch.cartesian_prod(torch.arange(height), torch.arange(width)).reshape(-1, 2).float()


def rotations(places: Tensor, head_size: int) -> Tensor:
    """Return cosine and sine of the angles by which places (N, 2) rotate: (2, N, D / 2), D = head_size.

    The first D / 4 angles are row * 100^(-4 i / D), i = 0, 1, .., the others are those of the column.
    head_size: D, of one attention head; a multiple of 4.
    Source: Su et al. 2024, Section 3.2.2, on two axes: Heo et al. 2024, Section 3.1.
    """
    angles = axis_angles(places, head_size // 2, ROTARY_BASE)  # (N, 2, D / 4)
    return torch.stack([angles.cos(), angles.sin()]).flatten(2)


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Rotate the pairs (x_i, x_(i + D / 2)) of queries or keys x (B, heads, N, D) by the angles of their
    places, given as (2, N, D / 2), see `rotations`: the same shape and dtype as x.

    The product of a rotated query and a rotated key depends on the difference of their places alone.
    """
    cos, sin = rotation.to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def position_vectors(places: Tensor, width: int) -> Tensor:
    """Return sines and cosines of rows, then of columns, at geometric frequencies: (N, 2) -> (N, width).

    width: a multiple of 4. They are fixed, and added to tokens tell a place from others by itself, where
    rotations tell differences of places.
    Source: Peebles & Xie 2023, Section 3.2; Vaswani et al. 2017, Section 3.5.
    """
    angles = axis_angles(places, width // 2, VECTOR_BASE)  # (N, 2, width / 4)
    return torch.cat([angles.sin(), angles.cos()], dim=2).flatten(1)


def axis_angles(places: Tensor, size: int, base: float) -> Tensor:
    """Return place * base^(-2 i / size), i = 0 .. size / 2 - 1, of each axis: (N, 2) -> (N, 2, size / 2)."""
    frequencies = base ** (-2 * torch.arange(size // 2, device=places.device) / size)
    return places[:, :, None] * frequencies
