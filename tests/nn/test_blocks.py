"""Layers that the residual networks share."""

import pytest
import torch
import torch.nn.functional as F

from genbench.nn.blocks import Condition, Downsample, ResidualBlock, Upsample, group_norm, with_label
from genbench.nn.sizes import halved


@pytest.mark.parametrize("channels", [1, 2, 6, 8, 20, 32, 96, 128, 160, 512])
def test_groups_divide_the_channels_and_are_at_most_32(channels: int) -> None:
    groups = group_norm(channels).num_groups
    assert channels % groups == 0
    assert groups <= 32
    if channels % 4 == 0 and channels <= 128:
        assert channels // groups == 4


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (1, 3), (20, 18)], ids=str)
def test_a_map_is_halved_rounding_up_and_comes_back_to_its_size(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    small = Downsample(3)(x, torch.zeros(2, 4))
    assert small.shape == (2, 3, *halved(*size))
    layer = Upsample(3)
    large = layer(small, size)
    expected = layer.conv(F.interpolate(small, size=size, mode="nearest"))
    assert torch.allclose(large, expected, atol=1e-6)  # float32, sums of 27 numbers of order 1


def test_a_residual_block_of_equal_channels_starts_as_the_identity() -> None:
    x = torch.randn(2, 8, 5, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(ResidualBlock(8, 8, 4, dropout=0.0)(x, torch.ones(2, 4)), x)


def test_without_classes_labels_change_nothing() -> None:
    vector, y = torch.randn(2, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1])
    condition = Condition(3, 0, 5)
    assert torch.equal(condition(vector, y), condition(vector, None))
    assert with_label(vector, None, y) is vector
