"""The speed of the evaluation: one pass through the features for all scores, and the Frechet distance alone.

`python -m benchmarks.evaluation`
"""

from collections.abc import Callable, Iterator
from statistics import median
from typing import Annotated

import numpy as np
import torch
import typer
from scipy.linalg import sqrtm
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore as TheirInceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

from benchmarks.console import Out, Table, Threads, show
from benchmarks.fair_timing import seconds
from genbench.data import Split
from genbench.metrics import FID, KID, InceptionScore, Moments, Reference, frechet_distance, score_images
from genbench.metrics.features.inception import InceptionExtractor, empty_network

__all__ = ["main"]

BATCH = 50


def main(
    samples: Annotated[int, typer.Option(min=20, help="Number of images of 32x32 that are scored.")] = 200,
    real: Annotated[
        int,
        typer.Option(min=20, help="Number of real images (torchmetrics: a pass each)."),
    ] = 200,
    dimensions: Annotated[int, typer.Option(min=2, help="Feature dimensions of the distance alone.")] = 2048,
    rounds: Annotated[int, typer.Option(min=1, help="Timed rounds; the median counts.")] = 3,
    threads: Threads = 1,
    out: Out = None,
) -> None:
    """Time both by turns, on an Inception network with random weights, and print medians and ratios."""
    torch.set_num_threads(threads)
    extractor, fake, true = inception(), images(samples, 0), images(real, 1)
    reference = reference_of(extractor, true)
    moments = [random_moments(dimensions, seed) for seed in (0, 1)]
    pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        f"FID, IS and KID of {samples} images | torchmetrics, one after the other": (
            lambda: ours(extractor, fake, reference),
            lambda: theirs(extractor, fake, true),
        ),
        f"Frechet distance, d = {dimensions} | scipy's matrix root": (
            lambda: frechet_distance(*moments),
            lambda: by_scipy(*moments),
        ),
    }
    rows = [compared(name, *pair, rounds=rounds) for name, pair in pairs.items()]
    show([Table("The evaluation", rows)], out)


def compared(
    name: str, mine: Callable[[], object], other: Callable[[], object], *, rounds: int
) -> dict[str, str | float]:
    """A row: medians of both over some rounds by turns, and their ratio."""
    turns = [(seconds(mine), seconds(other)) for _ in range(rounds)]
    a, b = (median(column) for column in zip(*turns, strict=True))
    return {"ours | other": name, "ours, s": a, "other, s": b, "ratio": b / a}


def inception() -> InceptionExtractor:
    """The network of the published scores with random weights, which cost the same time."""
    torch.manual_seed(0)
    network = empty_network().to_empty(device="cpu")
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.is_floating_point():
            nn.init.trunc_normal_(tensor, std=0.02)
    for name, tensor in network.named_buffers():
        if name.endswith("running_var"):
            nn.init.ones_(tensor)
    return InceptionExtractor(network, "random", 3).eval()


def images(n: int, seed: int) -> Tensor:
    """Random bytes by a seed: (n, 3, 32, 32) uint8."""
    return torch.randint(
        256, (n, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


def parts(x: Tensor) -> Iterator[tuple[Tensor, None]]:
    """Images (N, 3, 32, 32) in batches, without labels."""
    for part in x.split(BATCH):
        yield part, None


def reference_of(extractor: InceptionExtractor, x: Tensor) -> Reference:
    """The statistics of real images (N, 3, 32, 32), as genbench caches them."""
    moments, features = Moments(extractor.num_features), []
    for part, _ in parts(x):
        features.append(extractor(part).features)
        moments.update(features[-1])
    return Reference("train", extractor.protocol, moments, torch.cat(features), Split(x, None))


def ours(extractor: InceptionExtractor, fake: Tensor, reference: Reference) -> dict[str, float]:
    """FID, IS and KID by genbench: one pass of the fake images, against cached statistics."""
    scores = [FID(), InceptionScore(), KID(subset_size=min(len(fake), 1000))]
    return score_images(
        parts(fake), len(fake), scores=scores, extractor=extractor, references=[reference], of="given", seed=0
    )


def theirs(extractor: InceptionExtractor, fake: Tensor, real: Tensor) -> None:
    """The same three by torchmetrics with its defaults: each score passes its images through the network."""
    size = min(len(fake), len(real), 1000)
    features, logits = Output(extractor, "features"), Output(extractor, "logits")
    distances = (
        FrechetInceptionDistance(feature=features),
        KernelInceptionDistance(feature=features, subset_size=size),
    )
    for metric in distances:
        for part in real.split(BATCH):
            metric.update(part, real=True)
        for part in fake.split(BATCH):
            metric.update(part, real=False)
        metric.compute()
    score = TheirInceptionScore(feature=logits)
    for part in fake.split(BATCH):
        score.update(part)
    score.compute()


class Output(nn.Module):
    """One output of the network by its name, as a module that torchmetrics takes."""

    num_features = 2048

    def __init__(self, extractor: InceptionExtractor, name: str) -> None:
        super().__init__()
        self.extractor, self.name = extractor, name

    def forward(self, x: Tensor) -> Tensor:
        return getattr(self.extractor(x), self.name)


def random_moments(d: int, seed: int) -> Moments:
    """Moments of d + 500 random vectors of d features, by a seed."""
    moments = Moments(d)
    moments.update(torch.randn(d + 500, d, generator=torch.Generator().manual_seed(seed)) * (1 + 0.1 * seed))
    return moments


def by_scipy(a: Moments, b: Moments) -> float:
    """The Frechet distance by scipy's square root of the product of the covariances."""
    root = sqrtm((a.cov @ b.cov).numpy())
    return float((a.mean - b.mean).square().sum() + a.cov.trace() + b.cov.trace()) - 2 * np.trace(root).real


if __name__ == "__main__":
    typer.run(main)
