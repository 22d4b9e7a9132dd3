"""Distances between images: their values, weights and limits."""

import pytest
import torch

from genbench.probability.distance import HuberDistance, L1Distance, L2Distance, PixelDistance

X, Y = torch.zeros(2, 1, 2, 1), torch.tensor([[1.0, 3.0], [-0.5, 0.0]]).reshape(2, 1, 2, 1)


@pytest.mark.parametrize(
    ("distance", "expected"),
    [
        (L1Distance(), [2.0, 0.25]),
        (L2Distance(), [5.0, 0.125]),
        (HuberDistance(), [(0.5 + 2.5) / 2, 0.0625]),
        (HuberDistance(2.0), [(0.5 + 4.0) / 2, 0.0625]),
    ],
)
def test_each_image_has_the_mean_over_its_dimensions(distance: PixelDistance, expected: list[float]) -> None:
    assert distance(X, Y).tolist() == pytest.approx(expected)


def test_a_weight_multiplies_each_image() -> None:
    weight = torch.tensor([2.0, 0.0])[:, None, None, None]
    assert L2Distance()(X, Y, weight=weight).tolist() == [10.0, 0.0]


def test_huber_is_half_of_l2_below_delta_and_nears_delta_l1_far_beyond() -> None:
    assert torch.allclose(HuberDistance(10.0)(X, Y), L2Distance()(X, Y) / 2)
    assert torch.allclose(HuberDistance(0.01)(X, 1e3 * Y), 0.01 * L1Distance()(X, 1e3 * Y), rtol=1e-3)


def test_a_delta_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match=r"loss.delta is 0.0; it must be above 0"):
        HuberDistance(0.0)
