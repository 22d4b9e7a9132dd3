"""How much each level of noise counts in the distance between answers and targets.

A weight w on |x0 - x0_hat|^2 is the weight w * gain on the squared distance of answer and target, gain being
the parameterization's.
"""

from abc import ABC, abstractmethod

from torch import Tensor

from genbench.diffusion.parameterization import Parameterization
from genbench.diffusion.posterior import posterior
from genbench.diffusion.schedule import Schedule

__all__ = ["MinSNR", "Plain", "TrueBound", "Weighting"]


class Weighting(ABC):
    """A weight for each image, given the time at which it was noised."""

    @abstractmethod
    def __call__(self, t: Tensor, schedule: Schedule, parameterization: Parameterization) -> Tensor:
        """Weights at times t (B,): (B, 1, 1, 1) float32."""


class Plain(Weighting):
    """1: each answer's own distance, L_simple. Source: Ho et al. 2020, Eq. 14."""

    def __call__(self, t: Tensor, schedule: Schedule, parameterization: Parameterization) -> Tensor:
        return t.new_ones(len(t), 1, 1, 1).float()


class MinSNR(Weighting):
    """min(SNR, gamma) on the distance of x0, SNR = alpha_bar / (1 - alpha_bar).

    Source: Hang et al. 2023, Section 3.4 (gamma = 5).
    """

    def __init__(self, gamma: float = 5.0) -> None:
        if not gamma > 0:
            raise ValueError(f"weighting.gamma is {gamma}; it must be above 0, e.g. 5")
        self.gamma = gamma

    def __call__(self, t: Tensor, schedule: Schedule, parameterization: Parameterization) -> Tensor:
        alpha_bar = schedule.alpha_bar(t)[:, None, None, None]
        snr = alpha_bar / (1 - alpha_bar)
        return (snr.clamp(max=self.gamma) * parameterization.gain(alpha_bar)).float()


class TrueBound(Weighting):
    """The bound's own: (of_x0)^2 / (2 beta~) on x0, or beta^2 / (2 beta~ alpha_k (1 - alpha_bar)) on eps.

    Nats a dimension and step; beta~_1 = 0 is replaced by beta_1. Source: Ho et al. 2020, Eq. 12.
    """

    def __call__(self, t: Tensor, schedule: Schedule, parameterization: Parameterization) -> Tensor:
        ab_t, ab_s = schedule.around(t)
        q = posterior(ab_t, ab_s)
        variance = q.beta_tilde.where(ab_s < 1, q.beta)
        return (q.of_x0.square() / (2 * variance) * parameterization.gain(ab_t)).float()
