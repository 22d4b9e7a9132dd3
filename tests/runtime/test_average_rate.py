"""The share of new weights in a moving average."""

import pytest
import torch

from genbench.runtime.average_rate import new_share, new_share_of_count


def share(seen: float, *, images: int = 64, rampup: float | None = 0.05) -> float:
    at = torch.tensor(seen, dtype=torch.float64)
    return float(new_share(at, images=images, halflife_images=5000, rampup=rampup))


def test_a_weight_that_is_a_half_life_old_counts_half() -> None:
    assert share(1e6, images=5000) == share(0, images=5000, rampup=None) == 0.5


def test_the_ramp_up_bounds_the_half_life_by_what_was_seen() -> None:
    assert share(1280) == 1 - 0.5 ** (64 / (0.05 * 1280))
    assert share(100_000) == share(1e9)  # 0.05 * 100,000 = 5000


def test_before_the_first_image_the_weights_are_taken_whole() -> None:
    assert share(0) == 1


@pytest.mark.parametrize("rampup", [None, 0.05])
def test_it_is_the_formula_bit_for_bit(rampup: float | None) -> None:
    """So that averages are those of earlier versions, which had it in Python's floats."""
    for step in range(1, 3000, 7):
        seen = 64 * step
        halflife = 5000 if rampup is None else min(5000, rampup * seen)
        assert share(seen, rampup=rampup) == 1 - 0.5 ** (64 / halflife)


@pytest.mark.parametrize("rampup", [None, 0.05])
def test_a_count_of_the_host_has_the_share_of_a_tensor_bit_for_bit(rampup: float | None) -> None:
    for seen in (0, *range(64, 300_000, 3_200)):
        ours = new_share_of_count(seen, images=64, halflife_images=5000, rampup=rampup)
        assert ours == share(seen, rampup=rampup)
