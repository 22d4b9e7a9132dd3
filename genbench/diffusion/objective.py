"""The losses of diffusion models, image by image."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor

from genbench.diffusion.bound import prior_nats, step_nats
from genbench.diffusion.posterior import ReverseVariance
from genbench.diffusion.schedule import Schedule
from genbench.probability import distance

__all__ = ["L1", "L2", "VLB", "Case", "Huber", "Hybrid", "Objective", "Simple"]


class Case(NamedTuple):
    """A batch of noised images with the network's answers, all that a loss can depend on.

    Images are (B, C, H, W); x0, xt and target carry no gradient.
    """

    x0: Tensor
    xt: Tensor
    t: Tensor
    """(B,) float64."""
    target: Tensor
    """The answer that the network is trained towards, in the unit of the weighting."""
    output: Tensor
    """The answer of the network for xt, in the same unit."""
    x0_hat: Tensor
    """The estimate of x0 that follows from the output."""
    variance: ReverseVariance
    """Of the reverse step from xt."""
    weight: Tensor
    """The factor of the distance between output and target, (B, 1, 1, 1) float32."""


class Objective(ABC):
    """A loss of each image, the sum of its terms; abstract.

    The three flags let a process refuse compositions in which a part would have no effect.
    """

    weighted: bool = False
    """True where it depends on the weight of the distance between output and target."""
    learns_variance: bool = False
    """True where a learned variance of the reverse step receives gradient."""
    wants_variance: bool = False
    """True where its terms beyond the distance serve a learned variance alone."""

    @abstractmethod
    def terms(self, case: Case, schedule: Schedule) -> dict[str, Tensor]:
        """Compute the terms of the loss under stable names: (B,) float32 each, averaged over D.

        Their sum, with the importance weights of the times, is what training minimises.
        """


class Simple(Objective, distance.PixelDistance):
    """E distance(output, target), of the network's answer from its target, averaged over D; abstract.

    L_simple of Ho et al. 2020 where the distance is l2; a subclass takes one from probability.distance.
    """

    weighted = True

    def terms(self, case: Case, schedule: Schedule) -> dict[str, Tensor]:
        return {"simple": self(case.output, case.target, weight=case.weight)}


class L1(Simple, distance.L1Distance):
    """Absolute error |output - target| of the network's answer, averaged over D and weighted."""


class L2(Simple, distance.L2Distance):
    """Squared error (output - target)^2 of the network's answer, L_simple of Ho et al. 2020, Eq. 14."""


class Huber(Simple, distance.HuberDistance):
    """Huber loss of the network's answer: r^2 / 2 where |r| <= delta, delta (|r| - delta / 2) beyond."""


class VLB(Objective):
    """The variational bound -log p(x) <= L_T + sum_t L_{t-1} in nats a dimension: L_T + T L_{t-1} at one t.

    It trains mean and variance of the reverse step, and a learned schedule.
    Source: Ho et al. 2020, Eq. 5; one sampled term for the sum: Nichol & Dhariwal 2021, Section 3.3.
    """

    learns_variance = True

    def terms(self, case: Case, schedule: Schedule) -> dict[str, Tensor]:
        dimensions = case.x0[0].numel()
        # One sampled term, times T, stands for the sum over all steps.
        steps = step_nats(case.x0, case.xt, case.x0_hat, case.variance, case.t, schedule)
        return {
            "prior": prior_nats(case.x0, schedule) / dimensions,
            "vlb": schedule.T * steps / dimensions,
        }


class Hybrid(Objective):
    """L_simple + scale * sum_t L_{t-1}, whose second part trains the variance alone: its mean is detached.

    The sum over T steps is T times the term at one t, in nats a dimension; so T = 4000 weighs it four times
    as T = 1000 does. The authors' code takes bits for nats. (Implementations that leave out T weigh it a
    thousandth of that.) distance: L_simple, l2 where None. Raises ValueError unless scale > 0.
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
        # Detached: the bound must not pull the mean, which L_simple trains better.
        steps = step_nats(case.x0, case.xt, case.x0_hat.detach(), case.variance, case.t, schedule)
        return {
            **self.distance.terms(case, schedule),
            "vlb": self.scale * schedule.T * steps / case.x0[0].numel(),
        }
