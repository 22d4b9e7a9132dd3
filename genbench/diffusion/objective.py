"""What a diffusion model minimises, image by image."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor

from genbench.diffusion.bound import prior_nats, step_nats
from genbench.diffusion.posterior import ReverseVariance
from genbench.diffusion.schedule import Schedule
from genbench.probability import distance

__all__ = ["L1", "L2", "VLB", "Case", "Huber", "Hybrid", "Objective", "Simple"]


class Case(NamedTuple):
    """Noised images with what the network made of them; images are (B, C, H, W)."""

    x0: Tensor
    xt: Tensor
    t: Tensor
    """(B,) float64."""
    target: Tensor
    output: Tensor
    x0_hat: Tensor
    """The x0 that the output stands for."""
    variance: ReverseVariance
    """Of the reverse step from xt."""
    weight: Tensor
    """Of the distance between output and target, (B, 1, 1, 1)."""


class Objective(ABC):
    """A loss of each image; what is minimised is the sum of its terms."""

    weighted: bool = False
    """Whether a weighting of the distance to the target says anything."""
    learns_variance: bool = False
    """Whether a learned variance of the reverse step would receive gradient."""
    wants_variance: bool = False
    """Whether there is no point in it but to learn one."""

    @abstractmethod
    def terms(self, case: Case, schedule: Schedule) -> dict[str, Tensor]:
        """Parts of the loss under stable names, (B,) float32 each."""


class Simple(Objective, distance.Distance):
    """A distance between the network's answer and its target, averaged over the D dimensions of an image."""

    weighted = True

    def terms(self, case: Case, schedule: Schedule) -> dict[str, Tensor]:
        return {"simple": self(case.output, case.target, weight=case.weight)}


class L1(Simple, distance.L1):
    """Absolute error of the network's answer, see `probability.distance.L1`."""


class L2(Simple, distance.L2):
    """Squared error of the network's answer, L_simple of Ho et al. 2020, Eq. 14."""


class Huber(Simple, distance.Huber):
    """Huber loss of the network's answer, see `probability.distance.Huber`."""


class VLB(Objective):
    """The variational bound -log p(x) <= L_T + sum_t L_{t-1} in nats a dimension: L_T + T L_{t-1} at one t.

    Source: Ho et al. 2020, Eq. 5; one sampled term for the sum: Nichol & Dhariwal 2021, Section 3.3.
    """

    learns_variance = True

    def terms(self, case: Case, schedule: Schedule) -> dict[str, Tensor]:
        dimensions = case.x0[0].numel()
        steps = step_nats(case.x0, case.xt, case.x0_hat, case.variance, case.t, schedule)
        return {
            "prior": prior_nats(case.x0, schedule) / dimensions,
            "vlb": schedule.T * steps / dimensions,
        }


class Hybrid(Objective):
    """L_simple + scale * sum_t L_{t-1}, whose second part trains the variance alone: its mean is detached.

    The sum over T steps is T times the term at one t, in nats a dimension; so T = 4000 weighs it four times
    as T = 1000 does. The authors' code takes bits for nats. (Implementations that leave out T weigh it a
    thousandth of that.)
    Source: Nichol & Dhariwal 2021, Eq. 16 and Section 3.1 (scale = 0.001).
    """

    weighted = True
    learns_variance = True
    wants_variance = True

    def __init__(self, scale: float = 0.001, distance: Simple | None = None) -> None:
        if not scale > 0:
            raise ValueError(f"loss.scale is {scale}; it must be above 0, e.g. 0.001")
        self.scale, self.distance = scale, distance or L2()

    def terms(self, case: Case, schedule: Schedule) -> dict[str, Tensor]:
        steps = step_nats(case.x0, case.xt, case.x0_hat.detach(), case.variance, case.t, schedule)
        return {
            **self.distance.terms(case, schedule),
            "vlb": self.scale * schedule.T * steps / case.x0[0].numel(),
        }
