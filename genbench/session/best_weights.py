"""The weights of the best validation of a training, read back to be evaluated beside the last ones."""

import copy
import warnings
from typing import NamedTuple

from genbench.errors import Damaged
from genbench.generator import Generator
from genbench.records.result import Best
from genbench.runtime.context import Context
from genbench.training import checkpoint_contents
from genbench.training.checkpoint import CheckpointStore
from genbench.training.loop import Trainer
from genbench.training.state import Trained

__all__ = ["BestWeights", "best_weights"]


class BestWeights(NamedTuple):
    """A copy of a model with the averaged weights of the best validation, and what they were chosen by."""

    model: Generator
    record: Best


def best_weights(
    trained: Trained, checkpoints: CheckpointStore, trainer: Trainer, context: Context
) -> BestWeights | None:
    """Load `best.pt` into a copy of the averaged model of a training; None where trainer.keep is not best, or
    no validation took place.

    What the result says of them is what the file says. A file that is missing or damaged is named in a
    warning, and the run is evaluated without: its last weights, which are its ordinary result, are whole.
    """
    if trainer.keep != "best" or trained.best is None or trained.best.images_seen is None:
        return None
    model = copy.deepcopy(trained.ema.model)
    try:
        state = checkpoints.load_best(context.device, checkpoint_contents.best(model))
    except Damaged as error:
        warnings.warn(f"the best weights are not evaluated: {error}", stacklevel=2)
        return None
    if state is None:
        warnings.warn(f"the best weights are not evaluated: {checkpoints.best} is gone", stacklevel=2)
        return None
    model.load_state_dict(state["ema"])
    chosen = Best(images_seen=state["images_seen"], by=trainer.keep_by, value=state["best"]["value"])
    return BestWeights(model, chosen)
