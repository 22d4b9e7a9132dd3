"""Checks of the metrics on this machine: closed forms, other implementations, published numbers."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rich.table import Table
from rich.text import Text
from torch import Tensor

from genbench.data import Cifar10, Split, prepare, to_float, to_uint8
from genbench.metrics import (
    FID,
    InceptionFeatures,
    InceptionScore,
    Moments,
    bits_per_dim,
    frechet_distance,
    reference,
    score_images,
)
from genbench.metrics import plain_formulas as plain
from genbench.metrics.scores.cmmd import gaussian_mmd
from genbench.metrics.scores.fld import Mixture
from genbench.metrics.scores.inception_score import inception_score
from genbench.metrics.scores.kid import kernel_distance
from genbench.metrics.scores.precision_recall import manifold_scores
from genbench.metrics.scores.vendi import vendi_score
from genbench.records.metric_name import MetricName
from genbench.runtime.progress import Progress

__all__ = ["Check", "check_all", "verdict_table"]

SEED = 0
N, D, K = 600, 48, 10  # of the random features and logits
FEW = 200  # of these, where formulas hold all differences of pairs in memory
BATCH = 250
# torch-fidelity's documentation: IS 11.2368 +- 0.0951 of the training set, FID 3.15 of train against test
ANCHORS = {"is": ("Inception score of CIFAR-10", 11.2368, 0.05), "fid": ("FID of its splits", 3.151, 0.01)}


class Check(NamedTuple):
    """One number of a metric with the value that it should have and an absolute tolerance, or the reason why
    it could not be computed on this machine.
    """

    what: str
    expected: float
    obtained: float
    tolerance: float
    """Absolute."""
    skipped: str = ""
    """Reason why the figure could not be measured here, if so."""

    @property
    def missed(self) -> bool:
        """True where the number was computed and is off by more than the tolerance, or is not finite; one
        miss makes exit code 1.
        """
        # Not `>`: a comparison with NaN is false, and NaN must count as missed.
        return not self.skipped and not abs(self.obtained - self.expected) <= self.tolerance


def check_all(
    *, data_root: str | None, weights: str | None, device: torch.device, progress: Progress
) -> list[Check]:
    """Run all checks.

    Those with published numbers where their images and weights are given, else they are skipped.

    data_root: folder of CIFAR-10; weights: file of Inception weights. Raises ValueError or OSError where
    these are given and cannot be used.
    """
    local = [*closed_forms(), *written_out(), *other_implementations()]
    return [*local, *anchors(data_root, weights, device, progress)]


def closed_forms() -> Iterator[Check]:
    """Check the metrics against values that follow by hand from their definitions, on numbers made for them;
    no network and no images are needed.
    """
    one, two = moments_of([0.0, 0.0], [1.0, 4.0]), moments_of([3.0, 4.0], [4.0, 1.0])
    # |m1 - m2|^2 + sum (s1 - s2)^2 of commuting covariances
    yield Check("Frechet distance of two Gaussians", 25 + 1 + 1, frechet_distance(one, two), 1e-9)
    yield Check("Frechet distance of equal moments", 0.0, frechet_distance(one, one), 1e-9)
    sure = torch.eye(K).repeat(60, 1) * 1e3  # logits under which each class has a probability of 1 or 0
    yield Check("Inception score, K sure classes", K, inception_score(sure, splits=1, seed=SEED)[0], 1e-6)
    unsure = torch.zeros(N, K)
    yield Check("Inception score, equal classes", 1.0, inception_score(unsure, splits=10, seed=SEED)[0], 1e-9)
    x, far = features(0), features(1) + 1e3
    same, apart = manifold_scores(x, x), manifold_scores(x, far)
    yield Check("precision + recall, equal sets", 2.0, same.precision + same.recall, 0.0)
    yield Check("precision + recall, sets far apart", 0.0, apart.precision + apart.recall, 0.0)
    yield Check("Vendi score, K orthogonal samples", K, vendi_score(torch.eye(K, D))[0], 1e-9)
    yield Check("Vendi score, equal samples", 1.0, vendi_score(torch.ones(N, D))[0], 1e-9)
    points = torch.zeros(2, D), torch.ones(2, D)
    apart_by = 2 - 2 * math.exp(-D / (2 * 10**2))  # k = 1 within both sets
    yield Check("CMMD's kernel, two points", apart_by, gaussian_mmd(*points, sigma=10)[0], 1e-9)
    at_centre = Mixture(torch.zeros(1, D), torch.zeros(1)).nll(torch.zeros(1, D))
    yield Check("FLD's likelihood at a Gaussian's centre", math.log(2 * math.pi) / 2, at_centre, 1e-6)
    yield Check("bits/dim of uniform bytes", 8.0, bits_per_dim(-64 * math.log(256), 64), 1e-12)
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    equal = (to_uint8(to_float(levels)) == levels).sum()
    yield Check("grey levels that survive rounding", 256, float(equal), 0.0)


def written_out() -> Iterator[Check]:
    """Check the scores of recent papers, which few libraries have, against their published formulas in numpy,
    on random features (FEW, D).
    """
    x, y = features(5)[:FEW], (features(6) * 1.1 + 0.1)[:FEW]
    a, b = (z.double().numpy() for z in (x, y))
    kid, _ = kernel_distance(x, y, subsets=1, subset_size=FEW, seed=SEED)
    yield Check("KID and KDD by their kernel", plain.squared_mmd(a, b, plain.polynomial), kid, 1e-9)
    cmmd = plain.squared_mmd(a, b, plain.gaussian)
    yield Check("CMMD by its kernel", cmmd, gaussian_mmd(x, y, sigma=10)[0], 1e-9)
    yield Check("Vendi score by its definition", plain.vendi(a), vendi_score(x)[0], 1e-9)
    mixture = Mixture(x.double(), features(7)[:FEW, 0].double())
    nll = plain.mixture_nll(a, mixture.log_variances.numpy(), b)
    yield Check("FLD's likelihood by its definition", nll, mixture.nll(y.double()), 1e-9)
    found = manifold_scores(x, y)
    for name, expected in zip(found._fields, plain.manifold(a, b), strict=True):
        yield Check(f"{name} by all pairs", expected, getattr(found, name), 1e-12)


def other_implementations() -> Iterator[Check]:
    """Check FID, KID and Inception score against scipy, torchmetrics and torch-fidelity, on the same random
    features (N, D) and logits (N, K).
    """
    from scipy.linalg import sqrtm
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric

    x, y = features(2), features(3) * 1.3 + 0.2
    a, b = Moments.of(x), Moments.of(y)
    ours = frechet_distance(a, b)
    root = sqrtm((a.cov @ b.cov).numpy())
    apart = float((a.mean - b.mean).square().sum() + a.cov.trace() + b.cov.trace())
    plain = apart - 2 * float(np.trace(root).real)  # rounding gives the root an imaginary part
    yield Check("FID by scipy's matrix root", plain, ours, 1e-6)
    yield Check("FID by torchmetrics", torchmetrics_fid(x, y), ours, 1e-6)
    statistics = (fid_features_to_statistics(z.double()) for z in (x, y))
    fidelity = fid_statistics_to_metric(*statistics, verbose=False)
    yield Check("FID by torch-fidelity", fidelity["frechet_inception_distance"], ours, 1e-6)
    # One subset of all images: nothing is random.
    settings = {"kid_subsets": 1, "kid_subset_size": N, "rng_seed": SEED, "verbose": False}
    kid = kid_features_to_metric(x.double(), y.double(), **settings)["kernel_inception_distance_mean"]
    mine, _ = kernel_distance(x, y, subsets=1, subset_size=N, seed=SEED)
    yield Check("KID by torch-fidelity", kid, mine, 1e-6)
    logits = features(4)[:, :K] * 2
    isc = isc_features_to_metric(logits, splits=1)["inception_score_mean"]
    score, _ = inception_score(logits, splits=1, seed=SEED)
    yield Check("Inception score by torch-fidelity", isc, score, 1e-6)


def torchmetrics_fid(x: Tensor, y: Tensor) -> float:
    """FID of features x and y (N, D) by torchmetrics, in float64."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    class Given(torch.nn.Module):
        """A feature network that returns its input, features (N, D)."""

        num_features = D

        def forward(self, features: Tensor) -> Tensor:
            return features

    metric = FrechetInceptionDistance(feature=Given()).set_dtype(torch.float64)
    metric.update(x.double(), real=True)
    metric.update(y.double(), real=False)
    return float(metric.compute())


