"""What the network predicts, and how x0 and eps follow from it."""

from abc import ABC, abstractmethod

from torch import Tensor

from genbench.diffusion.schedule import Level

__all__ = ["X0", "Eps", "Parameterization", "V"]


class Parameterization(ABC):
    """A linear code of (x0, eps): images are (B, C, H, W), `at` is the level of noise of xt.

    target, to_x0 and to_eps are inverses of each other at every t with 0 < alpha_bar < 1.
    """

    @abstractmethod
    def target(self, x0: Tensor, eps: Tensor, at: Level) -> Tensor:
        """What the network should answer at xt = alpha x0 + sigma eps."""

    @abstractmethod
    def to_x0(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        """The x0 that the network's answer at xt stands for."""

    @abstractmethod
    def to_eps(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        """The eps that the network's answer at xt stands for."""


class Eps(Parameterization):
    """The noise: x0 = (xt - sigma eps) / alpha.

    Source: Ho et al. 2020, Eq. 11 and 14.
    """

    def target(self, x0: Tensor, eps: Tensor, at: Level) -> Tensor:
        return eps

    def to_x0(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        return (xt - at.sigma * output) / at.alpha

    def to_eps(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        return output


class X0(Parameterization):
    """The data: eps = (xt - alpha x0) / sigma."""

    def target(self, x0: Tensor, eps: Tensor, at: Level) -> Tensor:
        return x0

    def to_x0(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        return output

    def to_eps(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        return (xt - at.alpha * output) / at.sigma


class V(Parameterization):
    """The velocity v = alpha eps - sigma x0: x0 = alpha xt - sigma v, eps = sigma xt + alpha v.

    Source: Salimans & Ho 2022, Section 4 and Appendix D.
    """

    def target(self, x0: Tensor, eps: Tensor, at: Level) -> Tensor:
        return at.alpha * eps - at.sigma * x0

    def to_x0(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        return at.alpha * xt - at.sigma * output

    def to_eps(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        return at.sigma * xt + at.alpha * output
