"""Share of new weights in a moving average: one formula for the average of a model's weights and for teachers
that follow it.
"""

from typing import TypeVar

import torch
from torch import Tensor

__all__ = ["new_share", "new_share_of_count"]

Number = TypeVar("Number", float, Tensor)


def new_share(seen: Tensor, *, images: int, halflife_images: float, rampup: float | None) -> Tensor:
    """The share of new weights in a moving average of them: average <- average + share (weights - average).

    share = 1 - 2^(-images / halflife), halflife = min(halflife_images, rampup * seen)
    images: those of the step that the new weights come from. seen: images of all steps up to it, () on any
    device, which is not read by the host; 0 gives a share of 1. rampup: None is no bound on the half-life.
    Returns () float64.
    Source: Karras et al. 2024 (EDM2) for half-lives in images; Karras et al. 2022, Table 7 for the ramp-up.
    """
    halflife = torch.full_like(seen, halflife_images, dtype=torch.float64)
    if rampup is not None:
        halflife = halflife.minimum(rampup * seen)
    return share_of_step(images, halflife)


def new_share_of_count(seen: int, *, images: int, halflife_images: float, rampup: float | None) -> float:
    """Compute `new_share`, bit for bit, of a count that the host knows: without tensors, whose operations on
    one number take longer than the average of a small network.
    """
    halflife = halflife_images if rampup is None else min(halflife_images, rampup * seen)
    return share_of_step(images, halflife) if halflife > 0 else 1.0


def share_of_step(images: int, halflife: Number) -> Number:
    """Compute 1 - 2^(-images / halflife), the share of a step of so many images, of a half-life in images
    above 0: a float of a float, a tensor () float64 of one.
    """
    return 1 - 0.5 ** (images / halflife)
