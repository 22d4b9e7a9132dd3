"""Which times of the grid a training batch visits."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

__all__ = ["Stratified", "Times", "Uniform"]


class Times(ABC):
    """A law over the steps 1..T; each draw is uniform over them on its own."""

    def __call__(self, n: int, T: int, device: torch.device) -> Tensor:
        """n times t = k / T, k in 1..T: (n,) float64."""
        u = self.uniforms(n, device)
        return (torch.floor(u * T).clamp(max=T - 1) + 1) / T

    @abstractmethod
    def uniforms(self, n: int, device: torch.device) -> Tensor:
        """n numbers in [0, 1), each uniform: (n,) float64."""


class Uniform(Times):
    """Independent times.

    Source: Ho et al. 2020, Algorithm 1.
    """

    def uniforms(self, n: int, device: torch.device) -> Tensor:
        return torch.rand(n, dtype=torch.float64, device=device)


class Stratified(Times):
    """u_i = (u + i / n) mod 1 with one shared u: the batch covers the grid evenly, which lowers the variance.

    Source: Kingma et al. 2021, Appendix I.1 (low-discrepancy sampler).
    """

    def uniforms(self, n: int, device: torch.device) -> Tensor:
        shared = torch.rand(1, dtype=torch.float64, device=device)
        return (shared + torch.arange(n, dtype=torch.float64, device=device) / n) % 1.0
