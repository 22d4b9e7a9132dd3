"""The measurement: one for all families."""

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from genbench import rng
from genbench.data import ImageData, out_of_range, to_uint8
from genbench.generator import Generator
from genbench.metrics import (
    Drawn,
    FeatureExtractor,
    Metrics,
    PassCounter,
    Reference,
    collect,
    compute,
    score_images,
)
from genbench.progress import Bar, Progress
from genbench.stop import StopRequest

__all__ = ["Evaluation", "batches", "evaluate", "evaluate_held_out", "held_out_order"]


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
) -> Evaluation:
    """Draw samples batch by batch, each through the feature network once, and score them.

    Draws from its own generators alone. Raises Stopped on request, FloatingPointError on samples that are not
    finite: all are drawn first, so that it can say how many.
    """
    model.eval()
    n = sample_count(metrics, data)
    title = f"evaluating {of} weights"
    with rng.fork(device), PassCounter(model.networks()) as counter, progress.bar(title, n) as bar:
        samples = Samples(model, data, n, metrics.batch_size, of=of, seed=seed, device=device)
        drawn = collect(samples.stream(bar, stop), n, extractor=extractor, of=of, seed=scores_seed(seed))
        values = compute(drawn, metrics.scores, references)
    return Evaluation(values, counter.passes(n), samples.seconds / n, float(samples.outside) / n, drawn)


class Samples:
    """A model's samples, and their account: seconds, pixels out of range, samples that are not finite."""

    def __init__(
        self,
        model: Generator,
        data: ImageData,
        n: int,
        batch_size: int,
        *,
        of: str,
        seed: int,
        device: torch.device,
    ) -> None:
        self.model, self.data, self.n, self.batch_size = model, data, n, batch_size
        self.of, self.seed, self.device = of, seed, device
        self.seconds, self.outside = 0.0, torch.zeros((), dtype=torch.float64, device=device)
        self.broken: list[int] = []

    def stream(self, bar: Bar, stop: StopRequest) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Bytes batch by batch, with the labels that were asked for.

        From the first sample on that is not finite, the others are drawn for the account alone; then raises
        FloatingPointError.
        """
        for start, count in batches(self.n, self.batch_size):
            stop.check()
            stream = rng.generator(self.device, self.seed, "evaluate", start)
            y = training_labels(self.model, self.data, count, stream)
            started = time.perf_counter()
            x = self.model.sample(count, y, rng=stream)
            # Reading the answer also waits for the device, for the clock.
            wrong = (~x.isfinite().flatten(1).all(1)).nonzero().flatten().tolist()
            self.seconds += time.perf_counter() - started
            self.outside += out_of_range(x).double() * count
            self.broken += [start + index for index in wrong]
            if not self.broken:
                yield to_uint8(x), y
            bar.advance(start + count, f"{(start + count) / self.seconds:,.0f} images/s")
        if self.broken:
            raise FloatingPointError(
                f"{len(self.broken)} of {self.n} samples of the {self.of} weights are not finite, the "
                f"first of them number {self.broken[0]}: train at a lower optim.lr"
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
