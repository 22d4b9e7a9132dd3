"""The Vendi score: how many different images the samples amount to, as features see them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from genbench.metrics.features.extractor import check_finite
from genbench.metrics.reference import Reference
from genbench.metrics.scores.interval import Influences, on_logs
from genbench.metrics.scores.score import Drawn, Score
from genbench.records.metric_kinds import KINDS

__all__ = ["Vendi", "unit_length", "vendi_score"]


class Vendi(Score):
    """The effective number of different samples among at most 10,000, by the cosines of their features.

    From 1, all samples alike, to n, all orthogonal. It does not look at real images, so noise may score more
    than these do: compare with the value of held-out images. It rises with n; compare at equal n alone.
    Source: Friedman & Dieng 2023, Definition 3.1; cosines of features as in Stein et al. 2023.
    """

    key = "vendi"
    kinds = (KINDS["vendi"],)

    def compute(self, drawn: Drawn, references: Sequence[Reference]) -> dict[str, float]:
        value, influences = vendi_score(drawn.features)
        name = drawn.name("vendi", ref=None, n=len(drawn.features))
        # exp of a mean over samples, so that the interval is one of logarithms.
        return drawn.scored(name, value, influences=Influences(influences, scale=on_logs))


def vendi_score(x: Tensor) -> tuple[float, Tensor]:
    """exp(-sum_i l_i log l_i) of the eigenvalues l of K / n, K_ij = cos(x_i, x_j), and influences of samples.

    With u_i = x_i / |x_i| these are also the eigenvalues of A = 1/n sum_i u_i u_i^T, (d, d), and their
    entropy is a mean over samples: H = -tr A log A = mean_i h_i, h_i = -u_i^T (log A) u_i. So the influence
    of sample i on the score is exp(H) (h_i - H). Features of length 0 are of no direction and count as
    nothing: where all are, the score is 1.
    x (n, d) -> score, (n,) float64. Raises FloatingPointError on features that are not finite.
    Source: Friedman & Dieng 2023, Definition 3.1; the smaller of both matrices has the same eigenvalues.
    """
    check_finite(x)
    u = unit_length(x)
    n, d = u.shape
    if n < d:  # the eigenvectors of A in the span of the samples, by those of K / n
        values, vectors = torch.linalg.eigh(u @ u.T / n)
        along = vectors * (n * values.clamp(min=0)).sqrt()  # u_i^T v_k = (n l_k)^(1/2) w_ik
    else:
        values, vectors = torch.linalg.eigh(u.T @ u / n)
        along = u @ vectors
    # What is below rounding is 0, and 0 log 0 = 0.
    real = values > len(values) * torch.finfo(values.dtype).eps * values[-1].clamp(min=0)
    h = -along[:, real].square() @ values[real].log()
    entropy = h.mean()
    return float(entropy.exp()), entropy.exp() * (h - entropy)


def unit_length(x: Tensor) -> Tensor:
    """Scale each row of x (n, d) to length 1, in float64 on the CPU; a row of zeros remains one."""
    points = x.detach().cpu().double()
    return points / points.norm(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)
