"""Scores of images whose distribution is known: modes reached, their frequencies, likelihood."""

from collections.abc import Sequence

import torch
from torch import Tensor

from genbench.data import ImageSource, KnownDistribution
from genbench.metrics.bits import bits_per_dim
from genbench.metrics.reference import Reference
from genbench.metrics.scores.score import Drawn, Score
from genbench.records.metric_kinds import KINDS

__all__ = ["Modes", "coverage", "modes_of", "total_variation"]


class Modes(Score):
    """Modes and likelihood of at most 10,000 samples; no values where the data's distribution is not known.

    modes: share of the distribution's modes that at least one sample lies on.
    mode_tv: total variation between the samples' frequencies of the modes, where one on no mode counts in
    full, and the modes' true weights.
    off_law: share of samples less likely than all but a share `tail` of images drawn from the distribution.
    law_bits: -log2 p(u) / D, the mean over samples: the entropy for images of the distribution, less for
    images that are too smooth.
    Raises ValueError on settings under which no image, or each, counts as off the distribution.
    """

    key = "modes"
    kinds = (KINDS["modes"], KINDS["mode_tv"], KINDS["off_law"], KINDS["law_bits"])
    on_features = False

    def __init__(self, radius: float = 2.0, tail: float = 1e-3) -> None:
        if not radius > 0:
            raise ValueError(f"scores.modes.radius is {radius}; it must be above 0")
        if not 0 < tail < 1:
            raise ValueError(f"scores.modes.tail is {tail}; it must lie between 0 and 1")
        self.radius, self.tail = radius, tail

    def lacks(self, source: ImageSource, *, conditional: bool) -> str | None:
        return None if source.distribution is not None else "a known distribution, which data=gaussians has"

    def compute(self, drawn: Drawn, references: Sequence[Reference]) -> dict[str, float]:
        known = references[0].distribution if references else None
        if known is None:
            return {}
        modes = modes_of(drawn.images, known, radius=self.radius)
        log_prob = known.log_prob(drawn.images)
        off = log_prob < known.quantile(self.tail)
        # Each sample's own bits, whose mean is the value, so that its interval follows from them.
        bits = torch.tensor([bits_per_dim(nats, known.dimensions) for nats in log_prob.tolist()])
        found = {
            "modes": (coverage(modes, known), None),
            "mode_tv": (total_variation(modes, known), None),
            "off_law": (float(off.double().mean()), off),
            "law_bits": (float(bits.double().mean()), bits),
        }
        place, n = f"law-{known.key[:8]}", len(drawn.images)
        scores: dict[str, float] = {}
        for kind, (value, each) in found.items():
            scores |= drawn.scored(drawn.name(kind, ref=None, n=n, protocol=place), value, influences=each)
        return scores


def modes_of(images: Tensor, distribution: KnownDistribution, *, radius: float = 2.0) -> Tensor:
    """Find the mode that each image (n, ..) uint8 lies on, -1 for none: (n,) int64.

    m = argmax_m p(m | u)  where  |u - mu_m|^2 <= radius^2 E|u - mu_m|^2, the expectation over images of m.
    The standard deviation of the distance of such images is only 1 / sqrt(2 D) of the distance, so a radius
    of 2 loses none, and allows an error of sqrt 3 times their noise.
    Source: Srivastava et al. 2017 (VEEGAN), who take three standard deviations in two dimensions.
    """
    nearest = distribution.log_modes(images).argmax(1)
    squares = (images.flatten(1).cpu().double() - distribution.means[nearest]).square().sum(1)
    on = squares <= radius**2 * distribution.variances[nearest].sum(1)
    return torch.where(on, nearest, -1)


def coverage(modes: Tensor, distribution: KnownDistribution) -> float:
    """Share of the distribution's modes that occur among modes (n,), where -1 stands for none: in [0, 1], and
    1 where every mode was reached by at least one image.
    """
    return len(modes[modes >= 0].unique()) / len(distribution.weights)


def total_variation(modes: Tensor, distribution: KnownDistribution) -> float:
    """(sum_m |n_m / n - w_m| + n_none / n) / 2 of modes (n,): 0 at the true weights w_m, 1 where no image
    lies on a mode. Sampling noise puts it above 0 at any n: compare with real images.
    """
    counts = torch.bincount(modes + 1, minlength=len(distribution.weights) + 1)  # of none, then of each
    weights = torch.cat([torch.zeros(1, dtype=torch.float64), distribution.weights])
    return float((counts / len(modes) - weights).abs().sum()) / 2
