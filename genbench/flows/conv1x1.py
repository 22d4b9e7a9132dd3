"""Invertible mixing of channels by one learned matrix, in the place of a fixed permutation."""

import torch
from torch import Tensor, nn

from genbench.flows.transform import ChannelMap

__all__ = ["Conv1x1"]


class Conv1x1(ChannelMap):
    """z = W x at every position, W = P L (U + diag(sign e^log_s)), log_det = H W sum log_s.

    P and the signs are fixed by the random rotation that W starts as; L has a unit diagonal, U none.
    All of it runs outside of autocast, and the inverse matrix is solved for in float64.
    (B, C, H, W) -> (B, C, H, W), log_det (B,).
    Source: Kingma & Dhariwal 2018, Section 3.2, Eq. 10 and 11.
    """

    order: Tensor
    sign: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        rotation, _ = torch.linalg.qr(torch.randn(channels, channels))
        # A rotation changes no volume, so log_det starts at 0.
        permutation, lower, upper = torch.linalg.lu(rotation)
        diagonal = upper.diagonal()
        self.register_buffer("order", permutation.argmax(dim=1))  # row i of W is row order[i] of L U
        self.register_buffer("sign", diagonal.sign())
        self.triangles = nn.Parameter(lower.tril(-1) + upper.triu(1))  # L below the diagonal, U above
        self.log_s = nn.Parameter(diagonal.abs().log())

    def matrix(self) -> tuple[Tensor, Tensor, Tensor]:
        lower, upper = self.factors()
        # (lower + I) upper = L U, row order[i] of which is row i of W.
        weight = torch.addmm(upper, lower, upper)[self.order]
        return weight, weight.new_zeros(len(weight)), self.log_s.sum()

    def inverse(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        with torch.autocast(z.device.type, enabled=False):
            lower, upper = (factor.double() for factor in self.factors())
            # W^-1 = U^-1 L^-1 P^T
            inverse = torch.eye(len(self.order), dtype=torch.float64, device=z.device)[self.order].T
            inverse = torch.linalg.solve_triangular(lower, inverse, upper=False, unitriangular=True)
            return mix(z, torch.linalg.solve_triangular(upper, inverse, upper=True).to(z.dtype))

    def factors(self) -> tuple[Tensor, Tensor]:
        """L without its diagonal of ones, and U with its own diagonal, (C, C) each."""
        return self.triangles.tril(-1), self.triangles.triu(1) + torch.diag(self.sign * self.log_s.exp())


def mix(x: Tensor, weight: Tensor) -> Tensor:
    """The product of a matrix (C, C) with the channels at every position of x (B, C, H, W)."""
    return nn.functional.linear(x.movedim(1, -1), weight).movedim(-1, 1)
