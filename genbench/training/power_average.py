"""Averages of weights by a power of time, and the mixture of stored ones that makes an average of any length
after the training (EMA afterwards).

An average of exponent gamma at time t is (gamma + 1) / t^(gamma + 1) int_0^t tau^gamma w(tau) dtau: the
weight of an instant is a profile of the same shape at every t. Times are images seen.
Source: Karras et al. 2024 (Analyzing and Improving the Training Dynamics of Diffusion Models), Section 3 and
Appendix C.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = ["LONGEST", "STDS", "Mixture", "Profile", "exponent_of", "mixture", "share_of_step", "std_of"]

STDS = (0.05, 0.10)
"""Standard deviations of the averages that a training stores, as shares of it: the source's two."""
LONGEST = math.sqrt(1 / 12)
"""Relative standard deviation of the plain mean of all weights, gamma = 0: 0.288675."""
SMALLEST = 1e-12  # relative eigenvalue of inner products below which a direction is rounding


class Profile(NamedTuple):
    """The weights that an average gives to the instants up to its time: (gamma + 1) tau^gamma / t^(gamma + 1)
    for tau from 0 to t.
    """

    t: float
    gamma: float


class Mixture(NamedTuple):
    """A sum of stored averages that stands for another average: a weight for each, which sum to 1."""

    weights: Tensor
    """The weight of each snapshot in the mixture, (n,) float64; they sum to 1."""
    error: float
    """L2 distance of the sum's profile from the one asked for, divided by the norm of that one."""


def std_of(gamma: float) -> float:
    """Return the standard deviation of a profile of exponent gamma >= 0, as a share of the training:
    sqrt(gamma + 1) / ((gamma + 2) sqrt(gamma + 3)), 0.10 for 6.94 and 0.05 for 16.97. Source: Section 3.1.
    """
    return math.sqrt((gamma + 1) / (gamma + 3)) / (gamma + 2)


def exponent_of(std: float) -> float:
    """Return the exponent gamma >= 0 of a profile by its standard deviation as a share of the training.

    It is the largest root of (gamma + 2)^2 (gamma + 3) = (gamma + 1) / std^2. Raises ValueError unless std is
    above 0 and at most 0.2886, about that of the plain mean over the whole training. Source: Appendix C.
    """
    if not 0 < std <= LONGEST:
        raise ValueError(
            f"a standard deviation is {std:g}; it must be above 0 and at most 0.2886, the plain mean of the "
            "weights of the whole training, e.g. 0.1"
        )
    inverse = std**-2
    return max(float(np.roots([1, 7, 16 - inverse, 12 - inverse]).real.max()), 0.0)


def share_of_step(gamma: float, *, images: int, images_seen: int) -> float:
    """Return the share by which an average moves towards the weights in a step of `images` images, the last
    of `images_seen`: 1 - (1 - images / images_seen)^(gamma + 1).

    So the average is that of a path that is constant within each step, exactly; the first step sets it to
    the weights. Source: Section 3.1, where all steps have the same size.
    """
    return 1 - (1 - images / images_seen) ** (gamma + 1)


def inner_product(one: Profile, other: Profile) -> float:
    """Compute the integral of the product of two profiles over time. Source: Appendix C."""
    first, last = sorted((one, other))
    scale = (first.gamma + 1) * (last.gamma + 1) / (first.gamma + last.gamma + 1)
    return scale * (first.t / last.t) ** last.gamma / last.t


def mixture(stored: Sequence[Profile], wanted: Profile) -> Mixture:
    """Return the sum of stored averages whose profile is nearest to another one in the L2 norm, among those
    whose weights sum to 1; so an average of weights that never moved is these weights.

    stored: in any order, at least one; wanted: at the time of the last of them, as a rule. Source: Section
    3.2 and Appendix C, without the condition on the sum, which is held by Lagrange's multiplier here.
    """
    # Times as shares of the last one: the inner products then differ by the ratio of times alone.
    unit = wanted.t
    stored, wanted = [Profile(t / unit, gamma) for t, gamma in stored], Profile(1.0, wanted.gamma)
    products = torch.tensor([[inner_product(a, b) for b in stored] for a in stored], dtype=torch.float64)
    to_wanted = torch.tensor([inner_product(a, wanted) for a in stored], dtype=torch.float64)
    ones = torch.ones_like(to_wanted)
    inverse = torch.linalg.pinv(products, rtol=SMALLEST, hermitian=True)
    free, along = inverse @ to_wanted, inverse @ ones
    weights = free + (1 - free.sum()) / along.sum() * along
    norm = inner_product(wanted, wanted)
    squared = norm - 2 * weights @ to_wanted + weights @ products @ weights
    return Mixture(weights / weights.sum(), math.sqrt(max(float(squared), 0.0) / norm))
