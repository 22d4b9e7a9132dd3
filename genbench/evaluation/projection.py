"""Latent codes in the plane of their two first principal components, for a picture of a latent space."""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Projection", "principal_components"]


class Projection(NamedTuple):
    """Points in a plane, with the share of the variance that each of its two directions explains."""

    points: Tensor
    """(N, 2) float64, of mean 0."""
    shares: tuple[float, float]
    """Explained variance of each direction over the variance of all: from 0 to 1, at most 1 together."""


def principal_components(codes: Tensor) -> Projection:
    """Project codes (N, ..), flattened to (N, D), on their two directions of largest variance.

    Z - mean = U S V^T; points U S, shares S^2 / sum S^2 of the first two. The sign of a direction is free:
    here its entry of largest magnitude is positive, so that equal codes give equal pictures. Directions
    that are not there, of a single code or of codes of one number, have coordinates and shares of 0.
    Raises ValueError on codes that are not finite, and where there is none.
    Source: Pearson 1901; Jolliffe 2002, Section 3.5.
    """
    z = codes.detach().cpu().double().flatten(1)
    if not len(z) or not bool(z.isfinite().all()):
        raise ValueError(f"codes have shape {tuple(codes.shape)}; they must be finite, one or more of them")
    u, s, vt = torch.linalg.svd(z - z.mean(dim=0), full_matrices=False)
    largest = vt.gather(1, vt.abs().argmax(dim=1, keepdim=True))[:, 0]
    points, variances = u * s * largest.sign(), s.square()
    shares = variances / variances.sum().clamp(min=torch.finfo(torch.float64).tiny)
    missing = max(2 - len(s), 0)
    first, second = torch.nn.functional.pad(shares, (0, missing))[:2].tolist()
    return Projection(torch.nn.functional.pad(points, (0, missing))[:, :2], (first, second))
