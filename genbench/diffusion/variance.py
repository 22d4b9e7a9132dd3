"""How noisy a reverse step is, between beta and beta~."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

__all__ = ["Beta", "BetaTilde", "Learned", "Variance"]


class Variance(ABC):
    """log variance = v log beta + (1 - v) log beta~; v is a number, or the network answers it."""

    answers: int = 1
    """Channels of the network's answer for each channel of the image."""

    @abstractmethod
    def split(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """The answer for the image (B, C, H, W), and v, from the network's (B, answers * C, H, W)."""


class BetaTilde(Variance):
    """The posterior's own variance, right for data of a single point. Source: Ho et al. 2020, Section 3.2."""

    def split(self, output: Tensor) -> tuple[Tensor, Tensor]:
        return output, torch.zeros((), dtype=torch.float64, device=output.device)


class Beta(Variance):
    """The forward step's variance, right for data that are N(0, I). Source: Ho et al. 2020, Section 3.2."""

    def split(self, output: Tensor) -> tuple[Tensor, Tensor]:
        return output, torch.ones((), dtype=torch.float64, device=output.device)


class Learned(Variance):
    """v = (raw + 1) / 2, raw being the second half of the network's channels.

    answers: what the network has to be built with; a key of the configuration, so that networks can refer to
    it.
    Source: Nichol & Dhariwal 2021, Eq. 15.
    """

    def __init__(self, answers: int = 2) -> None:
        if answers != 2:
            raise ValueError(f"variance.answers is {answers}; the network answers 2: the image and v")
        self.answers = answers

    def split(self, output: Tensor) -> tuple[Tensor, Tensor]:
        image, raw = output.chunk(2, dim=1)
        return image, (raw + 1) / 2
