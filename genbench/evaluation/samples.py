"""The measurement: one for all families."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genbench.data import ImageData, out_of_range, to_uint8
from genbench.generator import Generator
from genbench.metrics import (
    Drawn,
    FeatureExtractor,
    Metrics,
    PassCounter,
    Reference,
    Taken,
    collect,
    compute,
    score_images,
    take,
)
from genbench.runtime import rng
from genbench.runtime.memory import memory_for, smaller_evaluation
from genbench.runtime.processes import ALONE, Ranks
from genbench.runtime.progress import Bar, Progress
from genbench.runtime.stop import StopRequest

__all__ = ["Evaluation", "assist", "batches", "evaluate", "evaluate_held_out", "held_out_order"]


class Evaluation(NamedTuple):
    """What one set of weights comes to."""

    metrics: dict[str, float]
    """Under full protocol names."""
    passes_per_sample: float
    seconds_per_image: float
    """Of sampling alone, at the evaluation's batch size."""
    out_of_range: float
    """Share of pixels that rounding to 8 bits had to clamp."""
    drawn: Drawn
    """What was measured."""


@torch.no_grad()
def evaluate(
    model: Generator,
    data: ImageData,
    *,
    metrics: Metrics,
    extractor: FeatureExtractor,
    references: Sequence[Reference],
    of: str,
    seed: int,
    device: torch.device,
    progress: Progress,
    stop: StopRequest,
    ranks: Ranks = ALONE,
) -> Evaluation:
    """Draw samples batch by batch, each through the feature network once, and score them.

    Draws from its own generators alone; where there are several processes, the others `assist` meanwhile.
    Raises Stopped on request, FloatingPointError on samples that are not finite: all are drawn first, so that
    it can say how many.
    """
    n = sample_count(metrics, data)
    with rng.fork(device), progress.bar(f"evaluating {of} weights", n) as bar:
        samples = Samples(model, data, n, extractor, of=of, seed=seed, device=device, bar=bar, stop=stop)
        stream = samples.stream(ranks, metrics.batch_size)
        drawn = collect(stream, n, extractor=extractor, of=of, seed=scores_seed(seed))
        values = compute(drawn, metrics.scores, references)
    account = samples.account
    return Evaluation(values, account.passes / n, account.seconds / n, account.outside / n, drawn)


@torch.no_grad()
def assist(
    model: Generator,
    data: ImageData,
    *,
    metrics: Metrics,
    extractor: FeatureExtractor,
    of: str,
    seed: int,
    device: torch.device,
    stop: StopRequest,
    ranks: Ranks,
) -> None:
    """Draw batches for the first process, which calls `evaluate`."""
    n = sample_count(metrics, data)
    with rng.fork(device), Progress(None).bar("", n) as bar:
        samples = Samples(model, data, n, extractor, of=of, seed=seed, device=device, bar=bar, stop=stop)
        deque(samples.stream(ranks, metrics.batch_size), maxlen=0)


