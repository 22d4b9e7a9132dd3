"""Masking: schedules from 1 to 0, random orders, and a bound that is the same for every schedule."""

import numpy as np
import pytest
import torch

from genbench.autoregressive.masking import CosineMasking, LinearMasking, Masking, random_order
from tests.autoregressive.masked_toys import IMAGES, N, arbitrary, exact_bound, masked_nats


class Square(Masking):
    """Another schedule than those of the options."""

    def alpha(self, t: torch.Tensor) -> torch.Tensor:
        return (1 - t).square()


MASKINGS = (LinearMasking(), CosineMasking(), Square())


@pytest.mark.parametrize("masking", MASKINGS)
def test_alpha_falls_from_one_to_zero(masking: Masking) -> None:
    alpha = masking.alpha(torch.linspace(0, 1, 101, dtype=torch.float64))
    assert float(alpha[0]) == pytest.approx(1)
    assert float(alpha[-1]) == pytest.approx(0, abs=1e-12)
    assert bool((alpha.diff() < 0).all())


def test_the_cosine_schedule_masks_half_of_the_tokens_at_a_third_of_the_way() -> None:
    """1 - alpha = cos(pi / 3) at t = 1/3; MaskGIT counts time from the other end."""
    assert float(CosineMasking().alpha(torch.tensor(1 / 3))) == pytest.approx(0.5)


@pytest.mark.parametrize("masking", MASKINGS)
def test_the_bound_does_not_depend_on_the_schedule(masking: Masking) -> None:
    """The integral over t of -alpha' / (1 - alpha) E[..] is the sum over the numbers of masked tokens."""
    net = arbitrary()
    nodes, weights = np.polynomial.legendre.leggauss(60)
    t = torch.tensor((nodes + 1) / 2, requires_grad=True)
    alpha = masking.alpha(t)
    (slope,) = torch.autograd.grad(alpha.sum(), t)
    alpha, w = alpha.detach(), torch.tensor(weights / 2)
    for image, bound in zip(IMAGES, exact_bound(net), strict=True):
        nats = masked_nats(net, image).items()
        expected = sum((1 - alpha) ** len(s) * alpha ** (N - len(s)) * each for s, each in nats)
        integral = (w * -slope / (1 - alpha) * expected).sum()
        assert float(integral) == pytest.approx(-float(bound), rel=1e-9)


def test_each_order_is_as_frequent_as_any_other() -> None:
    draws = 12_000
    order = random_order(draws, 3, torch.device("cpu"), torch.Generator().manual_seed(0))
    assert torch.equal(order.sort(1).values, torch.arange(3).expand(draws, 3))
    found = (order * torch.tensor([9, 3, 1])).sum(1).unique(return_counts=True)[1].double()
    # Six orders: the quantile of 1 - 1e-6 of chi-square at five degrees of freedom.
    assert len(found) == 6
    assert float(((found - draws / 6).square() / (draws / 6)).sum()) < 35.9
