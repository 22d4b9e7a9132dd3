"""Messages about trainings that fail: the cause, what is saved, and what the user can change; they extend the
errors that arise deeper down.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import torch

from genbench.errors import OutOfMemory
from genbench.runtime.memory import FREE, memory_for, next_accumulate
from genbench.training.nonfinite import NotFinite

__all__ = ["evaluation_explained", "going_on", "training_explained"]


class Saves(Protocol):
    """A training that knows how many images its last checkpoint has seen; None before the first."""

    saved_images: int | None


NEW_RUN = "starts a new run, from its beginning"


@contextmanager
def training_explained(
    batch_size: int, accumulate: int, processes: int, device: torch.device, run: Saves
) -> Iterator[None]:
    """Add to errors inside the block what is saved and what to change, for batches of batch_size images in
    `accumulate` parts by so many processes.
    run: the training, of which the images of its last checkpoint are read when an error comes.
    Raises FloatingPointError or OutOfMemory.
    """
    part = batch_size // (accumulate * processes)
    work = f"training on {device}, {part} images at a time (trainer.batch_size={batch_size})"
    try:
        with memory_for(work, smaller_parts(batch_size, accumulate, processes)):
            yield
    except FloatingPointError as error:
        skips = "trainer.on_nonfinite=skip" if isinstance(error, NotFinite) else None
        raise FloatingPointError(f"{error}. {after_divergence(run.saved_images, skips)}") from None
    except OutOfMemory as error:
        raise OutOfMemory(
            f"{error}. {going_on(is_saved=run.saved_images is not None, images=run.saved_images)}"
        ) from None


def smaller_parts(batch_size: int, accumulate: int, processes: int) -> str:
    """Return the remedy where a batch does not fit into memory."""
    k = next_accumulate(batch_size, accumulate, processes)
    if k is None:
        return f"a smaller network or image size fits, which {NEW_RUN}"
    part = batch_size // (k * processes)
    return f"trainer.accumulate={k} computes {part} at a time and {NEW_RUN}, as a smaller network does"


def after_divergence(saved: int | None, skips: str | None) -> str:
    """Return the remedies for a training that diverged: resumed, it meets the same batch again.

    skips: the setting that passes over the batch at fault, None where no batch is.
    """
    change = f"A lower optim.lr, trainer.clip_norm or precision=fp32 {NEW_RUN}"
    if saved is None:
        return f"Nothing was saved yet. {change}" + (f"; {skips} skips such batches" if skips else "")
    before = f"The last checkpoint, of {saved:,} images, is from before it, and the same command fails again"
    return f"{before}. {change}" + (
        f"; {skips} resumes from the checkpoint and skips such batches" if skips else ""
    )


def going_on(*, is_saved: bool, images: int | None = None) -> str:
    """Return where the same command goes on after a failure that need not come again, without a full stop.

    images: those that the last checkpoint has seen, None where nobody has counted them.
    """
    if not is_saved:
        return "Nothing was saved yet: the same command starts from the beginning"
    return "The same command resumes from the last checkpoint" + (f", of {images:,} images" if images else "")


@contextmanager
def evaluation_explained(device: torch.device) -> Iterator[None]:
    """Add to a lack of memory inside the block that the training is saved, so that the same command evaluates
    again without training. Raises OutOfMemory.
    """
    try:
        with memory_for(f"the evaluation on {device}", FREE):
            yield
    except OutOfMemory as error:
        raise OutOfMemory(
            f"{error}. The trained model is saved: the same command repeats the evaluation"
        ) from None
