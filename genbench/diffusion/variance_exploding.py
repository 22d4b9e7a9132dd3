"""The noise levels of the variance-exploding process, x0 + s eps, with variance preserved."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from genbench.diffusion.schedule import FixedSchedule, betas_of_alpha_bar

__all__ = ["VarianceExplodingSchedule"]


class VarianceExplodingSchedule(FixedSchedule):
    """alpha_bar = 1 / (1 + s^2), s = sigma_min (sigma_max / sigma_min)^((k - 1) / (T - 1)), k = 1..T.

    The source's noised image is x0 + s eps; here xt is that image over sqrt(1 + s^2), so that a network sees
    inputs of about unit variance at every level. Samplers whose steps depend on the form of the process take
    this schedule's in the source's form, see `langevin`.
    sigma_max: about the largest distance between two training images, so that the noise hides which of them
    it began with (Song & Ermon 2020, Technique 1): at most 2 sqrt(D) for images in [-1, 1]. 100 is the
    sources' 50 for CIFAR-10, whose pixels lie in [0, 1]; it leaves alpha_bar_T = 1e-4, so that N(0, I) stands
    for the last state. sigma_min: of noise that cannot be seen, in the same unit.
    Raises ValueError unless 0 < sigma_min < sigma_max.
    Source: Song et al. 2021 (score SDE), Eq. 30 and Appendix C; the ratio of levels: Song & Ermon 2019.
    """

    def __init__(self, T: int = 1000, sigma_min: float = 0.01, sigma_max: float = 100.0) -> None:
        if not 0 < sigma_min < sigma_max < math.inf:
            raise ValueError(
                f"schedule.sigma_min={sigma_min}, schedule.sigma_max={sigma_max}: sigma_min must be above 0 "
                "and below sigma_max, e.g. 0.01 and 100"
            )
        self.sigma_min, self.sigma_max = sigma_min, sigma_max
        super().__init__(T)

    def betas(self) -> Tensor:
        # From the noisy end, which a grid of one step has alone.
        ends = math.log(self.sigma_max), math.log(self.sigma_min)
        s = torch.linspace(*ends, self.T, dtype=torch.float64).exp().flip(0)
        return betas_of_alpha_bar(1 / (1 + F.pad(s, (1, 0)).square()), beta_max=1.0)
