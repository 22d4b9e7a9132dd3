"""The batches of a training, step by step. Where the images of a training on a GPU remain on the host, a
thread gathers those of the next step while the GPU computes this one.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import NamedTuple, Self

import torch
from torch import Tensor

from genbench.data import EpochOrder, Split
from genbench.generator import Generator, Y
from genbench.runtime.context import Context
from genbench.training.step import step_batches

__all__ = ["Batches", "is_gathered_ahead"]

HOST = torch.device("cpu")


class Gathered(NamedTuple):
    """Images and labels of all batches of one step, this process's share of them, on the host."""

    rows: list[Tensor]
    """The numbers of the images, (B,) int64 for each batch."""
    images: Tensor
    """Of all batches, one after another: (batches B, C, H, W) uint8."""
    labels: Tensor | None
    """Those of the same images, (batches B,) int64; None where the data have none."""


class Batches:
    """The batches of each step of a training; they follow from the seed and the images seen alone. A context,
    whose end waits for the thread, if there is one.

    split: the training images. batch_size: images of an update, over all processes. flip: mirror images at
    random. context: its device, seed and processes.

    The thread guesses that the next step has as many batches as this one. What it has gathered, or raised, is
    not used where that is wrong, as between stages of a model, or where no step follows. It draws no random
    numbers from torch's default generator.
    """

    def __init__(
        self, model: Generator, split: Split, batch_size: int, context: Context, *, flip: bool
    ) -> None:
        self.model, self.split, self.batch_size, self.flip = model, split, batch_size, flip
        self.device, self.processes = context.device, context.processes
        self.order = EpochOrder(len(split), context.seed)  # used by the thread alone, where there is one
        self.thread: ThreadPoolExecutor | None = None
        self.asked: tuple[tuple[int, int], Future[Gathered]] | None = None
        if is_gathered_ahead(split, self.device):
            # Pinned memory belongs to the current device, which each thread has of its own; it begins as
            # card 0, which is what a device without a number means.
            start = None if self.device.index is None else partial(torch.cuda.set_device, self.device)
            self.thread = ThreadPoolExecutor(1, "genbench-batches", start)

    def of_step(self, images_seen: int, count: int) -> Iterator[tuple[Tensor, Y]]:
        """Return the `count` batches of the step after `images_seen` images, one after another, as
        `step.step_batches` yields them. Raises what gathering them raises, such as Damaged.
        """
        if self.thread is None:
            rows = self.rows(images_seen, count)
            return step_batches(self.model, self.split, rows, self.device, flip=self.flip)
        if self.asked is None or self.asked[0] != (images_seen, count):
            self.asked = self.ask(self.thread, images_seen, count)
        rows, images, labels = self.asked[1].result()
        self.asked = self.ask(self.thread, images_seen + count * self.batch_size, count)
        # From pinned memory, which torch reuses once the copies are done.
        images = images.to(self.device, non_blocking=True)
        labels = None if labels is None else labels.to(self.device, non_blocking=True)
        gathered = images, labels
        return step_batches(self.model, self.split, rows, self.device, flip=self.flip, gathered=gathered)

    def ask(
        self, thread: ThreadPoolExecutor, images_seen: int, count: int
    ) -> tuple[tuple[int, int], Future[Gathered]]:
        """Have the thread gather a step; returns which one it is, and where its images will be found."""
        return (images_seen, count), thread.submit(self.gather, images_seen, count)

    def gather(self, images_seen: int, count: int) -> Gathered:
        """Gather the images and labels of a step, into pinned memory where they go to a GPU."""
        rows = self.rows(images_seen, count)
        images, labels = self.split.gather(rows[0] if count == 1 else torch.cat(rows), HOST)
        if self.device.type == "cuda":
            images, labels = images.pin_memory(), None if labels is None else labels.pin_memory()
        return Gathered(rows, images, labels)

    def rows(self, images_seen: int, count: int) -> list[Tensor]:
        """List the numbers of the images, (B,) int64, of this process's share of each batch of a step."""
        index = self.order.take(images_seen, self.batch_size * count)
        return [self.processes.rows(batch) for batch in index.chunk(count)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.thread is not None:
            self.thread.shutdown(cancel_futures=True)


def is_gathered_ahead(split: Split, device: torch.device) -> bool:
    """Return True where the batches of a split have a way to go, from the host to a GPU; on a CPU a thread
    would only take time from the training's own.
    """
    return device.type == "cuda" and split.stored_images.device.type == "cpu"
