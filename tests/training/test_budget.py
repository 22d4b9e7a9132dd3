"""Budgets."""

import pytest

from genbench.training.budget import Budget


def test_the_first_limit_reached_is_the_end() -> None:
    budget = Budget(images=100, seconds=10)
    assert budget.spent(50, 1) == 0.5
    assert budget.spent(10, 9) == 0.9
    assert budget.spent(100, 1) == 1.0


def test_operations_are_as_many_images_as_they_suffice_for() -> None:
    budget = Budget(images=1000, seconds=5.0, flops=3e9)
    assert budget.in_images(1e7) == Budget(images=300, seconds=5.0)
    assert budget.in_images(1e6) == Budget(images=1000, seconds=5.0)  # the images are the nearer limit
    assert Budget(flops=10).in_images(1e6) == Budget(images=1)  # a training has a step at least
    assert Budget(images=7).in_images(1e6) == Budget(images=7)


def test_null_is_no_limit() -> None:
    assert Budget(images=100).spent(50, 1e9) == 0.5
    assert Budget(seconds=10).spent(10**9, 5) == 0.5


@pytest.mark.parametrize(
    ("images", "seconds", "message"),
    [(None, None, "all null"), (0, None, r"budget\.images is 0"), (None, -1, r"budget\.seconds is -1")],
)
def test_an_empty_budget_is_refused(images: int | None, seconds: float | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Budget(images, seconds)
