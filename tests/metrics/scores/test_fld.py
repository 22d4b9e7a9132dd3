"""FLD: likelihoods against a loop, the fit against autograd, and what the score says of copies."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from genbench.metrics import FLD
from genbench.metrics.scores.fld import Mixture, fit_mixture, standardised
from tests.metrics.sets import correlated, drawn_of, reference_of


def by_loop(mixture: Mixture, x: Tensor) -> float:
    """-mean log p(x) / d, one Gaussian at a time, by torch.distributions."""
    d, total = x.shape[1], 0.0
    for point in x:
        density = 0.0
        for mean, log_variance in zip(mixture.means, mixture.log_variances, strict=True):
            cov = log_variance.exp() * torch.eye(d, dtype=torch.float64)
            density += float(MultivariateNormal(mean, cov).log_prob(point).exp()) / len(mixture.means)
        total -= math.log(density) / d
    return total / len(x)


def by_autograd(means: Tensor, train: Tensor, batch: int = 10_000) -> Tensor:
    """The published fit in its plain form, a step for each `batch` points: log variances (M,)."""
    d = means.shape[1]

    def log_normals(squares: Tensor, logs: Tensor) -> Tensor:
        return -0.5 * squares / logs.exp() - d / 2 * logs - d / 2 * math.log(2 * math.pi)

    squares = torch.cdist(train, means).square()
    logs = ((squares.min(0).values + 1e-3) / d).log().requires_grad_()
    background = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([logs, background], lr=0.5)
    far = 0.81 * (train - train.mean(0)).square().sum(1, keepdim=True)
    for near, distant in [*zip(squares.split(batch), far.split(batch), strict=True)] * 50:
        optimizer.zero_grad()
        each = log_normals(near, logs) - math.log(len(means))
        both = torch.cat([each, log_normals(distant, background)], 1)
        (-both.logsumexp(1).mean() / d).backward()
        optimizer.step()
        with torch.no_grad():
            logs.clamp_(-40, 20)
    return logs.detach()


def values(fake: Tensor, train: Tensor, test: Tensor) -> tuple[float, float]:
    found = FLD().compute(drawn_of(fake), [reference_of(train), reference_of(test, "test")])
    assert [name.partition("[")[0] for name in found] == ["fld", "fld_gap"]
    first, second = found.values()
    return first, second


def test_the_likelihood_of_a_mixture_is_that_of_a_loop_over_its_gaussians() -> None:
    mixture = Mixture(correlated(6, 3, 0), torch.linspace(-1, 1, 6, dtype=torch.float64))
    x = correlated(8, 3, 1)
    assert mixture.nll(x) == pytest.approx(by_loop(mixture, x), rel=1e-10)


def test_the_fit_is_the_published_one_by_autograd_whatever_the_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    means, train = correlated(12, 4, 2), correlated(40, 4, 3)
    expected = by_autograd(means, train)
    torch.testing.assert_close(fit_mixture(means, train).log_variances, expected, rtol=1e-6, atol=1e-6)
    monkeypatch.setattr("genbench.metrics.scores.fld.BLOCK", 7)
    torch.testing.assert_close(fit_mixture(means, train).log_variances, expected, rtol=1e-6, atol=1e-6)


def test_the_fit_takes_a_step_for_each_batch_of_points_as_published(monkeypatch: pytest.MonkeyPatch) -> None:
    means, train = correlated(12, 4, 2), correlated(40, 4, 3)
    monkeypatch.setattr("genbench.metrics.scores.fld.BATCH", 16)
    monkeypatch.setattr("genbench.metrics.scores.fld.BLOCK", 7)
    expected = by_autograd(means, train, batch=16)
    torch.testing.assert_close(fit_mixture(means, train).log_variances, expected, rtol=1e-6, atol=1e-6)
    assert not torch.allclose(expected, by_autograd(means, train), rtol=1e-2)


def test_features_are_scaled_by_the_test_images_and_constant_ones_are_only_moved() -> None:
    test = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
    found, other = standardised([test, torch.tensor([[2.0, 6.0]])])
    torch.testing.assert_close(found, 0.5**0.5 * torch.tensor([[-1.0, 0.0], [1.0, 0.0]]).double())
    assert other.tolist() == [[0.0, 1.0]]


def test_it_orders_new_images_of_the_distribution_before_shifted_ones_and_before_few_ones() -> None:
    train, test = correlated(300, 4, 4), correlated(150, 4, 5)
    new, shifted, few = correlated(150, 4, 6), correlated(150, 4, 6, shift=1), correlated(3, 4, 6)
    best = values(new, train, test)[0]
    # Against half of the training images, which are of the same number.
    assert abs(best) < 10
    assert values(shifted, train, test)[0] > best + 20
    assert values(few.repeat(50, 1), train, test)[0] > best + 20


def test_copies_of_training_images_are_seen_by_the_score_and_by_its_gap() -> None:
    train, test, new = correlated(200, 4, 7), correlated(150, 4, 8), correlated(150, 4, 9)
    honest, gap = values(new, train, test)
    copied, gap_of_copies = values(train[:150], train, test)
    assert abs(gap) < 10
    assert gap_of_copies < -100
    assert copied > honest + 100


def test_it_needs_both_splits_and_states_how_many_images_it_took() -> None:
    x = correlated(20, 3, 10)
    assert FLD().compute(drawn_of(x), [reference_of(x)]) == {}
    found = FLD(samples=8).compute(drawn_of(x), [reference_of(x), reference_of(x, "test")])
    assert list(found) == [
        "fld[f,n=8,among=8,ref=test-train,ema]",
        "fld_gap[f,n=8,among=8,ref=test-train,ema]",
    ]
    with pytest.raises(ValueError, match=r"scores\.fld\.samples is 1; it must be 2 or more"):
        FLD(1)
