"""Precision, recall, density and coverage: how far samples and real images lie among each other."""

from typing import NamedTuple

import torch
from torch import Tensor

from genbench.metrics.features.extractor import check_finite
from genbench.metrics.reference import Reference, subset
from genbench.metrics.scores.score import Distance, Drawn
from genbench.records.metric_kinds import KINDS

__all__ = ["Manifold", "ManifoldScores", "manifold_scores", "radii", "squared_distances"]

TIE = 16
"""Excess of a ball over its radius, in roundings (eps, 1.2e-7 in float32) of features so long.

Features of one image differ by 3 eps of their length between two sizes of a batch, measured on digits.
"""


class Manifold(Distance):
    """Precision, recall, density and coverage of equally many samples and real images, 10,000 at most.

    Of the larger set a fixed random subset is taken, since another one moves precision by several hundredths
    at n = 359. Equal numbers, as in Kynkaanniemi et al. 2019, since the scores change with both.
    Recall and coverage have no interval: they are shares of real images, and an interval beside a score says
    how far other samples would move it. Wilson's interval over the real images is about other real images,
    while all models are measured on the same ones. For recall it is that of independent draws, given the
    samples; the balls of coverage end at other real images, so its draws are not (of two Gaussians in 8
    dimensions at n = 359, coverage 0.89, Wilson's standard error was 0.72 of the standard deviation over real
    images).
    neighbours: k, or as many as the images allow. Raises ValueError below 1 and
    above 1000.
    """

    key = "precision_recall"
    kinds = (KINDS["precision"], KINDS["recall"], KINDS["density"], KINDS["coverage"])

    def __init__(self, neighbours: int = 5) -> None:
        if not 1 <= neighbours <= 1000:
            raise ValueError(f"scores.precision_recall.neighbours is {neighbours}; it must be from 1 to 1000")
        self.neighbours = neighbours

    def distance(self, drawn: Drawn, reference: Reference) -> dict[str, float]:
        n = min(len(drawn.features), len(reference.features))
        k = min(self.neighbours, n - 1)  # a point has n - 1 others
        real, fake = (subset(x, n) for x in (reference.features, drawn.features))
        balls = count_balls(real, fake, k=k)
        influences = {
            "precision": balls.holding > 0,
            "density": balls.holding.double() / k,
        }
        found: dict[str, float] = {}
        for kind, score in scores_of(balls, k)._asdict().items():
            name = drawn.name(kind, ref=reference.split, part=(f"k={k}",), n=n)
            found |= drawn.scored(name, score, influences=influences.get(kind))
        return found


class ManifoldScores(NamedTuple):
    """The four scores of one comparison, see `manifold_scores` for their formulas: shares in [0, 1] of
    samples among real images and of real images among samples, but for density, which is 0 or more.
    """

    precision: float
    recall: float
    density: float
    coverage: float


class Balls(NamedTuple):
    """Counts of points in the balls around points of the other set, from which all four scores follow."""

    holding: Tensor
    """(M,): how many real balls hold each fake point."""
    covered: Tensor
    """(N,) bool: true where a real point's ball holds any fake one."""
    recalled: Tensor
    """(N,) bool: true where any fake point's ball holds a real one."""


def manifold_scores(real: Tensor, fake: Tensor, *, k: int = 5, block_size: int = 512) -> ManifoldScores:
    """The scores of fake points y_1..y_M by the balls B_k around points, in float64.

    B_k(x) reaches from x to the k-th nearest of the other points of x's own set: a point is no neighbour of
    its own, equal points are, and the sphere belongs to the ball.

    precision = 1/M sum_j 1[y_j in the union of B_k(x_i)]      density  = 1/(kM) sum_ij 1[y_j in B_k(x_i)]
    recall    = 1/N sum_i 1[x_i in the union of B_k(y_j)]      coverage = 1/N sum_i 1[some y_j in B_k(x_i)]

    real (N, d), fake (M, d). For two sets of one distribution density has the expectation 1, and coverage has
    1 - prod_(i=1..k) (N - i) / (N + M - i); those of recall and precision depend on the distribution.
    Source: Kynkaanniemi et al. 2019, Eq. 1-2; Naeem et al. 2020, Eq. 3-4 and Lemma 2.
    """
    return scores_of(count_balls(real, fake, k=k, block_size=block_size), k)


def scores_of(balls: Balls, k: int) -> ManifoldScores:
    """Compute precision, recall, density and coverage from the counts, as means in float64; `manifold_scores`
    has the formulas.
    """
    return ManifoldScores(
        precision=float((balls.holding > 0).double().mean()),
        recall=float(balls.recalled.double().mean()),
        density=float(balls.holding.double().mean()) / k,
        coverage=float(balls.covered.double().mean()),
    )


def count_balls(real: Tensor, fake: Tensor, *, k: int, block_size: int = 512) -> Balls:
    """Count, for real (N, d) and fake (M, d) points, the balls of one set that hold points of the other.

    No more than block_size rows of distances are held at once.
    Raises ValueError unless 1 <= k < min(N, M), FloatingPointError where not finite.
    """
    largest = min(len(real), len(fake)) - 1
    if not 1 <= k <= largest:
        raise ValueError(f"k is {k}; it must be from 1 to {largest}, below the smaller set's size")
    check_finite(real)
    check_finite(fake)
    # The radii know the dtype that features come in: their tolerance is for rounding in that one.
    real_radii, fake_radii = radii(real, k, block_size), radii(fake, k, block_size)
    real, fake = real.detach().cpu().double(), fake.detach().cpu().double()
    holding = torch.zeros(len(fake), dtype=torch.long)
    covered, recalled = torch.zeros(2, len(real), dtype=torch.bool)
    for index in torch.arange(len(fake)).split(block_size):
        distances = squared_distances(fake[index], real)
        held = distances <= real_radii
        holding[index] = held.sum(1)
        covered |= held.any(0)
        recalled |= (distances <= fake_radii[index, None]).any(0)
    return Balls(holding, covered, recalled)


def radii(x: Tensor, k: int, block_size: int) -> Tensor:
    """Squared distance from each point x (N, d) to the k-th nearest of the others, with a tolerance: (N,).

    (r + TIE eps (|x| + r))^2 + 8 (d + 5) eps64 (|x|^2 + r^2) for a distance of r, eps of the dtype of x.
    The first part is for the rounding of the feature network, the second the most that the squared distances
    can be off: what lies on the sphere, as samples that repeat real images do, is inside, whatever the size
    of the batches and the order of the sums.
    """
    eps, points = torch.finfo(x.dtype).eps, x.detach().cpu().double()
    rows = (squared_distances(part, points) for part in points.split(block_size))
    nearest = [part.topk(k + 1, largest=False).values[:, k] for part in rows]  # the first is the point itself
    # Clamped: by rounding the squared distance of two equal points may lie below 0.
    r, norm = torch.cat(nearest).clamp(min=0).sqrt(), points.norm(dim=1)
    rounding = 8 * (x.shape[1] + 5) * torch.finfo(points.dtype).eps * (norm.square() + r.square())
    return (r + TIE * eps * (norm + r)).square() + rounding


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """|x|^2 + |y|^2 - 2 x . y of all pairs of (B, d) and (N, d): (B, N).

    About ten times faster than sums of squared differences; float64 makes good the digits that cancel.
    """
    norms = x.norm(dim=1, keepdim=True).square() + y.norm(dim=1).square()
    return norms.addmm_(x, y.T, alpha=-2)  # in place: a second (B, N) would double the memory
