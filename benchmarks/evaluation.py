"""The speed of the evaluation: Inception features, scores of equal images by three libraries, and what the
scores add to the features.

`python -m benchmarks.evaluation`
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import torch
import torch_fidelity
import typer
from scipy.linalg import sqrtm
from torch import Tensor, nn
from torch.utils.data import TensorDataset
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torchmetrics.image.fid import FrechetInceptionDistance, NoTrainInceptionV3
from torchmetrics.image.inception import InceptionScore as TheirInceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

from benchmarks import machine
from benchmarks.console import Out, Row, Table, Threads, show
from benchmarks.contenders import CPU
from benchmarks.fair_timing import clock, medians
from genbench.data import Split
from genbench.metrics import (
    FID,
    KID,
    Drawn,
    InceptionScore,
    Manifold,
    Moments,
    Reference,
    Score,
    frechet_distance,
    score_images,
)
from genbench.metrics.features.inception import InceptionExtractor, empty_network
from genbench.training import flops

__all__ = ["Weights", "alone", "features", "libraries", "main", "scores"]

BATCH = 50
PUBLISHED = 10_000  # images of an evaluation, for which costs are given
PASSES = {"genbench": 1, "torch-fidelity": 2, "torchmetrics": 5}
"""Times that each library sends as many images through the network for FID, IS and KID against equally many
real ones: genbench has the real ones' statistics in its cache, torchmetrics has a network for each score.
"""


def main(
    samples: Annotated[int, typer.Option(min=20, help="Number of images of 32x32 that are scored.")] = 200,
    real: Annotated[
        int,
        typer.Option(min=20, help="Number of real images (torchmetrics: two passes, torch-fidelity: one)."),
    ] = 200,
    scored: Annotated[int, typer.Option(min=20, help="Feature vectors for the scores alone.")] = PUBLISHED,
    dimensions: Annotated[int, typer.Option(min=2, help="Feature dimensions of the scores alone.")] = 2048,
    rounds: Annotated[int, typer.Option(min=1, help="Timed rounds; the median counts.")] = 3,
    threads: Threads = 1,
    out: Out = None,
) -> None:
    """Time all by turns, on an Inception network with random weights, and print medians and ratios."""
    torch.set_num_threads(threads)
    with TemporaryDirectory() as folder:
        weights = Weights(Path(folder))
        peak = machine.peaks(CPU, spent=0.3, rounds=1)["convolution float32"]
        tables = [
            features(weights, peak=peak, rounds=rounds),
            libraries(weights, samples, real, rounds=rounds),
            scores(scored, dimensions),
            alone(dimensions, rounds=rounds),
        ]
    show(tables, out)


class Weights:
    """Inception networks of one set of random weights, which cost the time of the published ones.

    folder: where the file of the weights is written, which the libraries read.
    """

    def __init__(self, folder: Path) -> None:
        network, rng = empty_network().to_empty(device="cpu"), torch.Generator().manual_seed(0)
        for name, tensor in network.state_dict().items():
            if name.endswith(("running_var", "bn.weight")):
                tensor.fill_(1)
            elif tensor.is_floating_point() and tensor.dim() > 1:
                nn.init.kaiming_normal_(tensor, nonlinearity="relu", generator=rng)
            else:
                tensor.zero_()
        self.file = folder / "weights.pth"
        torch.save(network.state_dict(), self.file)
        self.ours = InceptionExtractor(network, "random", 3).eval()

    def fidelity(self) -> nn.Module:
        """Make torch-fidelity's own network."""
        outputs = ["2048", "logits_unbiased"]
        return FeatureExtractorInceptionV3("inception-v3-compat", outputs, str(self.file))

    def torchmetrics(self, output: str) -> nn.Module:
        """Make the network as torchmetrics makes it for a score, with one output: "2048" or
        "logits_unbiased".
        """
        return NoTrainInceptionV3("inception-v3-compat", [output], str(self.file))


def features(weights: Weights, *, peak: float, rounds: int, batch: int = BATCH) -> Table:
    """Images a second through each library's network, and the time of 10,000 images that follows.

    peak: of the machine's float32 convolutions, in operations a second.
    """
    x = images(batch, 0)
    networks = {
        "genbench": weights.ours,
        "torch-fidelity": weights.fidelity(),
        "torchmetrics": weights.torchmetrics("2048"),
    }
    works = [partial(rate, network, x) for network in networks.values()]
    operations = flops.count(lambda: weights.fidelity()(x[:1]))
    rows = []
    for name, images_per_second in zip(networks, medians(works, rounds), strict=True):
        reached = operations * images_per_second
        row: Row = {"network of": name, "images/s": images_per_second, "GFLOP/s": reached / 1e9}
        passes = PASSES[name]
        of_all = passes * PUBLISHED / images_per_second
        rows.append({**row, "share of peak": reached / peak, "passes": passes, "10,000 images, s": of_all})
    ours = rows[0]["10,000 images, s"]
    with_ratio = [{**row, "ratio": row["10,000 images, s"] / ours} for row in rows]
    notes = (
        "float32; operations are those of torch-fidelity's network, the peak is that of 3x3 convolutions.",
        "10,000 images: for FID, IS and KID against 10,000 real ones, without the scores; extrapolated.",
    )
    return Table("Inception features", with_ratio, notes)


@torch.no_grad()
def rate(network: nn.Module, x: Tensor) -> float:
    """Images a second of one pass of x (B, 3, 32, 32) through a network."""
    begun = clock()
    network(x)
    return len(x) / (clock() - begun)


