"""The part of a training split that is set aside for validation: by a fixed rule from the data key."""

import hashlib

import numpy as np
import torch
from torch import Tensor

__all__ = ["check_share", "validation_rows"]


def check_share(share: float | None) -> None:
    """Raise ValueError unless `data.validation`, the share of the training images that are set aside, is None
    (none are) or a number between 0 and 1, both excluded.
    """
    if share is not None and not 0 < share < 1:
        raise ValueError(
            f"data.validation is {share}; it must be a number between 0 and 1, such as 0.1, or null to train "
            "on all training images"
        )


def validation_rows(n: int, labels: Tensor | None, share: float, key: str) -> Tensor:
    """Choose the images of a training split of n that are set aside: their numbers, (m,) int64, ascending.

    Of the N_k images of a class, round(share N_k), at least 1 and at most N_k - 1, those that come first in a
    random order that follows from `key`, the digest of the data, alone: so the part is the same for every
    seed, and a larger share contains a smaller one. The only image of a class is trained on. Without labels
    (None), or where no class has two images, all images count as one class.
    Raises ValueError where there is a single image.
    """
    if n < 2:
        raise ValueError(
            f"data.validation is {share}, and the training split has {n} image: one must be set aside and "
            "one be left to train on; add images, or use data.validation=null"
        )
    words = f"genbench validation part of {key}".encode()
    draws = np.random.default_rng(int.from_bytes(hashlib.sha256(words).digest()))
    order = torch.from_numpy(draws.permutation(n))
    chosen = torch.zeros(n, dtype=torch.bool)
    for members in classes(order, labels):
        count = min(max(round(share * len(members)), 1), len(members) - 1)
        chosen[members[:count]] = True
    return chosen.nonzero().flatten()


def classes(order: Tensor, labels: Tensor | None) -> list[Tensor]:
    """Split the numbers of images (n,) by their labels, in the same order; classes of one image are left out.
    All images are one class where there are no labels, or none of two images.
    """
    found = [order] if labels is None else [order[labels[order] == label] for label in labels.unique()]
    return [members for members in found if len(members) > 1] or [order]
