"""A score: the difference of mean grey levels between samples and real images."""

from genbench.metrics.reference import Reference
from genbench.metrics.scores.score import Distance, Drawn
from genbench.records.metric_kinds import Kind

__all__ = ["Greyness"]


class Greyness(Distance):
    """|mean of samples - mean of real images|, of bytes divided by 255: from 0 to 1."""

    key = "greyness"
    kinds = (Kind("greyness", "grey gap", -1),)

    def distance(self, drawn: Drawn, reference: Reference) -> dict[str, float]:
        """Return the score of drawn images against a split of real ones, under its full name."""
        real, fake = (x.double().mean() / 255 for x in (reference.images.images, drawn.images))
        return drawn.scored(drawn.name("greyness", ref=reference.split), float((fake - real).abs()))
