"""The Inception score: how sure a classifier is of each sample, and how many classes there are."""

import math
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genbench.metrics.features.extractor import check_finite
from genbench.metrics.reference import Reference
from genbench.metrics.scores.interval import Influences, on_logs
from genbench.metrics.scores.score import Drawn, Score
from genbench.records.metric_kinds import KINDS

__all__ = ["InceptionScore", "inception_score", "split_count"]


class InceptionScore(Score):
    """Inception score of at most 50,000 samples; no value on features of a network that knows no classes.

    Biased low where n / splits images are few: published scores have 5,000 a split.
    Raises ValueError on fewer than two splits, which have no standard deviation.
    """

    key = "is"
    kinds = (KINDS["is"],)

    def __init__(self, splits: int = 10) -> None:
        if splits < 2:
            raise ValueError(f"scores.is.splits is {splits}; a standard deviation needs 2 or more")
        self.splits = splits
        self.smallest = 2 * splits  # a split of one image scores 1, whatever the image

    def compute(self, drawn: Drawn, references: Sequence[Reference]) -> dict[str, float]:
        n, classes = drawn.logits.shape
        if classes == 0:
            return {}
        mean, std = inception_score(drawn.logits, splits=self.splits, seed=drawn.seed)
        name = drawn.name("is", ref=None, part=(f"splits={split_count(n, self.splits)}",), n=n)
        influences = Influences(score_influences(drawn.logits), scale=on_logs)
        return drawn.scored(name, mean, std=std, influences=influences)


def inception_score(logits: Tensor, *, splits: int = 10, seed: int) -> tuple[float, float]:
    """Mean and standard deviation over splits of exp E[KL(p(y | x) | p(y))], by torchmetrics, in float64.

    The deviation divides by the number of splits, as published ones do (torchmetrics by one less); that of
    one split is NaN. A split of m images knows p(y) from these m alone, so that its score is biased low.
    logits (N, K), shuffled by a generator of its own seed.
    Raises ValueError unless 1 <= splits <= N, FloatingPointError on logits that are not finite.
    Source: Salimans et al. 2016, Section 4; Barratt & Sharma 2018 on the splits.
    """
    from torchmetrics.image.inception import InceptionScore

    if not 1 <= splits <= len(logits):
        raise ValueError(f"splits is {splits} for {len(logits)} samples; it must be from 1 to {len(logits)}")
    check_finite(logits, name="logits")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Metric `InceptionScore` will save all extracted features")
        # Not synchronised: the first process has all samples, and the others of a run do not call this.
        metric = InceptionScore(feature=nn.Identity(), splits=splits, sync_on_compute=False)
    metric.update(logits.detach().cpu().double())
    # torchmetrics shuffles by torch's default generator, which a run's other draws must not depend on.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"std\(\): degrees of freedom")
        torch.default_generator.manual_seed(seed)
        mean, std = metric.compute()
    parts = split_count(len(logits), splits)
    return float(mean), float(std) * math.sqrt((parts - 1) / parts)


def score_influences(logits: Tensor) -> Tensor:
    """Influence of each sample on exp E[KL_i], KL_i = KL(p(y | x_i) | p(y)): exp(E KL) (KL_i - E KL).

    logits (N, K) -> (N,) float64.
    """
    log_p = logits.double().log_softmax(1)
    log_marginal = log_p.logsumexp(0) - math.log(len(log_p))  # log p(y) = log 1/N sum_i p(y | x_i)
    divergence = (log_p.exp() * (log_p - log_marginal)).sum(1)
    return divergence.mean().exp() * (divergence - divergence.mean())


def split_count(n: int, splits: int) -> int:
    """Count the splits that n samples make in fact, ceil(n / ceil(n / splits)): torch cuts into pieces of
    equal size, so that of 9 samples in 4 splits there are 3. The number stands in the score's name.
    """
    size = -(-n // splits)
    return -(-n // size)
