"""Weights of the distance between answers and targets at each level of noise.

A weight w on |x0 - x0_hat|^2 is the weight w * gain on the squared distance of answer and target, gain being
the parameterization's.
"""

from abc import ABC, abstractmethod

from torch import Tensor

from genbench.diffusion.parameterization import Parameterization
from genbench.diffusion.posterior import posterior
from genbench.diffusion.schedule import Schedule

__all__ = ["MinSNR", "OfNoise", "TrueBound", "Unweighted", "Weighting"]


class Weighting(ABC):
    """A weight of the loss for each image, given the time at which it was noised; abstract.

    It decides which levels of noise the network learns best; at each level the optimum is the same.
    """

    @abstractmethod
    def __call__(self, t: Tensor, schedule: Schedule, parameterization: Parameterization) -> Tensor:
        """Compute the weight of |target - output|^2 at times t: (B,) -> (B, 1, 1, 1) float32.

        parameterization: its gain_of_step turns a weight of x0 into one of its target.
        """

    def scale(self, t: Tensor, schedule: Schedule, parameterization: Parameterization) -> Tensor | None:
        """Compute the factor of target and output before their distance is taken: (B,) -> (B, 1, 1, 1).

        float32; None, by default, is a factor of 1. Unlike a weight, it also holds for distances that are no
        squares, such as l1.
        """
        return None


class Unweighted(Weighting):
    """Weight 1 on the distance of the network's own answer, whatever it parameterizes: L_simple.

    Source: Ho et al. 2020, Eq. 14.
    """

    def __call__(self, t: Tensor, schedule: Schedule, parameterization: Parameterization) -> Tensor:
        return t.new_ones(len(t), 1, 1, 1).float()


class OfNoise(Weighting):
    """The distance of the noise eps, whatever the network predicts: L_simple in every parameterization.

    Target and output are scaled by sqrt(gain SNR), SNR = alpha_bar / (1 - alpha_bar), before any distance:
    |target - output|^2 gets the weight 1 for eps, sigma^2 for the score, SNR for x0, alpha^2 for v, and
    SNR / c_0^2 for the mean, and l1 and huber are those of eps too.
    Source: Ho et al. 2020, Eq. 14; for the score lambda(t) = sigma^2 of Song & Ermon 2019, Section 4.2.
    """

    def __call__(self, t: Tensor, schedule: Schedule, parameterization: Parameterization) -> Tensor:
        return t.new_ones(len(t), 1, 1, 1).float()

    def scale(self, t: Tensor, schedule: Schedule, parameterization: Parameterization) -> Tensor | None:
        ab_t, ab_s = schedule.around(t)
        return (parameterization.gain_of_step(ab_t, ab_s) * ab_t / (1 - ab_t)).sqrt().float()


class MinSNR(Weighting):
    """min(SNR, gamma) on the distance of x0, SNR = alpha_bar / (1 - alpha_bar).

    Raises ValueError unless gamma > 0. Source: Hang et al. 2023, Section 3.4 (gamma = 5).
    """

    def __init__(self, gamma: float = 5.0) -> None:
        if not gamma > 0:
            raise ValueError(f"weighting.gamma is {gamma}; it must be above 0, e.g. 5")
        self.gamma = gamma

    def __call__(self, t: Tensor, schedule: Schedule, parameterization: Parameterization) -> Tensor:
        ab_t, ab_s = schedule.around(t)
        snr = ab_t / (1 - ab_t)
        return (snr.clamp(max=self.gamma) * parameterization.gain_of_step(ab_t, ab_s)).float()


class TrueBound(Weighting):
    """The bound's own weight: (of_x0)^2 / (2 beta~) on x0, beta^2 / (2 beta~ alpha_k (1 - alpha_bar)) on eps.

    alpha_k = 1 - beta_k. The loss is then in nats a dimension and step; beta~_1 = 0 is replaced by beta_1.
    Source: Ho et al. 2020, Eq. 12.
    """

    def __call__(self, t: Tensor, schedule: Schedule, parameterization: Parameterization) -> Tensor:
        ab_t, ab_s = schedule.around(t)
        q = posterior(ab_t, ab_s)
        # At the first step beta~ is 0, and the weight would be infinite.
        variance = q.beta_tilde.where(ab_s < 1, q.beta)
        return (q.of_x0.square() / (2 * variance) * parameterization.gain_of_step(ab_t, ab_s)).float()