def libraries(weights: Weights, samples: int, real: int, *, rounds: int) -> Table:
    """Seconds of FID, IS and KID of the same images by genbench, torchmetrics and torch-fidelity."""
    fake, true = images(samples, 0), images(real, 1)
    reference = reference_of(weights.ours, true)
    works = {
        "genbench, with intervals": lambda: ours(weights.ours, fake, reference),
        "torchmetrics, one after the other": lambda: by_torchmetrics(weights, fake, true),
        "torch-fidelity, in one call": lambda: by_fidelity(weights, fake, true),
    }
    took = medians([partial(seconds, work) for work in works.values()], rounds)
    rows = [
        {"library": name, "s": time, "ratio": time / took[0]} for name, time in zip(works, took, strict=True)
    ]
    note = f"FID, IS and KID of {samples} images against {real}; genbench has statistics of the real ones."
    return Table("Scores of equal images", rows, (note,))


def scores(n: int, dimensions: int) -> Table:
    """Seconds of each of our scores on n feature vectors, with their intervals, once each."""
    rng = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, n, dimensions, generator=rng).abs()
    blank = torch.zeros(n, 3, 1, 1, dtype=torch.uint8)  # the scores look at features alone
    reference = Reference("train", "random", Moments.of(y), y, Split(blank, None))
    drawn = Drawn(
        protocol="random",
        of="given",
        seed=0,
        n=n,
        moments=Moments.of(x),
        features=x,
        images=blank,
        labels=None,
        logits=x[:, :1008],
    )
    works: dict[str, Score] = {
        "FID": FID(),
        "IS": InceptionScore(),
        "KID": KID(subset_size=min(n, 1000)),
        "precision, recall, density, coverage": Manifold(),
    }
    rows: list[Row] = [{"score": "moments", "s": seconds(partial(Moments.of, x))}]
    for name, score in works.items():
        work = partial(score.compute, drawn, [reference])
        rows.append({"score": name, "s": seconds(work)})
    return Table("Scores alone", rows, (f"{n} vectors of {dimensions} numbers, against as many.",))


def alone(dimensions: int, *, rounds: int) -> Table:
    """Seconds of the Frechet distance between moments, by our formula and by scipy's matrix root."""
    moments = [random_moments(dimensions, seed) for seed in (0, 1)]
    works = (lambda: frechet_distance(*moments), lambda: by_scipy(*moments))
    a, b = (median(seconds(work) for _ in range(rounds)) for work in works)
    row: Row = {"features": dimensions, "ours, s": a, "scipy's matrix root, s": b, "ratio": b / a}
    return Table("Frechet distance", [row])


def seconds(work: Callable[[], object]) -> float:
    """Seconds of one call, by the clock of rates."""
    begun = clock()
    work()
    return clock() - begun


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
    found = torch.cat([extractor(part).features for part, _ in parts(x)])
    return Reference("train", extractor.protocol, Moments.of(found), found, Split(x, None))


def ours(extractor: InceptionExtractor, fake: Tensor, reference: Reference) -> dict[str, float]:
    """FID, IS and KID by genbench: one pass of the fake images, against cached statistics."""
    chosen = [FID(), InceptionScore(), KID(subset_size=min(len(fake), 1000))]
    return score_images(
        parts(fake), len(fake), scores=chosen, extractor=extractor, references=[reference], of="given", seed=0
    )


def by_torchmetrics(weights: Weights, fake: Tensor, real: Tensor) -> None:
    """The same three by torchmetrics with its defaults: each score passes its images through the network."""
    size = min(len(fake), len(real), 1000)
    distances = (
        FrechetInceptionDistance(feature_extractor_weights_path=str(weights.file)),
        KernelInceptionDistance(feature=weights.torchmetrics("2048"), subset_size=size),
    )
    for metric in distances:
        for part in real.split(BATCH):
            metric.update(part, real=True)
        for part in fake.split(BATCH):
            metric.update(part, real=False)
        metric.compute()
    score = TheirInceptionScore(feature=weights.torchmetrics("logits_unbiased"))
    for part in fake.split(BATCH):
        score.update(part)
    score.compute()


def by_fidelity(weights: Weights, fake: Tensor, real: Tensor) -> None:
    """The same three by torch-fidelity in one call: each image passes the network once."""
    torch_fidelity.calculate_metrics(
        input1=Bytes(fake),
        input2=Bytes(real),
        fid=True,
        kid=True,
        isc=True,
        kid_subset_size=min(len(fake), len(real), 1000),
        feature_extractor_weights_path=str(weights.file),
        batch_size=BATCH,
        cuda=False,
        cache=False,
        verbose=False,
    )


class Bytes(TensorDataset):
    """Images (N, 3, H, W) uint8 as torch-fidelity takes them: one by one, without labels."""

    def __init__(self, x: Tensor) -> None:
        super().__init__(x)

    def __getitem__(self, index: int) -> Tensor:  # type: ignore[override]
        return self.tensors[0][index]


def random_moments(d: int, seed: int) -> Moments:
    """Moments of d + 500 random vectors of d features, by a seed."""
    rng = torch.Generator().manual_seed(seed)
    return Moments.of(torch.randn(d + 500, d, generator=rng) * (1 + 0.1 * seed))


def by_scipy(a: Moments, b: Moments) -> float:
    """The Frechet distance by scipy's square root of the product of the covariances."""
    root = sqrtm((a.cov @ b.cov).numpy())
    return float((a.mean - b.mean).square().sum() + a.cov.trace() + b.cov.trace()) - 2 * np.trace(root).real


if __name__ == "__main__":
    typer.run(main)
