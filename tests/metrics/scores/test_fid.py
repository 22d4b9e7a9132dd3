"""The share of each sample in the Frechet distance."""

import pytest
import torch
from torch import Tensor

from genbench.metrics import FID, Moments, frechet_distance
from genbench.metrics.scores.frechet import frechet_influences
from tests.metrics.sets import correlated, drawn_of, reference_of


def weighted(x: Tensor, weights: Tensor) -> Moments:
    """Moments under weights of sum 1, as plain sums."""
    moments = Moments(x.shape[1])
    moments.n, moments.mean = 100, weights @ x  # below the other set's, whose root would lose digits
    u = x - moments.mean
    moments.scatter = (weights[:, None] * u).T @ u * (moments.n - 1)
    return moments


@pytest.mark.parametrize("n", [80, 10], ids=["more samples than features", "fewer"])
def test_an_influence_is_the_derivative_of_the_distance_in_the_samples_weight(n: int) -> None:
    """d/de FD((1 - e) P + e delta_i), by central differences."""
    x, real = correlated(n, 16, 1, shift=0.3), Moments.of(correlated(300, 16, 2))
    even, step = torch.full((n,), 1 / n, dtype=torch.float64), 1e-5
    moments = weighted(x, even)
    found = frechet_influences(x, moments, real)
    for i in (0, 3, n - 1):
        towards = -even + torch.eye(n, dtype=torch.float64)[i]
        ends = [frechet_distance(weighted(x, even + sign * step * towards), real) for sign in (1, -1)]
        # Differences err by (step n)^2, and by rounding over the step.
        assert float(found[i]) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-4, abs=1e-4)


def test_the_spread_equals_that_of_the_whole_bootstrap_whose_values_are_biased() -> None:
    x, real = correlated(300, 8, 3, shift=0.2, scale=0.8), reference_of(correlated(1000, 8, 4))
    rng = torch.Generator().manual_seed(0)
    again = [x[torch.randint(300, (300,), generator=rng)] for _ in range(400)]
    replicates = torch.tensor([frechet_distance(Moments.of(part), real.moments) for part in again])
    value, low, high, se = FID().distance(drawn_of(x), real).values()
    # 400 and 1000 replicates know a deviation to 3.5 and 2.2 %; the second order adds a few per cent
    assert se == pytest.approx(float(replicates.std()), rel=0.2)
    assert (high - low) / 2 == pytest.approx(1.96 * float(replicates.std()), rel=0.25)
    assert float(replicates.mean()) > value + se / 2  # what repeated samples do to a distance
    assert low < value < high


def test_influences_stay_where_they_are_when_both_sets_are_moved_and_turned() -> None:
    x, y = correlated(100, 6, 5), correlated(200, 6, 6, shift=1.0)
    turn = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(0)).double()).Q
    moved_x, moved_y = (part @ turn + 50 for part in (x, y))
    found = frechet_influences(x, Moments.of(x), Moments.of(y))
    moved = frechet_influences(moved_x, Moments.of(moved_x), Moments.of(moved_y))
    torch.testing.assert_close(moved, found, rtol=1e-8, atol=1e-8)  # float64, 50 above the origin
