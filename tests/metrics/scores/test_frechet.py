"""The Frechet distance against its closed forms, scipy and torchmetrics."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor, nn

from genbench.metrics import Moments, frechet_distance


def moments(x: Tensor) -> Moments:
    result = Moments(x.shape[1])
    result.update(x)
    return result


def gaussian(mean: Tensor, cov: Tensor, n: int = 1_000_000) -> Moments:
    """Moments given, not estimated."""
    result = Moments(len(mean))
    result.n, result.mean, result.scatter = n, mean.double(), cov.double() * (n - 1)
    return result


def drawn(n: int, d: int, seed: int) -> Tensor:
    """Correlated features of unequal scale, as networks give them."""
    rng = torch.Generator().manual_seed(seed)
    mixing = torch.randn(d, d, generator=rng, dtype=torch.float64) / d**0.5
    return (
        torch.randn(n, d, generator=rng, dtype=torch.float64) @ mixing + torch.randn(d, generator=rng) * 0.1
    )


def by_scipy(x: Tensor, y: Tensor) -> float:
    a, b = x.numpy(), y.numpy()
    s1, s2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s1 + s2 - 2 * sqrtm(s1 @ s2).real))


def by_torchmetrics(x: Tensor, y: Tensor) -> float:
    from torchmetrics.image.fid import FrechetInceptionDistance

    feature = nn.Identity()
    feature.num_features = x.shape[1]
    metric = FrechetInceptionDistance(feature=feature).set_dtype(torch.float64)
    metric.update(x, real=True)
    metric.update(y, real=False)
    return float(metric.compute())


def test_equal_covariances_are_apart_by_the_squared_distance_of_their_means() -> None:
    d = 16
    cov = moments(drawn(100, d, 0)).cov
    shift = torch.linspace(-1, 1, d, dtype=torch.float64)
    distance = frechet_distance(gaussian(torch.zeros(d), cov), gaussian(shift, cov))
    # float64 through two decompositions of a matrix of condition about 1e4
    assert distance == pytest.approx(float(shift @ shift), rel=1e-8)


@pytest.mark.parametrize("scale", [0.25, 1.0, 3.0])
def test_isotropic_gaussians_are_apart_by_d_times_the_squared_difference_of_scales(scale: float) -> None:
    d = 32
    one, other = gaussian(torch.zeros(d), torch.eye(d)), gaussian(torch.zeros(d), scale**2 * torch.eye(d))
    assert frechet_distance(one, other) == pytest.approx(d * (scale - 1) ** 2, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("n", [20, 500])
def test_a_set_has_no_distance_to_itself_with_fewer_or_more_samples_than_features(n: int) -> None:
    x = moments(drawn(n, 64, 1))
    # eigenvalues near the rounding noise e of the largest come out wrong by sqrt(e) = 1.5e-8 of it
    assert abs(frechet_distance(x, x)) < 1e-6 * float(x.cov.trace())


def test_the_distance_is_symmetric() -> None:
    x, y = moments(drawn(40, 64, 2)), moments(drawn(300, 64, 3))
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x), rel=1e-12)


def test_it_equals_scipy_and_torchmetrics() -> None:
    x, y = drawn(400, 48, 4), drawn(500, 48, 5)
    ours = frechet_distance(moments(x), moments(y))
    # both oracles decompose an unsymmetric product, whose small eigenvalues lose half their digits
    assert ours == pytest.approx(by_scipy(x, y), rel=1e-7)
    assert ours == pytest.approx(by_torchmetrics(x, y), rel=1e-7)


def test_with_fewer_samples_than_features_it_equals_the_nuclear_norm_of_the_centred_samples() -> None:
    """tr sqrt(S1 S2) is the sum of the singular values of X1c X2c^T / sqrt((n1-1)(n2-1)): no root."""
    x, y = drawn(30, 80, 6), drawn(40, 80, 7)
    xc, yc = x - x.mean(0), y - y.mean(0)
    overlap = torch.linalg.svdvals(xc @ yc.T).sum() / (29 * 39) ** 0.5
    traces = xc.square().sum() / 29 + yc.square().sum() / 39
    exact = float((x.mean(0) - y.mean(0)).square().sum() + traces - 2 * overlap)
    assert frechet_distance(moments(x), moments(y)) == pytest.approx(exact, rel=1e-9)
    assert frechet_distance(moments(x), moments(y)) == pytest.approx(by_torchmetrics(x, y), rel=1e-4)


def test_streamed_moments_equal_those_of_the_whole_set_even_far_from_the_origin() -> None:
    x = drawn(1000, 8, 8) + 1e6
    streamed = Moments(8)
    for batch in x.split([1, 0, 300, 7, 692]):
        streamed.update(batch)
    assert streamed.n == 1000
    np.testing.assert_allclose(streamed.mean.numpy(), x.numpy().mean(0), rtol=1e-14)
    # spacing of float64 at 1e6 is 1e-10; sums of squares, 1e15, would leave 0.1
    np.testing.assert_allclose(streamed.cov.numpy(), np.cov(x.numpy(), rowvar=False), atol=1e-8)


def test_features_that_are_not_finite_are_refused() -> None:
    with pytest.raises(FloatingPointError, match="not finite"):
        moments(torch.tensor([[0.0, float("nan")]]))


def test_features_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match="it must be"):
        Moments(3).update(torch.zeros(2, 4))


def test_one_sample_has_no_covariance() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        _ = moments(torch.zeros(1, 3)).cov
