"""The nearest of some centres, for codebooks and palettes."""

from torch import Tensor

__all__ = ["nearest"]


def nearest(points: Tensor, centres: Tensor) -> Tensor:
    """argmin_k |point - centre_k|^2: points (..., L), centres (K, L) -> (...) int64.

    Computed as |c|^2 - 2 p . c, without |p|^2, which is the same for all centres.
    """
    return (centres.square().sum(1) - 2 * points @ centres.T).argmin(-1)
