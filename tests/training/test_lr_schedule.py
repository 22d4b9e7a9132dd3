"""Learning rates over a training."""

import math
from collections.abc import Callable
from functools import partial

import pytest

from genbench.training.lr_schedule import Constant, Cosine, Exponential, Linear, LrSchedule


@pytest.mark.parametrize("schedule", [Constant(100), Linear(100), Cosine(100)])
def test_the_warmup_rises_linearly(schedule: LrSchedule) -> None:
    factors = [schedule.factor(images, 0.0) for images in (0, 24, 49, 99, 500)]
    assert factors == pytest.approx([0.01, 0.25, 0.5, 1.0, 1.0])


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [(Constant(), [1, 1, 1]), (Linear(), [1, 0.5, 0]), (Cosine(), [1, 0.5, 0])],
)
def test_the_decay_ends_where_it_should(schedule: LrSchedule, expected: list[float]) -> None:
    assert [schedule.factor(10, spent) for spent in (0.0, 0.5, 1.0)] == pytest.approx(expected)


def test_an_exponential_decay_is_one_factor_a_step_whatever_the_budget() -> None:
    """0.999995 a step of 128 images, as Salimans et al. 2017 have it, is a half-life of 17.744 million."""
    schedule = Exponential(halflife_images=17_744_000)
    for step, spent in ((1, 0.0), (1000, 0.9), (100_000, 1.0)):
        assert schedule.factor(128 * step, spent) == pytest.approx(0.999995**step, rel=1e-4)
    assert Exponential(100, halflife_images=50).factor(49, 0.0) == pytest.approx(0.5 * 0.5**0.98)
    with pytest.raises(ValueError, match=r"lr_schedule.halflife_images is 0"):
        Exponential(halflife_images=0)


def test_a_negative_warmup_is_refused() -> None:
    with pytest.raises(ValueError, match=r"warmup_images is -1"):
        Constant(-1)


@pytest.mark.parametrize("kind", [Constant, Linear, Cosine, partial(Exponential, halflife_images=50)])
def test_a_scale_multiplies_the_rate_and_1_leaves_it_bit_for_bit(
    kind: Callable[..., LrSchedule],
) -> None:
    plain, same, third = kind(100), kind(100, scale=1.0), kind(100, scale=0.3)
    for images, spent in ((0, 0.0), (30, 0.1), (500, 0.7)):
        assert same.factor(images, spent) == plain.factor(images, spent)
        assert third.factor(images, spent) == pytest.approx(0.3 * plain.factor(images, spent))


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf, math.nan])
def test_a_scale_that_is_no_positive_number_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match=r"lr_schedule.scale is .*above 0"):
        Constant(scale=scale)
