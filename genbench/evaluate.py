"""The measurement: one for all families."""

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from genbench import rng
from genbench.data import ImageData, out_of_range, to_uint8
from genbench.generator import Generator
from genbench.metrics import FeatureExtractor, FeatureScores, Metrics, PassCounter, Reference
from genbench.progress import Progress
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
    finite.
    """
    model.eval()
    n = sample_count(metrics, data)
    scores = new_scores(metrics, extractor, references, of=of, seed=seed)
    seconds, outside = 0.0, torch.zeros((), dtype=torch.float64, device=device)
    title = f"evaluating {of} weights"
    with rng.fork(device), PassCounter(model.networks()) as counter, progress.bar(title, n) as bar:
        for start, count in batches(n, metrics.batch_size):
            stop.check()
            stream = rng.generator(device, seed, "evaluate", start)
            y = training_labels(model, data, count, stream)
            started = time.perf_counter()
            x = model.sample(count, y, rng=stream)
            if not bool(x.isfinite().all()):  # reading the answer also waits for the device, for the clock
                raise FloatingPointError(
                    f"samples of the {of} weights are not finite: train at a lower optim.lr"
                )
            seconds += time.perf_counter() - started
            outside += out_of_range(x).double() * count
            scores.update(to_uint8(x))
            bar.advance(start + count, f"{(start + count) / seconds:,.0f} images/s")
        values = scores.compute()
    return Evaluation(values, counter.passes(n), seconds / n, float(outside) / n)


def evaluate_held_out(
    data: ImageData,
    *,
    metrics: Metrics,
    extractor: FeatureExtractor,
    references: Sequence[Reference],
    seed: int,
    device: torch.device,
) -> dict[str, float]:
    """The scores of the held-out images themselves, at the same n where the test split has as many.

    What a perfect model would get; a model far below it repeats its training images.
    """
    scores = new_scores(metrics, extractor, references, of="test", seed=seed)
    n = min(sample_count(metrics, data), len(data.test))
    order = held_out_order(data, seed)
    with rng.fork(device):
        for start, count in batches(n, metrics.batch_size):
            images, _ = data.test.gather(order[start : start + count], device)
            scores.update(images)
        return scores.compute()


def held_out_order(data: ImageData, seed: int) -> Tensor:
    """The order in which test images are taken where not all are: (N,) int64, since files lie by class."""
    return torch.randperm(len(data.test), generator=rng.generator(torch.device("cpu"), seed, "held out"))


def sample_count(metrics: Metrics, data: ImageData) -> int:
    """How many samples are drawn: as many as asked for, or as the test split has."""
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


def new_scores(
    metrics: Metrics, extractor: FeatureExtractor, references: Sequence[Reference], *, of: str, seed: int
) -> FeatureScores:
    """Empty scores under the protocol's settings."""
    return FeatureScores(
        extractor,
        references,
        of=of,
        seed=rng.derive(seed, "scores"),
        splits=metrics.splits,
        kid_subsets=metrics.kid_subsets,
        kid_subset_size=metrics.kid_subset_size,
    )
