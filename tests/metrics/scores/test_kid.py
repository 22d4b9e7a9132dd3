"""Laws of the Kernel Inception Distance."""

import pytest
import torch
from torch import Tensor

from genbench.metrics.scores.kid import kernel_distance, kernel_influences


def drawn(n: int, seed: int, shift: float = 0.0) -> Tensor:
    return torch.randn(n, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift


def unbiased(x: Tensor, y: Tensor) -> float:
    """MMD^2 without the diagonal, written out from its definition."""
    n, d = x.shape

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / d + 1) ** 3

    xx, yy = kernel(x, x), kernel(y, y)
    within = (xx.sum() - xx.trace() + yy.sum() - yy.trace()) / (n * (n - 1))
    return float(within - 2 * kernel(x, y).mean())


def test_one_subset_of_everything_is_the_unbiased_estimate() -> None:
    x, y = drawn(60, 0), drawn(60, 1, shift=0.3)
    mean, std = kernel_distance(x, y, subsets=3, subset_size=60, seed=0)
    assert mean == pytest.approx(unbiased(x, y), rel=1e-10)
    assert std == pytest.approx(0.0, abs=1e-10)  # each subset is the whole set


def test_two_sets_of_one_law_are_at_zero_on_average_and_often_below() -> None:
    values = torch.tensor(
        [unbiased_by_library(drawn(50, 2 * seed), drawn(50, 2 * seed + 1)) for seed in range(60)]
    )
    assert float(values.min()) < 0
    # five standard errors: a false alarm below 1e-6
    assert abs(float(values.mean())) < 5 * float(values.std()) / 60**0.5


def unbiased_by_library(x: Tensor, y: Tensor) -> float:
    return kernel_distance(x, y, subsets=1, subset_size=len(x), seed=0)[0]


def test_it_grows_with_the_distance_of_the_laws() -> None:
    x = drawn(200, 0)
    near, far = (kernel_distance(x, drawn(200, 1, shift), subset_size=100, seed=0)[0] for shift in (0.5, 1.0))
    assert 0 < near < far


def test_the_seed_alone_decides_and_the_global_generator_is_untouched() -> None:
    x, y = drawn(80, 0), drawn(70, 1)
    before = torch.get_rng_state()
    first = kernel_distance(x, y, subsets=5, subset_size=20, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(10)
    assert kernel_distance(x, y, subsets=5, subset_size=20, seed=1) == first
    assert kernel_distance(x, y, subsets=5, subset_size=20, seed=2) != first


@pytest.mark.parametrize("size", [1, 71])
def test_a_subset_size_that_the_sets_cannot_give_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="it must be from 2 to 70"):
        kernel_distance(drawn(80, 0), drawn(70, 1), subset_size=size, seed=0)


def test_features_that_are_not_finite_are_refused() -> None:
    with pytest.raises(FloatingPointError):
        kernel_distance(drawn(5, 0), torch.full((5, 8), float("nan")), subset_size=5, seed=0)


def test_an_influence_is_what_the_estimate_loses_without_the_point_times_their_number() -> None:
    """The jackknife of the unbiased MMD^2, which the influences equal but for terms of 1 / M."""
    rng = torch.Generator().manual_seed(0)
    real, fake = torch.randn(80, 4, generator=rng), torch.randn(60, 4, generator=rng) + 0.3

    def without(j: int) -> Tensor:
        return torch.cat([fake[:j], fake[j + 1 :]])

    def estimate(y: Tensor) -> float:
        x, y = real.double(), y.double()
        within = [((a @ a.T / 4 + 1) ** 3).fill_diagonal_(0).sum() / (len(a) * (len(a) - 1)) for a in (x, y)]
        return float(sum(within) - 2 * ((x @ y.T / 4 + 1) ** 3).mean())

    whole = estimate(fake)
    lost = torch.tensor([59 * (whole - estimate(without(j))) for j in range(60)], dtype=torch.float64)
    found = kernel_influences(real, fake)
    # The jackknife's terms of second order are about 2 / M of the first.
    torch.testing.assert_close(found, lost - lost.mean(), rtol=0, atol=0.05 * float(found.abs().max()))
