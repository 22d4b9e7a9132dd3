"""DDPM++: the published size, blocks that keep the variance of their sums, and any size of images."""

import math

import pytest
import torch
from torch import nn

from genbench.nn.ddpm_pp import Block, DDPMPlusPlus, Double, Halve


def batch(shape: tuple[int, int, int], n: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    return torch.randn(n, *shape, generator=rng), torch.rand(n, generator=rng)


def test_the_size_for_cifar10_has_the_published_number_of_parameters() -> None:
    """Karras et al. 2022, Appendix F: 55.7 M; the map of 9 numbers to 128 has no bias."""
    with torch.device("meta"):
        net = DDPMPlusPlus(
            (3, 32, 32), width=128, multipliers=[2, 2, 2], blocks=4, attention_side=16, dropout=0.13
        )
        counts = [sum(p.numel() for p in net.parameters())]
        net.take_labels()
        counts.append(sum(p.numel() for p in net.parameters()))
    assert counts == [55_732_739, 55_732_739 + 9 * 128]


def test_attention_is_where_the_published_network_has_it() -> None:
    """In each block of 16x16 on the way down, in the middle, in the last block of 16x16 on the way up."""
    with torch.device("meta"):
        net = DDPMPlusPlus((3, 32, 32), multipliers=[2, 2, 2], blocks=4, attention_side=16)
    found = [[block.attention is not None for block in part] for part in (net.down, net.middle, net.up)]
    assert found[0] == [*[False] * 5, *[True] * 4, *[False] * 5]
    assert found[1] == [True, False]
    assert found[2] == [*[False] * 5, *[False] * 5, True, *[False] * 6]
    with torch.device("meta"):
        none = DDPMPlusPlus((3, 32, 32), attention_side=0)
    assert [name for name, m in none.named_modules() if name.endswith("attention")] == ["middle.0.attention"]


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 28, 28), (1, 27, 12)])
@pytest.mark.parametrize("adaptive", [False, True])
def test_the_answer_has_the_shape_of_the_image_and_starts_at_zero(
    shape: tuple[int, int, int], adaptive: bool
) -> None:
    net = DDPMPlusPlus(shape, 3, width=8, adaptive=adaptive, answers=2)
    answer = net(*batch(shape), torch.tensor([0, 2]))
    assert torch.equal(answer, torch.zeros(2, 2 * shape[0], *shape[1:]))


@pytest.mark.parametrize("adaptive", [False, True])
def test_a_block_is_its_formula(adaptive: bool) -> None:
    torch.manual_seed(0)
    block = Block(4, 6, 5, dropout=0.0, adaptive=adaptive, resample=Halve()).eval()
    nn.init.normal_(block.conv2.weight)
    x, condition, silu = torch.randn(2, 4, 6, 6), torch.randn(2, 5), nn.functional.silu
    half = nn.functional.avg_pool2d
    h = block.conv1(half(silu(block.norm1(x)), 2))
    params = block.condition(condition)[:, :, None, None]
    if adaptive:
        scale, shift = params.chunk(2, dim=1)
        h = block.norm2(h) * (1 + scale) + shift
    else:
        h = block.norm2(h + params)
    expected = (block.skip(half(x, 2)) + block.conv2(silu(h))) / math.sqrt(2)
    torch.testing.assert_close(block(x, condition), expected)


def test_halving_takes_means_and_doubling_repeats() -> None:
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert Halve()(x)[0, 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert torch.equal(Halve()(Double()(x)), x)
    assert Halve()(torch.ones(1, 1, 5, 3)).shape == (1, 1, 3, 2)
    assert torch.equal(Halve()(torch.ones(1, 1, 5, 3)), torch.ones(1, 1, 3, 2))


def test_time_label_and_augmentation_reach_every_pixel() -> None:
    torch.manual_seed(0)
    net = DDPMPlusPlus((1, 8, 8), 3, width=8)
    net.take_labels()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    x, t = batch((1, 8, 8))
    y = torch.tensor([0, 1])
    answer = net(x, t, y)
    assert bool((answer != net(x, t + 0.1, y)).all())
    assert bool((answer != net(x, t, torch.tensor([2, 2]))).all())
    assert bool((answer != net(x, t, y, None, torch.ones(2, 9))).all())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 7}, "network.width is 7; it must be even"),
        ({"multipliers": [1, 2, 2, 2, 2]}, "too many for 8x8"),
        ({"attention_side": -1}, "network.attention_side is -1"),
        ({"dropout": 1.0}, "network.dropout is 1.0"),
    ],
)
def test_impossible_sizes_are_refused_with_the_value(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DDPMPlusPlus((1, 8, 8), **settings)
