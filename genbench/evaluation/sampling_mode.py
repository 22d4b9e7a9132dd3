"""The mode of torch in which images of a model are drawn: inference mode, or without gradients alone."""

from collections.abc import Iterator
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from genbench.generator import Generator

__all__ = ["drawn_in_turn", "sampling_mode"]


def sampling_mode(model: Generator) -> AbstractContextManager[object]:
    """Return a context for calls of `sample`, `trajectory`, `inpaint` or `vary`: torch's inference mode where
    `model.samples_without_gradients()`, else without gradients. Both give the same numbers.

    It may be entered again and again; to make it looks at all parts of the model, once for many batches.
    Tensors from inference mode cannot be changed in place, nor take part in a training: leave the context,
    then make others of them, by `to_uint8` or `clone`. Operations are counted outside of it, since there
    torch shows its counters other operations.
    """
    return torch.inference_mode() if model.samples_without_gradients() else torch.no_grad()


def drawn_in_turn(model: Generator, states: Iterator[Tensor]) -> Iterator[Tensor]:
    """Yield states of samples that a model draws one after the other, each drawn in its mode of sampling;
    between two of them the caller's own mode holds.
    """
    mode = sampling_mode(model)
    while True:
        with mode:
            state = next(states, None)
        if state is None:
            return
        yield state
