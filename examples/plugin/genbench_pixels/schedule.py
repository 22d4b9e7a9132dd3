"""A noise schedule whose betas rise as a square."""

import torch
from torch import Tensor

from genbench.diffusion.schedule import FixedSchedule

__all__ = ["Square"]


class Square(FixedSchedule):
    """beta_k = 40 / T (k / T)^2, k = 1..T: little noise at first, and alpha_bar_T = e^(-40/3) as T grows."""

    def betas(self) -> Tensor:
        """Return the betas of all steps, (T,) float64."""
        return 40 / self.T * (torch.arange(1, self.T + 1, dtype=torch.float64) / self.T).square()
