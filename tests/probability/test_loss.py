"""The loss of a batch: the mean over images, and terms that carry no gradient."""

import pytest
import torch

from genbench import generator
from genbench.probability.loss import Loss, weighted_mean


def test_the_total_is_the_weighted_mean_of_the_sum_of_the_terms() -> None:
    a, b = torch.tensor([1.0, 3.0], requires_grad=True), torch.tensor([2.0, 4.0])
    loss = weighted_mean({"a": a, "b": b}, torch.tensor([0.5, 2.0]))
    assert float(loss.total.detach()) == pytest.approx((0.5 * 3 + 2 * 7) / 2)
    assert {name: float(term) for name, term in loss.terms.items()} == {"a": 3.25, "b": 4.5}


def test_the_gradient_is_that_of_the_total_and_terms_have_none() -> None:
    a = torch.tensor([1.0, 3.0], requires_grad=True)
    loss = weighted_mean({"a": a}, torch.tensor([0.5, 2.0]))
    loss.total.backward()
    assert a.grad is not None
    assert a.grad.tolist() == [0.25, 1.0]
    assert not loss.terms["a"].requires_grad


def test_families_and_mathematics_share_one_record() -> None:
    assert generator.Loss is Loss
