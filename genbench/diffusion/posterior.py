"""The forward process run backwards, q(x_s | x_t, x0) for s < t, where x0 is known or estimated."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

__all__ = ["Interpolated", "Posterior", "ReverseVariance", "Widened", "posterior"]


class Posterior(NamedTuple):
    """The Gaussian q(x_s | x_t, x0): mean = of_x0 * x0 + of_xt * xt, and two choices of its variance.

    All in the shape and dtype of the alpha_bars that they are computed from.
    """

    of_x0: Tensor
    of_xt: Tensor
    beta: Tensor
    """1 - alpha_bar_t / alpha_bar_s: the variance of the forward step, the upper choice for the reverse."""
    beta_tilde: Tensor
    """The posterior's own variance, the lower choice."""


class ReverseVariance(ABC):
    """The variance of p(x_s | x_t) for any s < t, from a model evaluated at (x_t, t); abstract.

    It is a function of the posterior and not a number, so that samplers may take steps of any length.
    """

    @abstractmethod
    def log(self, q: Posterior) -> Tensor:
        """Compute the log variance of the step whose posterior is q.

        float64, in a shape that broadcasts to x_t's. Not finite at s = 0, where beta~ is 0, unless widened.
        """

    def rows(self, which: slice) -> "ReverseVariance":
        """Return the variance of some of the images; by default itself, being the same for all."""
        return self


@dataclass(frozen=True)
class Interpolated(ReverseVariance):
    """log variance = v log beta + (1 - v) log beta~, v () or (B, C, H, W): 0 is beta~, 1 is beta.

    Source: Nichol & Dhariwal 2021, Eq. 15.
    """

    v: Tensor

    def log(self, q: Posterior) -> Tensor:
        return self.v * q.beta.log() + (1 - self.v) * q.beta_tilde.log()

    def rows(self, which: slice) -> "Interpolated":
        return Interpolated(some(self.v, which))


@dataclass(frozen=True)
class Widened(ReverseVariance):
    """variance = beta~ + of_x0^2 m, m () or (B, 1, 1, 1): m is the mean squared error of x0_hat at x_t.

    The variance, constant over pixels, of the least KL(q || p), at every s: E[KL] of a pixel is
    (log(var / beta~) + (beta~ + of_x0^2 m) / var - 1) / 2. m = 0 is beta~, and m = 1 - alpha_bar_t beta.
    Source: Bao et al. 2022 (Analytic-DPM), Theorem 1, with the error of x0_hat for its norm of the score.
    """

    m: Tensor

    def log(self, q: Posterior) -> Tensor:
        return (q.beta_tilde + q.of_x0.square() * self.m).log()

    def rows(self, which: slice) -> "Widened":
        return Widened(some(self.m, which))


def some(values: Tensor, which: slice) -> Tensor:
    """Return the values of some images, (B, ..) -> (n, ..); values () or of one row are of all images."""
    return values[which] if values.dim() and len(values) > 1 else values


def posterior(alpha_bar_t: Tensor, alpha_bar_s: Tensor) -> Posterior:
    """Compute q(x_s | x_t, x0) for any s < t on the grid (neighbours give the paper's formula).

    mu~ = beta sqrt(ab_s) / (1 - ab_t) x0 + (1 - ab_s) sqrt(1 - beta) / (1 - ab_t) xt,
    beta~ = beta (1 - ab_s) / (1 - ab_t), beta = 1 - ab_t / ab_s.
    The alpha_bars are float64 of any one shape, which the answer has too.
    Source: Ho et al. 2020, Eq. 7.
    """
    beta = 1 - alpha_bar_t / alpha_bar_s
    of_x0 = beta * alpha_bar_s.sqrt() / (1 - alpha_bar_t)
    of_xt = (1 - alpha_bar_s) * (1 - beta).sqrt() / (1 - alpha_bar_t)
    return Posterior(of_x0, of_xt, beta, beta * (1 - alpha_bar_s) / (1 - alpha_bar_t))
