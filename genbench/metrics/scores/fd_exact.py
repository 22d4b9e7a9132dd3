"""The Frechet distance of pixels to the moments of a known law."""

from collections.abc import Sequence

from genbench.data import to_float
from genbench.metrics.features.law import exact_moments
from genbench.metrics.reference import Reference
from genbench.metrics.scores.frechet import Moments, frechet_distance, frechet_influences
from genbench.metrics.scores.interval import Influences, on_roots
from genbench.metrics.scores.score import Drawn, Score
from genbench.records.metric_kinds import KINDS

__all__ = ["ExactFD"]


class ExactFD(Score):
    """Between the pixels, in [-1, 1], of at most 10,000 samples and the law itself, on whatever features the
    other scores are taken; none where the law of the data is not known.

    The samples' own bias, which falls as 1/n, is all that images of the law get.
    """

    key = "fd_exact"
    kinds = (KINDS["fd_exact"],)

    def compute(self, drawn: Drawn, references: Sequence[Reference]) -> dict[str, float]:
        law = references[0].law if references else None
        if law is None:
            return {}
        pixels, exact = to_float(drawn.images).flatten(1), exact_moments(law)
        moments = Moments.of(pixels)
        name = drawn.name("fd_exact", ref="law", n=len(pixels), protocol=f"pixels-{law.key[:8]}")
        influences = Influences(frechet_influences(pixels, moments, exact), scale=on_roots)
        return drawn.scored(name, frechet_distance(moments, exact), influences=influences)
