"""The Frechet distance of pixels to the exact moments of a known distribution."""

from collections.abc import Sequence

from genbench.data import ImageSource, to_float
from genbench.metrics.features.known_distribution import exact_moments
from genbench.metrics.reference import Reference
from genbench.metrics.scores.frechet import Moments, frechet_distance, frechet_influences
from genbench.metrics.scores.interval import Influences, on_roots
from genbench.metrics.scores.score import Drawn, Score
from genbench.records.metric_kinds import KINDS

__all__ = ["ExactFD"]


class ExactFD(Score):
    """Frechet distance between the pixels, in [-1, 1], of at most 10,000 samples and the known distribution
    of the data, on whatever features the other scores are computed; no value where it is not known.

    For images of that distribution only the samples' own bias is left, which falls as 1/n.
    """

    key = "fd_exact"
    kinds = (KINDS["fd_exact"],)
    on_features = False

    def lacks(self, source: ImageSource, *, conditional: bool) -> str | None:
        return None if source.distribution is not None else "a known distribution, which data=gaussians has"

    def compute(self, drawn: Drawn, references: Sequence[Reference]) -> dict[str, float]:
        distribution = references[0].distribution if references else None
        if distribution is None:
            return {}
        pixels, exact = to_float(drawn.images).flatten(1), exact_moments(distribution)
        moments = Moments.of(pixels)
        protocol = f"pixels-{distribution.key[:8]}"  # whatever features the other scores are computed on
        name = drawn.name("fd_exact", ref="law", n=len(pixels), protocol=protocol)
        influences = Influences(frechet_influences(pixels, moments, exact), scale=on_roots)
        return drawn.scored(name, frechet_distance(moments, exact), influences=influences)
