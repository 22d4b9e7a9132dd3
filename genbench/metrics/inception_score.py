"""The Inception score."""

import warnings

import torch
from torch import Tensor, nn

__all__ = ["inception_score", "split_count"]


def inception_score(logits: Tensor, *, splits: int = 10, seed: int) -> tuple[float, float]:
    """Mean and standard deviation over splits of exp E[KL(p(y | x) | p(y))], by torchmetrics, in float64.

    logits (N, K), shuffled by a generator of its own seed. One split has no spread: its deviation is NaN.
    Raises ValueError unless 1 <= splits <= N, FloatingPointError on logits that are not finite.
    Source: Salimans et al. 2016, Section 4; Barratt & Sharma 2018 on the splits.
    """
    from torchmetrics.image.inception import InceptionScore

    if not 1 <= splits <= len(logits):
        raise ValueError(f"splits is {splits} for {len(logits)} samples; legal are 1 to {len(logits)}")
    if not bool(logits.isfinite().all()):
        raise FloatingPointError("logits are not finite: look at the images, or at the feature weights")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Metric `InceptionScore` will save all extracted features")
        metric = InceptionScore(feature=nn.Identity(), splits=splits)
    metric.update(logits.detach().cpu().double())
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"std\(\): degrees of freedom")
        torch.default_generator.manual_seed(seed)
        mean, std = metric.compute()
    return float(mean), float(std)


def split_count(n: int, splits: int) -> int:
    """How many splits n samples make in fact: torch cuts into pieces of ceil(n / splits)."""
    size = -(-n // splits)
    return -(-n // size)
