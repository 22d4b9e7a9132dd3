"""Spherical interpolation between latent codes."""

import torch
from torch import Tensor

__all__ = ["slerp"]


def slerp(start: Tensor, end: Tensor, share: float) -> Tensor:
    """Interpolate on the arc from one code to another, (B, ..) each, by a share in [0, 1].

    (sin((1 - s) w) a + sin(s w) b) / sin(w), where w is the angle between a and b

    Codes of a Gaussian prior in many dimensions lie near a sphere, which a straight line leaves; the arc
    between two of equal norm stays on it.
    Source: Shoemake 1985, Section 3.3; White 2016.
    """
    a, b = start.flatten(1), end.flatten(1)
    # Clamped, since sin(w) is 0 for parallel codes: there the arc is a point, and its formula 0 / 0.
    angle = torch.acos(torch.cosine_similarity(a, b).clamp(-1 + 1e-6, 1 - 1e-6))[:, None]
    way = (torch.sin((1 - share) * angle) * a + torch.sin(share * angle) * b) / torch.sin(angle)
    return way.reshape(start.shape)
