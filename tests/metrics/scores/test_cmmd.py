"""CMMD: the Gaussian-kernel MMD of unit features, against closed forms and its definition."""

import math

import pytest
import torch
from torch import Tensor

from genbench.metrics import CMMD
from genbench.metrics.scores.cmmd import gaussian_mmd
from tests.metrics.sets import correlated, drawn_of, reference_of


def by_definition(x: Tensor, y: Tensor, sigma: float) -> float:
    """The unbiased MMD^2, pair by pair."""

    def kernel(a: Tensor, b: Tensor) -> float:
        return math.exp(-float((a - b).square().sum()) / (2 * sigma**2))

    def within(z: Tensor) -> float:
        pairs = [kernel(a, b) for i, a in enumerate(z) for j, b in enumerate(z) if i != j]
        return sum(pairs) / len(pairs)

    between = [kernel(a, b) for a in x for b in y]
    return within(x) + within(y) - 2 * sum(between) / len(between)


def of_normals(shift: Tensor, scale: float, sigma: float) -> float:
    """MMD^2 between N(0, I) and N(shift, scale^2 I): E k of x - y ~ N(m, v I) is
    (s^2 / (s^2 + v))^(d/2) exp(-|m|^2 / (2 (s^2 + v))), s = sigma.
    """

    def mean(squared: float, variance: float) -> float:
        wide = sigma**2 + variance
        return (sigma**2 / wide) ** (len(shift) / 2) * math.exp(-squared / (2 * wide))

    return mean(0, 2) + mean(0, 2 * scale**2) - 2 * mean(float(shift.square().sum()), 1 + scale**2)


def test_it_is_the_unbiased_estimate_of_the_definition() -> None:
    x, y = correlated(12, 3, 0), correlated(9, 3, 1, shift=0.4)
    assert gaussian_mmd(x, y, sigma=0.8)[0] == pytest.approx(by_definition(x, y, 0.8), rel=1e-10)


@pytest.mark.parametrize("sigma", [1.0, 3.0])
def test_on_samples_of_two_normals_it_is_their_closed_form(sigma: float) -> None:
    rng = torch.Generator().manual_seed(0)
    shift, scale = torch.tensor([0.5, -0.3, 0.2], dtype=torch.float64), 1.4
    estimates = []
    for _ in range(20):
        x, y = (torch.randn(300, 3, generator=rng, dtype=torch.float64) for _ in range(2))
        estimates.append(gaussian_mmd(x, shift + scale * y, sigma=sigma)[0])
    found = torch.tensor(estimates)
    # five standard errors: a false alarm below 1e-6
    assert abs(float(found.mean()) - of_normals(shift, scale, sigma)) < 5 * float(found.std()) / 20**0.5
    assert of_normals(shift, scale, sigma) > 5 * float(found.std()) / 20**0.5  # else nothing were tested


def test_the_score_is_a_thousand_times_that_of_features_of_length_one_with_sigma_ten() -> None:
    x, y = correlated(30, 5, 2), correlated(20, 5, 3, shift=0.5)
    units = (z / z.norm(dim=1, keepdim=True) for z in (x, y))
    found = CMMD().distance(drawn_of(7 * y), reference_of(x))
    assert found["cmmd[f,n=20,ref=train,ema]"] == pytest.approx(1000 * by_definition(*units, 10), rel=1e-8)


def test_two_sets_of_one_distribution_are_at_zero_on_average_and_often_below() -> None:
    values = torch.tensor(
        [
            CMMD().distance(drawn_of(correlated(40, 5, 2 * i)), reference_of(correlated(40, 5, 2 * i + 1)))[
                "cmmd[f,n=40,ref=train,ema]"
            ]
            for i in range(60)
        ]
    )
    assert float(values.min()) < 0
    assert abs(float(values.mean())) < 5 * float(values.std()) / 60**0.5


def test_blocks_do_not_change_it(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = correlated(30, 5, 2), correlated(20, 5, 3)
    whole = gaussian_mmd(x, y, sigma=2)
    monkeypatch.setattr("genbench.metrics.scores.cmmd.BLOCK", 7)
    parts = gaussian_mmd(x, y, sigma=2)
    assert parts[0] == pytest.approx(whole[0], rel=1e-10)
    torch.testing.assert_close(parts[1], whole[1])


def test_an_influence_is_what_the_estimate_loses_without_the_point_times_their_number() -> None:
    x, y = correlated(80, 4, 4), correlated(60, 4, 5, shift=0.3)
    whole, found = gaussian_mmd(x, y, sigma=1)
    lost = [59 * (whole - gaussian_mmd(x, torch.cat([y[:j], y[j + 1 :]]), sigma=1)[0]) for j in range(60)]
    expected = torch.tensor(lost, dtype=torch.float64)
    torch.testing.assert_close(
        found, expected - expected.mean(), rtol=0, atol=0.05 * float(found.abs().max())
    )


def test_another_width_stands_in_the_name_and_one_that_is_not_above_0_is_refused() -> None:
    x = correlated(10, 3, 6)
    assert "cmmd[f,n=10,sigma=2,ref=train,ema]" in CMMD(2).distance(drawn_of(x), reference_of(x))
    with pytest.raises(ValueError, match=r"scores\.cmmd\.sigma is 0; it must be above 0"):
        CMMD(0)
