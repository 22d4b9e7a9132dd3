"""The squeeze of a flow: squares of pixels become channels, which can be split and mixed."""

import torch.nn.functional as F
from torch import Tensor

from genbench.flows.transform import Shape, Transform

__all__ = ["Squeeze"]


class Squeeze(Transform):
    """Folds squares of side x side pixels into channels: (B, C, H, W) -> (B, side^2 C, H / side, W / side).

    shape: (C, H, W) of what comes in. log_det = 0. Raises ValueError where the side does not divide the map.
    Source: Dinh et al. 2017, Section 3.6.
    """

    def __init__(self, shape: Shape, side: int = 2) -> None:
        super().__init__()
        channels, height, width = shape
        if side < 1 or height % side or width % side:
            raise ValueError(
                f"flow.patch: squares of {side}x{side} do not tile a map of {height}x{width}; take a side "
                "that divides both, or 1"
            )
        self.side = side
        self.shape = (channels * side**2, height // side, width // side)
        """(C, H, W) of what comes out."""

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return F.pixel_unshuffle(x, self.side), x.new_zeros(len(x))  # a permutation changes no volume

    def inverse(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return F.pixel_shuffle(z, self.side)
