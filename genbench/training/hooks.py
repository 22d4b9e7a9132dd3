"""Functions that a training calls on its way."""

from collections.abc import Callable
from typing import NamedTuple

from genbench.generator import Generator
from genbench.tracking import Tracker
from genbench.training.target import Target

__all__ = ["Hooks", "OnEvaluate", "OnSample"]

OnSample = Callable[[Generator, int], object]
"""(averaged model, images seen) -> nothing that is used."""
OnEvaluate = Callable[[Generator], dict[str, float]]
"""Averaged model -> scores by name, none where they could not be taken."""


class Hooks(NamedTuple):
    """Functions that a training calls on its way: a tracker of logged values, on_sample(averaged model,
    images seen) for pictures, and on_evaluate(averaged model), which returns scores by name; on_validate
    (averaged model), which returns what validations have besides losses. better: -1 where a lower value of
    trainer.keep_by is better, 1 where a higher is. target: the value at which the training ends, if any.
    """

    tracker: Tracker
    on_sample: OnSample
    on_evaluate: OnEvaluate
    on_validate: OnEvaluate = lambda model: {}
    better: int = -1
    target: Target = Target()