def anchors(
    data_root: str | None, weights: str | None, device: torch.device, progress: Progress
) -> Iterator[Check]:
    """Published figures of CIFAR-10 on Inception features: an hour of a CPU, minutes of a GPU.

    They are left out where the images or the weights are not there; those that are given must do.
    Raises ValueError or OSError where they do not.
    """
    source = InceptionFeatures(weights)
    if weights is not None:
        source.check(Cifar10())
    if data_root is None:
        yield from left_out("give CIFAR-10 by --data-root PATH")
        return
    if not Path(data_root).is_dir():
        raise FileNotFoundError(f"--data-root {data_root} is not a folder: give the one of CIFAR-10")
    data = prepare(Cifar10(root=data_root, download=False), progress=progress)
    try:
        extractor = source.build(data, device=device, progress=progress)
    except (OSError, ValueError) as error:
        if weights is not None:
            raise
        yield from left_out(" ".join(str(error).split())[:120])  # one line of the table
        return
    test = reference(extractor, data, split="test", device=device, progress=progress)
    scores = score_images(
        stream(data.train, device, progress),
        len(data.train),
        scores=[InceptionScore(), FID()],
        extractor=extractor,
        references=[test],
        of="given",
        seed=SEED,
    )
    for name, obtained in scores.items():
        if (kind := MetricName.parse(name).kind) in ANCHORS:
            what, expected, within = ANCHORS[kind]
            yield Check(what, expected, obtained, within)


