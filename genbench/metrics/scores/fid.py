"""The Frechet distance of features (FID) as a score."""

from genbench.metrics.reference import Reference
from genbench.metrics.scores.frechet import Moments, frechet_distance, frechet_influences
from genbench.metrics.scores.interval import Influences, on_roots
from genbench.metrics.scores.score import Distance, Drawn
from genbench.records.metric_kinds import KINDS

__all__ = ["FID"]


class FID(Distance):
    """FID between Gaussians with the moments of all samples and of all images of a split.

    Biased upwards by an amount that falls as 1/n, so compare only runs with the same n; `fid_inf` has no
    such bias to first order. Source: Heusel et al. 2017.
    """

    key = "fid"
    kinds = (KINDS["fid"],)

    def distance(self, drawn: Drawn, reference: Reference) -> dict[str, float]:
        return self.to_moments(drawn, reference.moments, ref=reference.split)

    def to_moments(self, drawn: Drawn, moments: Moments, *, ref: str) -> dict[str, float]:
        """Compare samples with moments of features, which need not be those of a split of the data; `ref`
        says in names what they are of.
        """
        value = frechet_distance(drawn.moments, moments)
        influences = frechet_influences(drawn.features, drawn.moments, moments)
        # On the scale of roots, since a squared distance is never below 0.
        return drawn.scored(
            drawn.name("fid", ref=ref), value, influences=Influences(influences, scale=on_roots)
        )
