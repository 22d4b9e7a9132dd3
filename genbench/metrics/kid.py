"""The Kernel Inception Distance."""

import warnings

import torch
from torch import Tensor, nn

__all__ = ["kernel_distance"]


def kernel_distance(
    real: Tensor, fake: Tensor, *, subsets: int = 100, subset_size: int = 1000, seed: int
) -> tuple[float, float]:
    """Mean and standard deviation over random subsets of the unbiased MMD^2, by torchmetrics, in float64.

    k(x, y) = (x . y / d + 1)^3
    real (N, d), fake (M, d). Unbiased, so it may be below 0. Draws from a generator of its own seed.
    Raises ValueError unless 2 <= subset_size <= min(N, M), FloatingPointError where not finite.
    Source: Binkowski et al. 2018, Section 4.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    largest = min(len(real), len(fake))
    if not 2 <= subset_size <= largest:
        raise ValueError(f"subset_size is {subset_size}; legal are 2 to {largest}, the smaller set's size")
    if not bool(real.isfinite().all() and fake.isfinite().all()):
        raise FloatingPointError("features are not finite: look at the images, or at the feature weights")
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="Metric `Kernel Inception Distance` will save all extracted"
        )
        metric = KernelInceptionDistance(feature=nn.Identity(), subsets=subsets, subset_size=subset_size)
    metric.update(real.detach().cpu().double(), real=True)
    metric.update(fake.detach().cpu().double(), real=False)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        mean, std = metric.compute()
    return float(mean), float(std)
