"""The forward process run backwards when x0 is known: q(x_s | x_t, x0) for s < t."""

from typing import NamedTuple

from torch import Tensor

__all__ = ["Posterior", "posterior"]


class Posterior(NamedTuple):
    """A Gaussian over x_s: mean = of_x0 * x0 + of_xt * xt, and two readings of its variance.

    All in the shape and dtype of the alpha_bars that they come from.
    """

    of_x0: Tensor
    of_xt: Tensor
    beta: Tensor
    """1 - alpha_bar_t / alpha_bar_s: the variance of the forward step, the upper choice for the reverse."""
    beta_tilde: Tensor
    """The posterior's own variance, the lower choice."""

    def variance(self, v: Tensor) -> Tensor:
        """Between the two readings: exp(v log beta + (1 - v) log beta~), for v () or (B, C, H, W).

        Source: Nichol & Dhariwal 2021, Eq. 15.
        """
        return self.beta**v * self.beta_tilde ** (1 - v)


def posterior(alpha_bar_t: Tensor, alpha_bar_s: Tensor) -> Posterior:
    """Coefficients of q(x_s | x_t, x0), any s < t on the grid (neighbours give the paper's formula).

    mu~ = beta sqrt(ab_s) / (1 - ab_t) x0 + (1 - ab_s) sqrt(1 - beta) / (1 - ab_t) xt,
    beta~ = beta (1 - ab_s) / (1 - ab_t), beta = 1 - ab_t / ab_s.
    Source: Ho et al. 2020, Eq. 7.
    """
    beta = 1 - alpha_bar_t / alpha_bar_s
    of_x0 = beta * alpha_bar_s.sqrt() / (1 - alpha_bar_t)
    of_xt = (1 - alpha_bar_s) * (1 - beta).sqrt() / (1 - alpha_bar_t)
    return Posterior(of_x0, of_xt, beta, beta * (1 - alpha_bar_s) / (1 - alpha_bar_t))
