"""The length and the unit of the progress bar of a training."""

import pytest

from genbench.training.budget import Budget
from genbench.training.progress_note import done_of, total_of, unit_of


@pytest.mark.parametrize(
    ("budget", "done", "shown"),
    [
        (Budget(images=60_000), 15_000, (60_000, "images")),
        (Budget(seconds=12.5), 3, (13, "s")),
        (Budget(images=60_000, seconds=12.5), 25, (100, "%")),
    ],
)
def test_a_bar_counts_images_or_seconds_and_the_share_where_either_may_end_the_training(
    budget: Budget, done: int, shown: tuple[int, str]
) -> None:
    assert (total_of(budget), unit_of(budget)) == shown
    assert done_of(budget, 0.25) == done
