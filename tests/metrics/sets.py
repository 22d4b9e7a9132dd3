"""Sets of features without images or networks, for the scores' laws."""

import torch
from torch import Tensor

from genbench.data import Split
from genbench.metrics import Drawn, Moments, Reference


def blank(x: Tensor) -> Tensor:
    return torch.zeros(len(x), 1, 1, 1, dtype=torch.uint8)


def drawn_of(x: Tensor, *, seed: int = 0, labels: Tensor | None = None) -> Drawn:
    """Samples with features x (N, d), which serve as logits too."""
    return Drawn("f", "ema", seed, len(x), Moments.of(x), x, blank(x), labels, x)


def reference_of(x: Tensor, split: str = "train", *, labels: Tensor | None = None) -> Reference:
    """Real images with features x (N, d)."""
    return Reference(split, "f", Moments.of(x), x, Split(blank(x), labels))


def correlated(n: int, d: int, seed: int, *, shift: float = 0.0, scale: float = 1.0) -> Tensor:
    """Features of a Gaussian law, the same for every seed but for shift and scale."""
    mixing = torch.randn(d, d, generator=torch.Generator().manual_seed(d), dtype=torch.float64) / d**0.5
    rng = torch.Generator().manual_seed(1000 + seed)
    return scale * torch.randn(n, d, generator=rng, dtype=torch.float64) @ mixing + shift


def covering(intervals: list[tuple[float, float]], truth: float) -> int:
    """Count the intervals that hold a value."""
    return sum(low <= truth <= high for low, high in intervals)
