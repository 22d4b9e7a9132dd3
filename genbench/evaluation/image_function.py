"""Images of any Python function of (n, seed), drawn in batches to be scored as those of files are."""

import inspect
import traceback
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from genbench.data import ImageSource
from genbench.errors import Failure
from genbench.evaluation.given_images import GivenImages, checked
from genbench.evaluation.samples import batches
from genbench.metrics import Metrics
from genbench.runtime import rng
from genbench.runtime.context import Context
from genbench.runtime.memory import check_memory

__all__ = ["ImageFunction", "draw_images", "failure"]

ImageFunction = Callable[[int, int], object]
"""A function of n and seed, called without names, that returns n images: uint8 [N, H, W] or [N, H, W, C]."""
SEED_BITS = 31  # the most that every library takes as a seed: numpy.random.seed has 32, others a sign
LONGEST = 300  # characters of the message of somebody else's error


@runtime_checkable
class Array(Protocol):
    """An object that numpy reads as an array, such as one of jax or tensorflow."""

    def __array__(self) -> np.ndarray:
        """Return the same numbers as an array of numpy."""
        ...


def draw_images(
    function: ImageFunction, name: str, source: ImageSource, metrics: Metrics, context: Context
) -> GivenImages:
    """Draw as many images as the metrics ask for, None for as many as the test split has, in their batches.

    The seed of a batch, a number below 2^31, follows from that of the context and the number of its first
    image: the same evaluation calls the function with the same numbers. name: of the function, for messages.
    Raises ValueError where it cannot be called so, or does not return n images of the data's shape as bytes;
    Failure where it raises an error, with the place in its file.
    """
    metrics.check_source(source)  # before the function, which may take hours
    check_signature(function, name)
    n = source.counts()["test"] if metrics.samples is None else metrics.samples
    check_memory("metrics.samples", n, 2 * prod(source.shape))  # in batches, then in one piece
    parts = list[Tensor]()
    with context.progress.bar("drawing", n) as bar:
        for start, count in batches(n, metrics.batch_size):
            context.stop.check()
            seed = rng.derive(context.seed, "evaluate", start) >> (63 - SEED_BITS)
            call = f"{name}({count}, {seed})"
            try:
                returned = function(count, seed)
            except (Exception, SystemExit) as error:
                raise failure(f"{call} raised", error) from error
            parts.append(images(returned, count, source.shape, call))
            bar.advance(start + count)
    return GivenImages(torch.cat(parts), None)


def check_signature(function: ImageFunction, name: str) -> None:
    """Raise ValueError where a function cannot be called with two arguments, n and seed."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # of some functions that are written in C
        return
    try:
        signature.bind(1, 0)
    except TypeError as error:
        raise ValueError(
            f"{name}{signature} cannot be called as {name}(n, seed) ({error}): take n and seed, and return n "
            "images, uint8 [N, H, W] or [N, H, W, C]"
        ) from None


def images(returned: object, n: int, shape: tuple[int, int, int], call: str) -> Tensor:
    """Check that a function returned n images of a shape (C, H, W), and arrange them: (n, C, H, W) uint8.
    call: what was called, for messages. Raises ValueError on all else.
    """
    legal = f"it must return {n} images, a uint8 array of numpy or tensor of torch"
    if isinstance(returned, Array) and not isinstance(returned, np.ndarray | Tensor):
        returned = np.asarray(returned)
    if not isinstance(returned, np.ndarray | Tensor):
        raise ValueError(f"{call} returned an object of type {type(returned).__name__}; {legal}")
    found = checked(returned, shape, f"what {call} returned")
    if len(found) != n:
        raise ValueError(f"{call} returned {len(found)} images; {legal}")
    return found


def failure(what: str, error: BaseException) -> Failure:
    """Make the error for one that somebody else's code raised; the message begins with `what`, and says where
    in their file it was raised.
    """
    text = " ".join(str(error).split())
    message = f": {text[:LONGEST]}{'..' if len(text) > LONGEST else ''}" if text else ""
    return Failure(f"{what} {type(error).__name__}{message}{place(error)}")


def place(error: BaseException) -> str:
    """Return where an error was raised, in brackets: the last line of the first file that is neither of
    genbench nor of Python's imports; "" where there is none.
    """
    frames = traceback.extract_tb(error.__traceback__)
    package = f"{Path(__file__).parents[1]}/"
    others = [frame for frame in frames if not frame.filename.startswith((package, "<frozen"))]
    own = [frame for frame in others if "importlib" not in Path(frame.filename).parts]
    last = next((frame for frame in reversed(own) if frame.filename == own[0].filename), None)
    if last is None:
        return ""
    inside = "" if last.name == "<module>" else f", in {last.name}"
    return f" ({Path(last.filename).name}, line {last.lineno}{inside})"
