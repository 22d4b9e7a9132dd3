"""Laws of the principal components of a model's codes."""

import pytest
import torch
from sklearn.decomposition import PCA

from genbench.evaluation.projection import principal_components


def gaussian(n: int, deviations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw n codes of known covariance Q diag(deviations^2) Q^T, and return them with Q, (D, D)."""
    rng = torch.Generator().manual_seed(0)
    d = len(deviations)
    q = torch.linalg.qr(torch.randn(d, d, generator=rng, dtype=torch.float64)).Q
    return torch.randn(n, d, generator=rng, dtype=torch.float64) * deviations @ q.T + 3, q


def test_codes_of_known_covariance_lie_along_its_eigenvectors() -> None:
    """20,000 draws: eigenvectors are off by about 1/sqrt(n) times the ratio of scales, here below 0.02."""
    deviations = torch.tensor([5.0, 2.0, 1.0, 0.5], dtype=torch.float64)
    codes, q = gaussian(20_000, deviations)
    found = principal_components(codes)
    exact = (codes - codes.mean(0)) @ q[:, :2]
    for k in range(2):
        cosine = torch.nn.functional.cosine_similarity(found.points[:, k], exact[:, k], dim=0)
        assert abs(float(cosine)) > 0.999
    wanted = deviations.square() / deviations.square().sum()
    assert found.shares == pytest.approx(wanted[:2].tolist(), abs=0.02)


@pytest.mark.parametrize("shape", [(50, 7), (5, 40), (30, 2), (12, 3, 4, 4)])
def test_points_and_shares_are_those_of_scikit_learn_up_to_the_sign(shape: tuple[int, ...]) -> None:
    codes = torch.randn(*shape, generator=torch.Generator().manual_seed(1))
    found = principal_components(codes)
    peer = PCA(n_components=2, svd_solver="full")
    theirs = torch.from_numpy(peer.fit_transform(codes.flatten(1).double().numpy()))
    for k in range(2):
        sign = torch.sign((found.points[:, k] * theirs[:, k]).sum())
        assert torch.allclose(found.points[:, k], sign * theirs[:, k], atol=1e-10)
    assert found.shares == pytest.approx(peer.explained_variance_ratio_.tolist(), abs=1e-12)
    assert found.shares[0] >= found.shares[1] >= 0
    assert sum(found.shares) <= 1 + 1e-12


def test_the_sign_of_a_direction_does_not_depend_on_the_order_of_the_codes() -> None:
    codes = torch.randn(40, 6, generator=torch.Generator().manual_seed(2))
    order = torch.randperm(40, generator=torch.Generator().manual_seed(3))
    one, other = principal_components(codes), principal_components(codes[order])
    assert torch.allclose(one.points[order], other.points, atol=1e-10)


@pytest.mark.parametrize(("shape", "shares"), [((1, 5), (0.0, 0.0)), ((9, 1), (1.0, 0.0))])
def test_directions_that_are_not_there_are_zero(shape: tuple[int, int], shares: tuple[float, float]) -> None:
    codes = torch.arange(float(shape[0] * shape[1])).reshape(shape)
    found = principal_components(codes)
    assert found.points.shape == (shape[0], 2)
    assert found.shares == pytest.approx(shares)
    assert bool((found.points[:, 1] == 0).all())


def test_equal_codes_are_one_point() -> None:
    found = principal_components(torch.ones(6, 4))
    assert found.shares == (0.0, 0.0)
    assert bool((found.points == 0).all())


def test_codes_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="must be finite"):
        principal_components(torch.full((3, 2), float("nan")))
