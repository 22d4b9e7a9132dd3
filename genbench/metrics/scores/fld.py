"""Feature likelihood divergence: how likely held-out images are under Gaussians around the samples."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from genbench.metrics.features.extractor import check_finite
from genbench.metrics.reference import Reference, subset
from genbench.metrics.scores.precision_recall import squared_distances
from genbench.metrics.scores.score import Drawn, Score, of_split
from genbench.records.metric_kinds import KINDS

__all__ = ["FLD", "Mixture", "fit_mixture", "standardised"]

EPOCHS, RATE = 50, 0.5  # of Adam, as published
BATCH = 10_000  # training images of a step, as published
NARROWEST, WIDEST = -40.0, 20.0  # of log variances: samples that are training images would have none
NEAR = 1e-3  # added to the squared distance of the nearest training image, for the first variances
PULL = (1 - 0.1) ** 2  # of squared distances to the mean, for the background component
BLOCK = 1024  # training images at a time, which bounds the memory


class FLD(Score):
    """FLD of test images, and its generalisation gap, of at most `samples` samples and images of each split.

    A Gaussian stands on each sample; their variances are fitted to the training images. fld is the negative
    log-likelihood of test images under the mixture, 100 times per feature, less that under a mixture on as
    many training images (half of them at most), fitted to the others: 0 is as good as training images, and it
    falls with fidelity, with diversity, and where samples are no copies.
    fld_gap is that of training images less that of test images: about 0 without copies, far below with them.
    There is no interval over samples: a test image's density hangs on the few samples near it.
    Features are standardised by mean and standard deviation over the test images, as in the published code.
    samples: the published number is 10,000, of which a CPU takes minutes. Raises ValueError below 2.
    Source: Jiralerspong et al. 2023, Section 3, and their code for the fit.
    """

    key = "fld"
    kinds = (KINDS["fld"], KINDS["fld_gap"])
    by_validation = False

    def __init__(self, samples: int = 2000) -> None:
        if samples < 2:
            raise ValueError(f"scores.fld.samples is {samples}; it must be 2 or more, as published 10000")
        self.samples = samples

    def compute(self, drawn: Drawn, references: Sequence[Reference]) -> dict[str, float]:
        train, test = (of_split(references, split) for split in ("train", "test"))
        if train is None or test is None or len(train.features) < 4:
            return {}
        parts = [subset(x, self.samples) for x in (test.features, train.features, drawn.features)]
        held_out, seen, fake = standardised(parts)
        half = min(len(fake), len(seen) // 2)  # in the random order of `subset`
        floor = fit_mixture(seen[:half], seen[half:]).nll(held_out)
        mixture = fit_mixture(fake, seen)
        nll = mixture.nll(held_out)
        gap = mixture.nll(seen) - nll
        part, n = (f"among={len(seen)}",), len(fake)
        values = {"fld": nll - floor, "fld_gap": gap}
        found: dict[str, float] = {}
        for kind, value in values.items():
            found |= drawn.scored(drawn.name(kind, ref="test-train", part=part, n=n), 100 * value)
        return found


def standardised(sets: Sequence[Tensor]) -> list[Tensor]:
    """Move and scale features (N, d) of several sets by the mean and standard deviation of the first one's:
    float64 each. A feature that is constant there is only moved. Raises FloatingPointError where not finite.
    """
    for each in sets:
        check_finite(each)
    points = [x.detach().cpu().double() for x in sets]
    mean, std = points[0].mean(0), points[0].std(0)
    return [(x - mean) / torch.where(std > 0, std, 1.0) for x in points]


class Mixture(NamedTuple):
    """Equally weighted Gaussians of spherical covariances around points: means (M, d), log_variances (M,)."""

    means: Tensor
    log_variances: Tensor

    def nll(self, x: Tensor) -> float:
        """Mean over points x (N, d) of -log p(x) / d, in nats per feature."""
        parts = [self.log_joint(squared_distances(block, self.means)) for block in x.split(BLOCK)]
        return -float(torch.cat([part.logsumexp(1) for part in parts]).mean()) / x.shape[1]

    def log_joint(self, squares: Tensor) -> Tensor:
        """log(1/M N(x_i; y_j, s_j^2 I)) of squared distances (N, M), of the same shape."""
        return log_normal(squares, self.log_variances, self.means.shape[1]) - math.log(len(self.means))


def log_normal(squares: Tensor, log_variance: Tensor, d: int) -> Tensor:
    """log N(x; y, s^2 I) in d dimensions, of squared distances |x - y|^2 and of log s^2, which broadcast."""
    return -(squares / log_variance.exp() + d * (log_variance + math.log(2 * math.pi))) / 2


def fit_mixture(means: Tensor, train: Tensor) -> Mixture:
    """Fit the variances of Gaussians around means (M, d) to the likelihood of training points (N, d).

    Adam on log variances, from (least squared distance to a training point + 0.001) / d, with a background
    component around the mean of the training points, which keeps outliers from widening any Gaussian; it is
    left out of the mixture that is returned. The gradient is written out, with r_ij the posterior of
    component j at x_i: d(-L/d) / d log s_j^2 = mean_i r_ij (1 - |x_i - y_j|^2 / (d s_j^2)) / 2.
    Source: Jiralerspong et al. 2023, Section 3.2; 50 epochs at a rate of 0.5, each with a step for every
    10,000 training points, and the background are their code's (fld/MoG.py), as are the limits of log
    variances. The points are taken in their order, which is to be random.
    """
    d, centre = means.shape[1], train.mean(0)
    batches = [
        [
            (squared_distances(block, means).clamp_(min=0), PULL * (block - centre).square().sum(1))
            for block in batch.split(BLOCK)
        ]
        for batch in train.split(BATCH)
    ]
    nearest = torch.stack([near.min(0).values for blocks in batches for near, _ in blocks]).min(0).values
    # The last one is that of the background.
    logs = torch.cat([((nearest + NEAR) / d).log(), nearest.new_zeros(1)]).requires_grad_()
    optimizer = torch.optim.Adam([logs], lr=RATE)
    for blocks in batches * EPOCHS:
        logs.grad = torch.zeros_like(logs)
        mixture, background = Mixture(means, logs.detach()[:-1]), logs.detach()[-1:]
        for near, far in blocks:
            behind = log_normal(far, background, d)[:, None]
            r = torch.cat([mixture.log_joint(near), behind], 1).softmax(1)
            scaled = torch.cat([near / mixture.log_variances.exp(), (far / background.exp())[:, None]], 1)
            logs.grad += (r * (1 - scaled / d)).sum(0) / (2 * sum(len(near) for near, _ in blocks))
        optimizer.step()
        logs.data[:-1].clamp_(NARROWEST, WIDEST)
    return Mixture(means, logs.detach()[:-1])
