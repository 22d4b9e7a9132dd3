"""Samples of a model in batches, each sent through the feature network once; their number, their labels, and
an account of what they took. Also the order of held-out images.
"""

import math
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genbench.data import ImageData, out_of_range, to_uint8
from genbench.evaluation.sampling_mode import sampling_mode
from genbench.generator import Generator, Y
from genbench.metrics import FeatureExtractor, Metrics, PassCounter, Taken, take
from genbench.runtime import rng
from genbench.runtime.context import Context
from genbench.runtime.energy import meter
from genbench.runtime.memory import memory_for, smaller_evaluation
from genbench.runtime.progress import Bar
from genbench.training.step import captions_of

__all__ = ["Account", "Place", "Samples", "batches", "held_out_order", "sample_count", "training_labels"]

Place = tuple[int, int]
"""A batch of images: the number of its first one, and how many there are."""


class Account(NamedTuple):
    """Cost and faults of some samples: network evaluations, seconds, clipped pixels, samples that are not
    finite, joules. The sum of two accounts, field by field, is the account of both.
    """

    passes: int = 0
    """Images that went through the networks, once for each pass."""
    seconds: float = 0.0
    """Time of sampling alone, in seconds, without features and scores."""
    outside: float = 0.0
    """Share of pixels that rounding to 8 bits had to clamp, summed over images."""
    broken: tuple[int, ...] = ()
    """The numbers of samples that are not finite."""
    joules: float = 0.0
    """Energy of the same time as `seconds`; nan where it is not measured."""


class Samples:
    """Draws a model's samples batch by batch and sends each batch through the feature network.

    n: how many there will be; of: whose they are ("ema", "raw"), both for messages. bar: shows how far it is.
    A model of text draws the captions of the test split of `data`. `account` sums up what `taken` has seen.
    """

    def __init__(
        self,
        model: Generator,
        data: ImageData,
        extractor: FeatureExtractor,
        context: Context,
        *,
        n: int,
        of: str,
        bar: Bar,
    ) -> None:
        self.model, self.data, self.extractor, self.context = model.eval(), data, extractor, context
        self.n, self.of, self.bar = n, of, bar
        self.order, self.mode = held_out_order(data, context.seed), sampling_mode(model)
        self.account = Account()
        self.meter = meter(context.device)

    def batch(self, place: Place) -> tuple[tuple[Any, ...], tuple[Any, ...] | None]:
        """Draw samples number start to start + count - 1, which depend on the seed and `place` alone.

        Returns the fields of an Account and of a Taken, plain data that one process can send another; no
        Taken where a sample is not finite. Raises Stopped on request, OutOfMemory.
        """
        start, count = place
        self.context.stop.check()
        stream = self.context.generator("evaluate", start)
        work = f"the evaluation on {self.context.device}, {count} samples at a time (metrics.batch_size)"
        with memory_for(work, smaller_evaluation(count)):
            y, labels = self.conditions(place, stream)
            self.meter.taken()
            started = time.perf_counter()
            with self.mode, PassCounter(self.model.networks()) as counter:
                x = self.model.sample(count, y, rng=stream)
            # Reading the answer also waits for the device, for the clock.
            wrong = (~x.isfinite().flatten(1).all(1)).nonzero().flatten().tolist()
            seconds, joules = time.perf_counter() - started, self.meter.taken()
            self.bar.advance(start + count, f"{count / seconds:,.0f} images/s")
            outside = float(out_of_range(x).double()) * count
            taken = None if wrong else take(self.extractor, to_uint8(x), labels)
        if self.meter.is_shared and self.context.processes.count > 1:
            joules = math.nan  # the others draw at the same time
        account = Account(counter.rows, seconds, outside, tuple(start + index for index in wrong), joules)
        return tuple(account), None if taken is None else tuple(taken)

    def conditions(self, place: Place, stream: torch.Generator) -> tuple[Y, Tensor | None]:
        """Choose what the samples of a batch are drawn from: classes as frequent as in training, or, of a
        model of text, held-out captions in a seeded order, again from the first one where there are
        fewer than samples. Returns y, and what scores have as labels: of captions their numbers among those.
        """
        if not self.model.takes_text:
            labels = training_labels(self.model, self.data, place[1], stream)
            return labels, labels
        numbers = self.order[torch.arange(place[0], sum(place)) % len(self.order)]
        return captions_of(self.data.test, numbers, self.context.device), numbers

    def taken(self, results: Iterable[tuple[tuple[Any, ...], tuple[Any, ...] | None]]) -> Iterator[Taken]:
        """Yield what `batch` took of each batch, up to the first with a sample that is not finite.

        All results are read first, so that the FloatingPointError that follows can say how many are not.
        """
        for account, taken in results:
            self.account = Account(*(a + b for a, b in zip(self.account, account, strict=True)))
            if taken is not None and not self.account.broken:
                yield Taken(*taken)
        if broken := self.account.broken:
            raise FloatingPointError(
                f"{len(broken)} of {self.n} samples of the {self.of} weights are not finite, the "
                f"first of them number {broken[0]}: train at a lower optim.lr"
            )


def held_out_order(data: ImageData, seed: int) -> Tensor:
    """Return the random order in which test images are taken where not all are: (N,) int64.

    Files lie by class: without it the first hundred would all be of one.
    """
    return torch.randperm(len(data.test), generator=rng.generator(torch.device("cpu"), seed, "held out"))


def sample_count(metrics: Metrics, data: ImageData) -> int:
    """Count the samples to draw: metrics.samples, or as many as the test split has where that is None; 0
    where there are no scores, which alone need samples.
    """
    if not metrics.scores:
        return 0
    return metrics.samples if metrics.samples is not None else len(data.test)


def batches(n: int, size: int) -> Iterator[Place]:
    """Split n images into batches (start, count) of `size`, in order, the last one cut; random numbers follow
    from start, so the size of batches changes samples.
    """
    return ((start, min(size, n - start)) for start in range(0, n, size))


def training_labels(model: Generator, data: ImageData, n: int, stream: torch.Generator) -> Tensor | None:
    """Draw labels with the training set's frequencies for a conditional model, from `stream`: (n,) int64 on
    its device, None for an unconditional model, whose samples have no labels.
    """
    labels = data.whole_train.labels
    if model.num_classes == 0 or labels is None:
        return None
    # Drawn from the labels themselves, so that a class is as frequent as in training, up to sampling noise.
    index = torch.randint(len(labels), (n,), generator=stream, device=stream.device)
    return labels.to(stream.device)[index]
