"""Log-probability of an image in nats -> bits per dimension; the one place that converts, so that all tables
and all likelihood models agree on the unit.
"""

import math

__all__ = ["bits_per_dim"]


def bits_per_dim(log_prob: float, dimensions: int) -> float:
    """Bits that a model needs for each of an image's D = C H W bytes; a uniform model needs 8.

    bits = -log p(x) / (D ln 2), log_prob in nats.
    Source: Theis et al. 2016, Section 3.1.
    """
    return -log_prob / (dimensions * math.log(2))
