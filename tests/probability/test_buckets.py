"""Probabilities of the 256 buckets of a pixel: normalised, and exact in the tails."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from genbench.data import to_float
from genbench.probability.buckets import gaussian_log_prob, log_ndtr, log_sinhc, logistic_log_prob

LEVELS = to_float(torch.arange(256, dtype=torch.uint8))
MEANS = torch.tensor([-5.0, -1.2, -1.0, -0.3, 0.001, 0.5, 1.0, 3.0])[:, None]
LOG_SCALES = [-6.0, -4.0, -2.0, -1.0, -0.95, -0.9, 0.0, 2.0, 5.0]
BUCKETS = [(gaussian_log_prob, scipy.stats.norm), (logistic_log_prob, scipy.stats.logistic)]


def reference(law: scipy.stats.rv_continuous, log_scale: float) -> np.ndarray:
    """log(F(b) - F(a)) in float64, each bucket mirrored into the left tail: (means, 256)."""
    x, mean, scale = np.arange(256) / 127.5 - 1, MEANS.double().numpy(), math.exp(log_scale)
    a, b = (x - 1 / 255 - mean) / scale, (x + 1 / 255 - mean) / scale
    a[:, 0], b[:, -1] = -np.inf, np.inf
    right = a + b > 0
    a, b = np.where(right, -b, a), np.where(right, -a, b)
    return law.logcdf(b) + np.log(-np.expm1(law.logcdf(a) - law.logcdf(b)))


@pytest.mark.parametrize("log_scale", LOG_SCALES)
@pytest.mark.parametrize(("bucket", "law"), BUCKETS, ids=["gaussian", "logistic"])
def test_buckets_agree_with_differences_of_the_law_in_float64(bucket, law, log_scale: float) -> None:  # noqa: ANN001
    log_prob = bucket(LEVELS, MEANS, torch.tensor(log_scale)).double().numpy()
    expected = reference(law, log_scale)
    # float32 keeps 1e-5 of an edge that lies thousands of deviations out; near the mean it keeps 1e-4 nats.
    assert np.abs((log_prob - expected) / (1 + np.abs(expected))).max() < 5e-5
    assert np.abs(log_prob - expected)[expected > -20].max() < 2e-4


@pytest.mark.parametrize("log_scale", LOG_SCALES)
@pytest.mark.parametrize("bucket", [gaussian_log_prob, logistic_log_prob])
def test_the_256_buckets_sum_to_one(bucket, log_scale: float) -> None:  # noqa: ANN001
    total = bucket(LEVELS, MEANS, torch.tensor(log_scale)).double().exp().sum(1)
    assert torch.allclose(total, torch.ones_like(total), atol=2e-5)


def test_the_middle_level_of_a_standard_gaussian() -> None:
    log_prob = gaussian_log_prob(LEVELS[127], torch.tensor(0.0), torch.tensor(0.0))
    assert float(log_prob) == pytest.approx(-5.767065, abs=2e-6)


@pytest.mark.parametrize("bucket", [gaussian_log_prob, logistic_log_prob])
@pytest.mark.parametrize("log_scale", [-8.0, -4.0, -0.94, 0.0, 8.0])
def test_values_and_gradients_are_finite_far_in_the_tails(bucket, log_scale: float) -> None:  # noqa: ANN001
    mean = torch.tensor([-100.0, -3.0, 0.0, 3.0, 100.0])[:, None].requires_grad_()
    scale = torch.tensor(log_scale, requires_grad=True)
    log_prob = bucket(LEVELS, mean, scale)
    log_prob.sum().backward()
    for tensor in (log_prob, mean.grad, scale.grad):
        assert tensor is not None
        assert bool(tensor.isfinite().all())


@pytest.mark.parametrize("bucket", [gaussian_log_prob, logistic_log_prob])
def test_gradients_are_those_of_float64(bucket) -> None:  # noqa: ANN001
    def gradient(dtype: torch.dtype) -> Tensor:
        mean = MEANS.to(dtype, copy=True).requires_grad_()
        bucket(LEVELS.to(dtype), mean, torch.tensor(-2.0, dtype=dtype)).sum().backward()
        assert mean.grad is not None
        return mean.grad.double()

    assert torch.allclose(gradient(torch.float32), gradient(torch.float64), rtol=1e-3, atol=1e-2)


def test_log_ndtr_is_scipys_with_the_gradient_of_its_asymptote() -> None:
    x = torch.tensor([-1e4, -300.0, -20.0, -1.0, 0.0, 2.0, 5.0], requires_grad=True)
    value = log_ndtr(x)
    expected = scipy.stats.norm.logcdf(x.detach().double().numpy())
    assert np.allclose(value.detach().numpy(), expected, rtol=1e-5, atol=1e-5)
    value.sum().backward()
    assert x.grad is not None
    assert x.grad[:2].tolist() == pytest.approx([1e4, 300.0], rel=1e-4)  # phi / Phi -> -x


def test_log_sinhc_is_even_and_zero_at_zero() -> None:
    c = torch.tensor([0.0, 0.5, 3.0])
    expected = [0.0, math.log(math.sinh(0.5) / 0.5), math.log(math.sinh(3) / 3)]
    assert log_sinhc(c).tolist() == pytest.approx(expected, abs=2e-6)
    assert torch.equal(log_sinhc(-c), log_sinhc(c))
    assert float(log_sinhc(torch.tensor(1000.0))) == pytest.approx(1000 - math.log(2000), rel=1e-6)
