"""The learned noise schedule: monotone whatever its weights are, and able to learn."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genbench.diffusion.learned_schedule import POSITIVE_MIN, LearnedSchedule
from genbench.diffusion.schedule import CosineSchedule

GRID = torch.arange(1, 101, dtype=torch.float64) / 100


def scrambled(seed: int, spread: float) -> LearnedSchedule:
    """A schedule of 100 steps whose weights are N(0, spread^2), and whose ends are wherever they fall."""
    schedule, rng = LearnedSchedule(100, width=16), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in schedule.g.parameters():
            parameter.copy_(spread * torch.randn(parameter.shape, generator=rng))
        schedule.gamma_0.copy_(-15 + 10 * torch.rand((), generator=rng))
        schedule.gap.copy_(20 * torch.rand((), generator=rng))
    return schedule


@given(seed=st.integers(0, 2**32), spread=st.floats(0.0, 100.0))
@settings(max_examples=100, derandomize=True, deadline=None, database=None)
def test_gamma_rises_strictly_for_any_weights(seed: int, spread: float) -> None:
    schedule = scrambled(seed, spread)
    with torch.no_grad():
        schedule.gap.mul_(-spread)
    assert bool((schedule.gamma(torch.linspace(0, 1, 1000, dtype=torch.float64)).diff() > 0).all())


@given(seed=st.integers(0, 2**32), spread=st.floats(0.0, 10.0))
@settings(max_examples=100, derandomize=True, deadline=None, database=None)
def test_alpha_bar_falls_strictly_between_ends_that_float64_can_tell_apart(seed: int, spread: float) -> None:
    table = scrambled(seed, spread).table.detach()
    assert float(table[0]) == 1.0
    assert bool((table.diff() < 0).all())
    assert float(table[-1]) > 0


@pytest.mark.parametrize("ends", [(-13.3, 5.0), (-8.0, -7.99), (-10.0, 40.0)])
def test_the_ends_are_where_they_are_asked_for(ends: tuple[float, float]) -> None:
    log_snr = LearnedSchedule(50, *ends, width=4).log_snr(torch.tensor([1 / 50, 1.0], dtype=torch.float64))
    # Seven digits of a float32 parameter; 1 - alpha_bar has nine at gamma = -16.
    assert log_snr.tolist() == pytest.approx([-ends[0], -ends[1]], rel=1e-6)


def test_the_ends_follow_their_parameters_alone() -> None:
    schedule = scrambled(0, 3.0)
    ends = schedule.gamma(torch.tensor([0.0, 1.0], dtype=torch.float64))
    first, raw = float(schedule.gamma_0.detach()), float(schedule.gap.detach())
    last = first + math.log1p(math.exp(raw)) + POSITIVE_MIN
    assert ends.tolist() == pytest.approx([first, last], rel=1e-12)  # float64 roundings


def test_gradient_reaches_every_weight_from_a_batch_with_data_in_it() -> None:
    schedule = LearnedSchedule(100, width=16)
    at = schedule.level(torch.tensor([0.0, 0.2, 0.5, 1.0], dtype=torch.float64))
    (at.alpha * torch.tensor([1.0, 2.0, -3.0, 4.0])[:, None, None, None] + at.sigma).sum().backward()
    gradients = [p.grad for p in schedule.parameters() if p.grad is not None]
    assert len(gradients) == len(list(schedule.parameters()))
    assert all(bool((g.isfinite() & (g != 0)).all()) for g in gradients)


def test_its_gradient_is_that_of_its_values() -> None:
    """Along a random direction of the weights, against a central difference."""
    schedule, rng = scrambled(1, 1.0), torch.Generator().manual_seed(0)
    directions = [torch.randn(p.shape, generator=rng) for p in schedule.parameters()]

    def moved(by: float) -> torch.Tensor:
        with torch.no_grad():
            for parameter, direction in zip(schedule.parameters(), directions, strict=True):
                parameter.add_(by * direction)
        return schedule.log_snr(GRID).square().mean()

    gradients = torch.autograd.grad(moved(0.0), list(schedule.parameters()))
    slope = sum(float((g * d).sum()) for g, d in zip(gradients, directions, strict=True))
    step = 2.0**-8
    difference = float((moved(step) - moved(-2 * step)).detach()) / (2 * step)
    # The third derivative leaves step^2; float32 weights leave 1e-7 / step.
    assert slope == pytest.approx(difference, rel=1e-3)


def test_it_can_learn_another_schedule() -> None:
    schedule, target = LearnedSchedule(100, width=64), CosineSchedule(100).log_snr(GRID)
    optimizer = torch.optim.Adam(schedule.parameters(), lr=0.1)
    errors = []
    for _ in range(300):
        error = (schedule.log_snr(GRID) - target).abs().mean()
        error.backward()
        errors.append(float(error.detach()))
        optimizer.step()
        optimizer.zero_grad()
    assert errors[-1] < 0.1 * errors[0]


def test_autocast_leaves_its_numbers_alone() -> None:
    schedule = LearnedSchedule(100, width=16)
    expected = schedule.table
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(schedule.table, expected)
    assert {p.dtype for p in schedule.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("T", "ends", "message"), [(1, (-13.3, 5.0), r"schedule.T is 1"), (10, (5.0, 5.0), r"gamma_0=5.0")]
)
def test_a_curve_without_two_ends_is_refused(T: int, ends: tuple[float, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LearnedSchedule(T, *ends)
