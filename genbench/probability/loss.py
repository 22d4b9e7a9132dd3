"""The loss of a batch: the number to differentiate and the terms to log."""

from collections.abc import Mapping
from typing import NamedTuple, cast

from torch import Tensor

__all__ = ["Loss", "weighted_mean"]


class Loss(NamedTuple):
    """The loss of one batch in one phase, in the two forms that the training loop needs.

    The loop differentiates `total` and writes `terms` to the log; nothing else of a loss leaves a model.
    """

    total: Tensor
    """() float32, mean over the batch; what is differentiated."""
    terms: dict[str, Tensor]
    """() each, detached, under stable names ("kl", "nll", "disc_real")."""


def weighted_mean(terms: Mapping[str, Tensor], weight: Tensor) -> Loss:
    """Average the terms of a loss over the batch: total = sum over names of mean_b weight_b term_b.

    terms: (B,) each, under the names that the log shows. weight: (B,), importance weights of the images, 1
    where each image counts alike.
    """
    means = {name: (weight * term).mean() for name, term in terms.items()}
    return Loss(cast("Tensor", sum(means.values())), {name: mean.detach() for name, mean in means.items()})
