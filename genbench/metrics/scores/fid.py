"""The Frechet distance of features (FID) as a score."""

from genbench.metrics.reference import Reference
from genbench.metrics.scores.frechet import frechet_distance, frechet_influences
from genbench.metrics.scores.interval import Influences, on_roots
from genbench.metrics.scores.score import Distance, Drawn
from genbench.records.metric_kinds import KINDS

__all__ = ["FID"]


class FID(Distance):
    """FID between Gaussians with the moments of all samples and of all images of a split.

    Biased upwards by an amount that falls as 1/n, so it compares at equal n alone; `fid_inf` has no such bias
    to first order. Source: Heusel et al. 2017.
    """

    key = "fid"
    kinds = (KINDS["fid"],)

    def distance(self, drawn: Drawn, reference: Reference) -> dict[str, float]:
        value = frechet_distance(drawn.moments, reference.moments)
        influences = frechet_influences(drawn.features, drawn.moments, reference.moments)
        # On the scale of roots, since a squared distance is never below 0.
        name = drawn.name("fid", ref=reference.split)
        return drawn.scored(name, value, influences=Influences(influences, scale=on_roots))
