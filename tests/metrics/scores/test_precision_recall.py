"""Laws of precision, recall, density and coverage."""

import math

import pytest
import torch
from scipy.spatial import KDTree
from torch import Tensor

from genbench.metrics.scores import precision_recall as manifold
from genbench.metrics.scores.authenticity import authentic
from genbench.metrics.scores.precision_recall import ManifoldScores, manifold_scores


def drawn(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def by_trees(real: Tensor, fake: Tensor, k: int) -> ManifoldScores:
    """The same by scipy's search trees: no matrix of distances."""
    trees = {name: KDTree(x.double().numpy()) for name, x in (("real", real), ("fake", fake))}

    def in_balls(centres: str, points: str) -> list[list[int]]:
        tree = trees[centres]
        radii = tree.query(tree.data, k=[k + 1])[0][:, 0]
        return trees[points].query_ball_point(tree.data, radii)

    fakes, reals = in_balls("real", "fake"), in_balls("fake", "real")
    return ManifoldScores(
        precision=len(set().union(*fakes)) / len(fake),
        recall=len(set().union(*reals)) / len(real),
        density=sum(map(len, fakes)) / (k * len(fake)),
        coverage=sum(map(bool, fakes)) / len(real),
    )


def test_points_on_a_line_worked_out_by_hand() -> None:
    real = column(0, 1, 3, 7, 30)  # k = 1: the balls [-1, 1] [0, 2] [1, 5] [3, 11] [7, 53]
    fake = column(2.5, 3.5, 60, 61)  # [1.5, 3.5] [2.5, 4.5] [59, 61] [60, 62]
    # 2.5 lies in one real ball, 3.5 in two, the others in none; those two are covered; only 3 is recalled.
    assert manifold_scores(real, fake, k=1) == (2 / 4, 1 / 5, 3 / 4, 2 / 5)


def test_the_sphere_belongs_to_its_ball() -> None:
    real, fake = column(0, 1, 5), column(2, 20, 40)  # k = 1: 2 ends [0, 2]; 5 lies in [1, 9] alone
    assert manifold_scores(real, fake, k=1) == (1 / 3, 1.0, 2 / 3, 2 / 3)


@pytest.mark.parametrize(("n", "m", "d", "k"), [(300, 300, 8, 5), (200, 350, 64, 3), (257, 100, 2, 1)])
def test_it_equals_a_search_by_trees(n: int, m: int, d: int, k: int) -> None:
    real, fake = drawn(n, d, 0), drawn(m, d, 1) + 2 / d**0.5
    found = manifold_scores(real, fake, k=k, block_size=64)
    assert found == pytest.approx(by_trees(real, fake, k), rel=1e-14)  # both count; no draw lies on a sphere
    assert 0.1 < min(found) <= max(found) < 1  # not where anything would agree


@pytest.mark.parametrize("k", [1, 5])
def test_equal_sets_are_wholly_precise_recalled_and_covered(k: int) -> None:
    x = drawn(301, 512, 0)
    # Each ball holds its centre, as a fake point, and the k nearest of the others, the last on the sphere.
    for block_size in (7, 512):
        scores = manifold_scores(x, x.clone(), k=k, block_size=block_size)
        assert scores == pytest.approx((1.0, 1.0, (k + 1) / k, 1.0), rel=1e-14)


def test_sets_far_apart_have_nothing_in_common() -> None:
    assert manifold_scores(drawn(50, 8, 0), drawn(60, 8, 1) + 100) == (0.0, 0.0, 0.0, 0.0)


def test_a_generator_of_one_real_image_is_precise_and_recalls_that_image_alone() -> None:
    real = drawn(100, 64, 0)
    scores = manifold_scores(real, real[:1].expand(80, -1))
    assert (scores.precision, scores.recall) == (1.0, 1 / 100)  # balls of radius 0
    assert scores.coverage == pytest.approx(by_trees(real, real[:1].expand(80, -1), 5).coverage)


def test_a_lost_mode_lowers_recall_and_coverage_and_not_precision() -> None:
    n = 400
    modes = torch.arange(n)[:, None] % 2 * 100.0
    real = drawn(n, 4, 0) + modes
    whole = manifold_scores(real, drawn(n, 4, 1) + modes)
    lost = manifold_scores(real, drawn(n, 4, 2))
    assert min(whole.recall, whole.coverage) > 0.9
    assert 0.45 < lost.recall <= 0.5
    assert 0.45 < lost.coverage <= 0.5
    # A share of n = 400 draws, at 0.9 or above, has a standard deviation of 0.015; of the difference 0.021.
    assert lost.precision > whole.precision - 5 * 0.021
    assert whole.precision > 0.9


def test_an_outlier_among_the_real_images_raises_precision_and_hardly_density() -> None:
    """The use of density: its ball holds everything, but counts as one of k (Naeem et al. 2020)."""
    real, fake = drawn(200, 4, 0), drawn(200, 4, 1) + 8
    outlier = torch.full((1, 4), 20.0)
    without, with_it = (manifold_scores(x, fake) for x in (real, torch.cat([real, outlier])))
    assert without.precision < 0.05
    assert with_it.precision == 1.0
    assert with_it.density - without.density == pytest.approx(1 / 5)


def test_recall_is_the_precision_of_the_sets_exchanged() -> None:
    real, fake = drawn(90, 4, 0), drawn(70, 4, 1) * 0.7
    there, back = manifold_scores(real, fake), manifold_scores(fake, real)
    assert (there.precision, there.recall) == (back.recall, back.precision)


@pytest.mark.parametrize(("n", "m", "k"), [(40, 40, 5), (45, 15, 5), (15, 20, 1)])
def test_two_sets_of_one_law_have_the_expected_density_and_coverage(n: int, m: int, k: int) -> None:
    """A ball around one of n + m exchangeable points: counting alone, whatever the law.

    The draws span many powers of ten, so that nothing but the ranks can give the figures; in float64, since
    features in float32 as long as these have distances that they cannot tell from one another.
    """
    pairs = [
        drawn(n + m, 3, seed).double().mul(torch.tensor([1.0, 3.0, 9.0])).exp().split([n, m])
        for seed in range(300)
    ]
    scores = torch.tensor([manifold_scores(*pair, k=k) for pair in pairs], dtype=torch.float64)
    missed = math.prod((n - i) / (n + m - i) for i in range(1, k + 1))
    # five standard errors: a false alarm below 1e-6
    errors = 5 * scores.std(0) / len(pairs) ** 0.5
    _, _, density, coverage = (scores.mean(0) - torch.tensor([0, 0, 1.0, 1 - missed])).abs() < errors
    assert density
    assert coverage
    assert errors[2:].max() < 0.1  # tight enough to tell k from k + 1


def test_neither_blocks_nor_the_order_of_points_change_a_digit() -> None:
    real, fake = (
        drawn(130, 48, 0),
        torch.cat([drawn(60, 48, 1), drawn(130, 48, 0)[:40]]),
    )  # 40 repeat real ones
    expected = manifold_scores(real, fake)
    for block_size in (1, 7, 64, 130):
        assert manifold_scores(real, fake, block_size=block_size) == expected
    assert manifold_scores(real.flip(0), fake[torch.randperm(100)]) == expected


def test_motions_and_scale_change_nothing_even_far_from_the_origin() -> None:
    real, fake = drawn(120, 6, 0).double(), drawn(120, 6, 1).double() * 0.8
    turn = torch.linalg.qr(drawn(6, 6, 2).double()).Q
    moved = (7 * x @ turn + 1e4 for x in (real, fake))
    assert manifold_scores(*moved) == manifold_scores(real, fake)


@pytest.mark.parametrize("seed", range(3))
def test_features_that_a_network_rounds_in_other_ways_have_the_same_scores(seed: int) -> None:
    """Samples that repeat real images lie on spheres; digits features differ by 3 eps of their length."""
    real = drawn(200, 64, seed).abs()
    fake = real.flip(0)
    off = 3 * torch.finfo(fake.dtype).eps * fake.norm(dim=1, keepdim=True) * drawn(200, 64, 9 + seed) / 8
    assert not torch.equal(fake, fake + off)
    assert manifold_scores(real, fake + off) == manifold_scores(real, fake) == (1.0, 1.0, 6 / 5, 1.0)
    assert torch.equal(authentic(real, fake + off), authentic(real, fake))


def test_no_more_than_a_block_of_distances_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes, compute = set(), manifold.squared_distances

    def noted(x: Tensor, y: Tensor) -> Tensor:
        distances = compute(x, y)
        shapes.add(tuple(distances.shape))
        return distances

    monkeypatch.setattr(manifold, "squared_distances", noted)
    manifold_scores(drawn(50, 3, 0), drawn(45, 3, 1), block_size=20)
    assert shapes == {(20, 50), (10, 50), (20, 45), (5, 45), (5, 50)}


def test_the_sets_and_the_global_generator_are_left_alone() -> None:
    real, fake = drawn(30, 3, 0), drawn(30, 3, 1)
    before = torch.get_rng_state()
    manifold_scores(real, fake)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(real, drawn(30, 3, 0))


@pytest.mark.parametrize("k", [0, 20, 21])
def test_more_neighbours_than_a_set_has_are_refused(k: int) -> None:
    with pytest.raises(ValueError, match=f"k is {k}; it must be from 1 to 19"):
        manifold_scores(drawn(30, 3, 0), drawn(20, 3, 1), k=k)


def test_features_that_are_not_finite_are_refused() -> None:
    with pytest.raises(FloatingPointError):
        manifold_scores(drawn(9, 3, 0), torch.full((9, 3), float("nan")))