class Account(NamedTuple):
    """What drawing took."""

    passes: int = 0
    seconds: float = 0.0
    outside: float = 0.0
    """Share of pixels out of range, summed over images."""
    broken: tuple[int, ...] = ()
    """The numbers of samples that are not finite."""

    def and_of(self, other: "Account") -> "Account":
        """Both together."""
        return Account(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class Samples:
    """A model's samples, and the account of them."""

    def __init__(
        self,
        model: Generator,
        data: ImageData,
        n: int,
        extractor: FeatureExtractor,
        *,
        of: str,
        seed: int,
        device: torch.device,
        bar: Bar,
        stop: StopRequest,
    ) -> None:
        self.model, self.data, self.n, self.extractor = model.eval(), data, n, extractor
        self.of, self.seed, self.device, self.bar, self.stop = of, seed, device, bar, stop
        self.account = Account()

    def batch(self, place: tuple[int, int]) -> tuple[tuple[Any, ...], tuple[Any, ...] | None]:
        """Samples number start to start + count - 1, which depend on nothing else, and their account.

        The fields of an Account and of a Taken: plain, since processes hand them on. Samples that are not
        finite are not looked at.
        """
        start, count = place
        self.stop.check()
        stream = rng.generator(self.device, self.seed, "evaluate", start)
        y = training_labels(self.model, self.data, count, stream)
        started = time.perf_counter()
        with PassCounter(self.model.networks()) as counter:
            x = self.model.sample(count, y, rng=stream)
        # Reading the answer also waits for the device, for the clock.
        wrong = (~x.isfinite().flatten(1).all(1)).nonzero().flatten().tolist()
        seconds = time.perf_counter() - started
        self.bar.advance(start + count, f"{count / seconds:,.0f} images/s")
        outside = float(out_of_range(x).double()) * count
        taken = None if wrong else take(self.extractor, to_uint8(x), y)
        account = Account(counter.rows, seconds, outside, tuple(start + index for index in wrong))
        return tuple(account), None if taken is None else tuple(taken)

    def stream(self, ranks: Ranks, batch_size: int) -> Iterator[Taken]:
        """The batches up to the first that is not finite; then, after all, raises FloatingPointError."""
        work = f"the evaluation on {self.device}, {batch_size} samples at a time (metrics.batch_size)"
        with memory_for(work, smaller_evaluation(batch_size)):
            for account, taken in ranks.map(self.batch, list(batches(self.n, batch_size))):
                self.account = self.account.and_of(Account(*account))
                if taken is not None and not self.account.broken:
                    yield Taken(*taken)
        if broken := self.account.broken:
            raise FloatingPointError(
                f"{len(broken)} of {self.n} samples of the {self.of} weights are not finite, the "
                f"first of them number {broken[0]}: train at a lower optim.lr"
            )


def evaluate_held_out(
    data: ImageData,
    *,
    metrics: Metrics,
    extractor: FeatureExtractor,
    references: Sequence[Reference],
    seed: int,
    device: torch.device,
    labelled: bool = False,
) -> dict[str, float]:
    """The scores of the held-out images themselves, at the same n where the test split has as many.

    What a perfect model would get; a model far below it repeats its training images.
    labelled: whether they come with their labels, to be compared with a conditional model's samples.
    """
    n = min(sample_count(metrics, data), len(data.test))
    order = held_out_order(data, seed)

    def stream() -> Iterator[tuple[Tensor, Tensor | None]]:
        for start, count in batches(n, metrics.batch_size):
            images, y = data.test.gather(order[start : start + count], device)
            yield images, y if labelled else None

    with rng.fork(device):
        return score_images(
            stream(),
            n,
            scores=metrics.scores,
            extractor=extractor,
            references=references,
            of="test",
            seed=scores_seed(seed),
        )


def held_out_order(data: ImageData, seed: int) -> Tensor:
    """The order in which test images are taken where not all are: (N,) int64, since files lie by class."""
    return torch.randperm(len(data.test), generator=rng.generator(torch.device("cpu"), seed, "held out"))


def scores_seed(seed: int) -> int:
    """The seed of what scores draw: splits, subsets, replicates."""
    return rng.derive(seed, "scores")


def sample_count(metrics: Metrics, data: ImageData) -> int:
    """How many samples are drawn: as many as asked for, or as the test split has; none without scores."""
    if not metrics.scores:
        return 0
    return metrics.samples if metrics.samples is not None else len(data.test)


def batches(n: int, size: int) -> Iterator[tuple[int, int]]:
    """(start, count) of exactly n images, the last batch cut."""
    return ((start, min(size, n - start)) for start in range(0, n, size))


def training_labels(model: Generator, data: ImageData, n: int, stream: torch.Generator) -> Tensor | None:
    """Labels with the training set's frequencies for a conditional model: (n,), or None."""
    labels = data.train.labels
    if model.num_classes == 0 or labels is None:
        return None
    index = torch.randint(len(labels), (n,), generator=stream, device=stream.device)
    return labels.to(stream.device)[index]
