"""Objectives in closed form."""

import pytest
import torch

from genbench.diffusion.objective import L1, L2, Huber, Objective

RESIDUALS = torch.tensor([[0.0, 0.5, -2.0, 4.0]]).reshape(1, 1, 2, 2)


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        (L1(), (0 + 0.5 + 2 + 4) / 4),
        (L2(), (0 + 0.25 + 4 + 16) / 4),
        (Huber(1.0), (0 + 0.125 + 1.5 + 3.5) / 4),
        (Huber(3.0), (0 + 0.125 + 2 + 3 * (4 - 1.5)) / 4),
    ],
)
def test_objectives_have_their_closed_form(objective: Objective, expected: float) -> None:
    target = torch.full_like(RESIDUALS, 0.25)
    assert objective(RESIDUALS + target, target).tolist() == [pytest.approx(expected)]


def test_huber_of_a_wide_delta_is_half_the_squared_error() -> None:
    target = torch.zeros_like(RESIDUALS)
    assert torch.equal(2 * Huber(100.0)(RESIDUALS, target), L2()(RESIDUALS, target))


def test_objectives_are_float32_whatever_the_network_answers() -> None:
    assert L2()(RESIDUALS.bfloat16(), RESIDUALS).dtype == torch.float32


@pytest.mark.parametrize("delta", [0.0, -1.0])
def test_huber_refuses_a_delta_that_is_not_positive(delta: float) -> None:
    with pytest.raises(ValueError, match=r"loss\.delta"):
        Huber(delta)
