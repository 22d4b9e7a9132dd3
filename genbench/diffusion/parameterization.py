"""The quantity that the network predicts, and how x0 and eps follow from it."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from genbench.diffusion.schedule import Level

__all__ = ["X0", "EDMPreconditioning", "Eps", "Parameterization", "V"]


class Parameterization(ABC):
    """A linear function of (x0, eps) that the network predicts; abstract.

    Images are (B, C, H, W), `at` is the level of noise of xt. target, to_x0 and to_eps are inverses of each
    other at every t with 0 < alpha_bar < 1.
    """

    def network_input(self, xt: Tensor, at: Level) -> Tensor:
        """Return the input of the network for xt at its level: (B, C, H, W). By default xt itself."""
        return xt

    @abstractmethod
    def target(self, x0: Tensor, eps: Tensor, at: Level) -> Tensor:
        """Return what the network is to answer at xt = alpha x0 + sigma eps, all (B, C, H, W)."""

    @abstractmethod
    def to_x0(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        """Return the x0 that follows from the network's answer at xt: (B, C, H, W) twice -> (B, C, H, W).

        float32; not finite where alpha = 0 and x0 does not follow from the answer.
        """

    @abstractmethod
    def to_eps(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        """Return the eps that follows from the network's answer at xt: (B, C, H, W) twice -> (B, C, H, W)."""

    @abstractmethod
    def gain(self, alpha_bar: Tensor) -> Tensor:
        """|x0 - x0_hat|^2 / |target - output|^2 at the same xt, in the shape of alpha_bar.

        Infinite where x0 does not follow from the answer.
        """


class Eps(Parameterization):
    """The noise eps: x0 = (xt - sigma eps) / alpha, which needs alpha > 0 at t = 1.

    Source: Ho et al. 2020, Eq. 11 and 14.
    """

    def target(self, x0: Tensor, eps: Tensor, at: Level) -> Tensor:
        return eps

    def to_x0(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        return (xt - at.sigma * output) / at.alpha

    def to_eps(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        return output

    def gain(self, alpha_bar: Tensor) -> Tensor:
        return (1 - alpha_bar) / alpha_bar


class X0(Parameterization):
    """The data x0: eps = (xt - alpha x0) / sigma. Source: Salimans & Ho 2022, Section 4."""

    def target(self, x0: Tensor, eps: Tensor, at: Level) -> Tensor:
        return x0

    def to_x0(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        return output

    def to_eps(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        return (xt - at.alpha * output) / at.sigma

    def gain(self, alpha_bar: Tensor) -> Tensor:
        return torch.ones_like(alpha_bar)


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

    def gain(self, alpha_bar: Tensor) -> Tensor:
        return 1 - alpha_bar


class EDMPreconditioning(Parameterization):
    """x0 = c_skip y + c_out output, y = xt / alpha, s = sigma / alpha, the network sees c_in y.

    c_skip = d^2 / (s^2 + d^2), c_out = s d / sqrt(s^2 + d^2), c_in = 1 / sqrt(s^2 + d^2), d = sigma_data:
    inputs and targets of unit variance. At d = 1 it is the velocity's negative. Raises ValueError unless
    sigma_data > 0.
    Source: Karras et al. 2022, Eq. 7 and Table 1. Apart from it: written with xt = alpha y, which is finite
    at alpha = 0; the network's second input is t instead of ln(s) / 4.
    """

    def __init__(self, sigma_data: float = 0.5) -> None:
        if not sigma_data > 0:
            raise ValueError(f"parameterization.sigma_data is {sigma_data}; it must be above 0, e.g. 0.5")
        self.sigma_data = sigma_data

    def network_input(self, xt: Tensor, at: Level) -> Tensor:
        return xt / self.norm(at.alpha.square()).to(xt.dtype)

    def target(self, x0: Tensor, eps: Tensor, at: Level) -> Tensor:
        skip, out = self.coefficients(at)
        return (x0 - skip * (at.alpha * x0 + at.sigma * eps)) / out

    def to_x0(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        skip, out = self.coefficients(at)
        return skip * xt + out * output

    def to_eps(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        # By way of x0: its own formula would divide by alpha.
        return X0().to_eps(self.to_x0(output, xt, at), xt, at)

    def gain(self, alpha_bar: Tensor) -> Tensor:
        return (1 - alpha_bar) * self.sigma_data**2 / self.norm(alpha_bar).square()

    def coefficients(self, at: Level) -> tuple[Tensor, Tensor]:
        """Return the factors of xt and of the answer in x0: c_skip / alpha and c_out, (B, 1, 1, 1) each."""
        # c_skip / alpha = d^2 alpha / (sigma^2 + alpha^2 d^2), c_out = sigma d / sqrt(sigma^2 + alpha^2 d^2).
        norm = self.norm(at.alpha.square())
        return self.sigma_data**2 * at.alpha / norm.square(), at.sigma * self.sigma_data / norm

    def norm(self, alpha_bar: Tensor) -> Tensor:
        """The standard deviation of xt, sqrt(sigma^2 + alpha^2 d^2), in the shape of alpha_bar."""
        return (1 - alpha_bar + alpha_bar * self.sigma_data**2).sqrt()