def left_out(why: str) -> Iterator[Check]:
    """Yield the checks with published numbers, each marked as skipped for one reason, so that the table shows
    that they were not run.
    """
    for what, expected, within in ANCHORS.values():
        yield Check(what, expected, math.nan, within, why)


def stream(split: Split, device: torch.device, progress: Progress) -> Iterator[tuple[Tensor, None]]:
    """Yield the images of a split in their order, (B, C, H, W) uint8 on a device, each batch with None for
    its labels, as `score_images` takes them.
    """
    with progress.bar("features of CIFAR-10", len(split)) as bar:
        for index in torch.arange(len(split)).split(BATCH):
            yield split.gather(index, device)[0], None
            bar.advance(int(index[-1]) + 1)


def features(stream_number: int) -> Tensor:
    """Draw normal features with a random covariance, (N, D) float32, the same for the same number; features
    of two numbers are independent.
    """
    rng = torch.Generator().manual_seed(SEED + stream_number)
    return torch.randn(N, D, generator=rng) @ (torch.randn(D, D, generator=rng) / math.sqrt(D))


def moments_of(mean: list[float], variances: list[float]) -> Moments:
    """Make moments of a given mean (d,) and variances (d,), without correlations, for which distances follow
    by hand; no features have these.
    """
    # Of two samples the covariance is scatter / (n - 1) = scatter.
    m, s = (torch.tensor(values, dtype=torch.float64) for values in (mean, variances))
    return Moments.given(2, m, torch.diag(s))


def verdict_table(checks: list[Check]) -> Table:
    """Lay out the checks as a table for the terminal, one row each: what was checked, the expected and the
    obtained number, the tolerance, and "agrees", "missed" or the reason why it was not run.
    """
    grid = Table(title="selfcheck", title_justify="left")
    for name in ("what", "expected", "obtained", "within", "verdict"):
        grid.add_column(name, justify="left" if name in ("what", "verdict") else "right", overflow="fold")
    for check in checks:
        word, style = ("missed", "red") if check.missed else ("agrees", "green")
        # A styled text, not markup: the terminal prints tables without reading markup in them.
        verdict = Text(f"not run: {check.skipped}") if check.skipped else Text(word, style=style)
        obtained = "" if check.skipped else f"{check.obtained:.6f}"
        grid.add_row(check.what, f"{check.expected:.6f}", obtained, f"{check.tolerance:g}", verdict)
    return grid
