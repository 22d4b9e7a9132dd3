"""The times at which straight paths are trained: distributions over (0, 1) without a grid."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from genbench.diffusion.times import lattice
from genbench.runtime import global_batch

__all__ = ["LogitNormal", "PathTimes", "StratifiedPathTimes"]


class PathTimes(ABC):
    """A distribution of training times in (0, 1) for flow matching and consistency training; abstract.

    Times are not weighted: the distribution is part of the loss. Those on a schedule's grid are in `times`.
    """

    @abstractmethod
    def draw(self, n: int, device: torch.device) -> Tensor:
        """Draw n times, one for each image of a batch, from torch's default generator: (n,) float64."""

    def draw_alone(self, n: int, device: torch.device) -> Tensor:
        """Draw n times of which none depends on another, for a second time of each image: (n,) float64."""
        return self.draw(n, device)


class StratifiedPathTimes(PathTimes):
    """Uniform times t_i = (u + i / n) mod 1, one shared u: the batch covers [0, 1) evenly.

    Source: Kingma et al. 2021, Appendix I.1.
    """

    def draw(self, n: int, device: torch.device) -> Tensor:
        return lattice(n, device)

    def draw_alone(self, n: int, device: torch.device) -> Tensor:
        return global_batch.uniform(n, dtype=torch.float64, device=device)


class LogitNormal(PathTimes):
    """t = sigmoid(z), z ~ N(mean, std^2): most times in the middle, where velocities are hardest to predict.

    Raises ValueError unless std > 0.
    Source: Esser et al. 2024, Eq. 19, whose time runs the same way as ours (0 is data).
    """

    def __init__(self, mean: float = 0.0, std: float = 1.0) -> None:
        if not std > 0:
            raise ValueError(f"times.std is {std}; it must be above 0, e.g. 1.0")
        self.mean, self.std = mean, std

    def draw(self, n: int, device: torch.device) -> Tensor:
        z = global_batch.normal(n, dtype=torch.float64, device=device)
        return torch.sigmoid(self.mean + self.std * z)
