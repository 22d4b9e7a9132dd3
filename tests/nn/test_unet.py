"""The U-Net: any size in, the same size out."""

import pytest
import torch

from genbench.nn.unet import CrossAttention, UNet
from genbench.text.condition import Encoded, Encoding


def batch(shape: tuple[int, int, int], n: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    return torch.randn(n, *shape, generator=rng), torch.rand(n, generator=rng)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("side", "patch"), [(8, 1), (8, 2), (28, 1), (28, 2), (32, 1), (32, 2), (64, 2), (64, 4), (27, 1)]
)
def test_the_answer_has_the_shape_of_the_image(channels: int, side: int, patch: int) -> None:
    shape = (channels, side, side)
    net = UNet(shape, width=8, blocks=1, patch=patch)
    assert net(*batch(shape)).shape == (2, *shape)


def test_oblong_images_and_other_output_channels_work() -> None:
    net = UNet((3, 20, 12), width=8, blocks=1, patch=2, multipliers=[1, 2], answers=2)
    assert net(*batch((3, 20, 12))).shape == (2, 6, 20, 12)


def test_the_network_of_the_paper_has_its_number_of_parameters() -> None:
    net = UNet((3, 32, 32), width=128, multipliers=[1, 2, 2, 2], attention_side=16, patch=1, dropout=0.1)
    millions = sum(p.numel() for p in net.parameters()) / 1e6
    # Ho et al. 2020, Appendix B: 35.7 M. Ours conditions by scale and shift, twice their projection.
    assert 35.7 <= millions <= 46


def test_the_answer_starts_at_zero() -> None:
    net = UNet((1, 8, 8), width=8, blocks=1)
    assert torch.equal(net(*batch((1, 8, 8))), torch.zeros(2, 1, 8, 8))


def randomized(net: UNet) -> UNet:
    """Give the layers that start at zero something to say."""
    torch.manual_seed(0)
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.1)
    return net


def test_time_and_label_reach_every_pixel() -> None:
    net = randomized(UNet((1, 8, 8), 3, width=8, blocks=1))
    x, t = batch((1, 8, 8))
    y = torch.tensor([0, 1])
    answer = net(x, t, y)
    assert bool((answer != net(x, t + 0.1, y)).all())
    assert bool((answer != net(x, t, torch.tensor([2, 2]))).all())


def test_no_label_is_the_null_class() -> None:
    net = randomized(UNet((1, 8, 8), 3, width=8, blocks=1))
    x, t = batch((1, 8, 8))
    assert torch.equal(net(x, t), net(x, t, torch.tensor([3, 3])))


def test_each_image_is_answered_on_its_own() -> None:
    net = randomized(UNet((1, 8, 8), width=8, blocks=1)).double()
    x, t = (v.double() for v in batch((1, 8, 8), n=5))
    alone = torch.cat([net(x[i : i + 1], t[i : i + 1]) for i in range(5)])
    assert torch.allclose(net(x, t), alone, atol=1e-10)  # float64; batch-dependent blocking of products


def test_channels_last_gives_the_same_answer() -> None:
    net = randomized(UNet((1, 8, 8), width=8, blocks=1)).double()
    x, t = (v.double() for v in batch((1, 8, 8)))
    expected = net(x, t)
    net = net.to(memory_format=torch.channels_last)
    assert torch.allclose(net(x.contiguous(memory_format=torch.channels_last), t), expected, atol=1e-10)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patch": 3}, "network.patch is 3"),
        ({"patch": 0}, "network.patch is 0"),
        ({"width": 7}, "network.width is 7; it must be even"),
        ({"blocks": 0}, "network.blocks is 0"),
        ({"multipliers": []}, "network.multipliers"),
        ({"multipliers": [1, 2, 2, 2, 2]}, "too many for 8x8"),
    ],
)
def test_impossible_sizes_are_refused_with_the_value(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UNet((1, 8, 8), **settings)


def texts(*, length: int = 4, width: int = 6, seed: int = 0) -> Encoded:
    rng = torch.Generator().manual_seed(seed)
    mask = torch.arange(length) < torch.tensor([[2], [3]])
    own = Encoding(torch.randn(2, length, width, generator=rng), mask, torch.randn(2, width, generator=rng))
    return Encoded(own, Encoding(own.hidden[:1], mask[:1], own.pooled[:1]))


def test_without_text_weights_and_answers_are_as_if_there_were_none() -> None:
    """The names of the parameters, their order and their first values: what recorded runs have."""
    torch.manual_seed(0)
    plain = UNet((1, 8, 8), 3, width=8, blocks=1)
    after = torch.rand(())
    torch.manual_seed(0)
    same = UNet((1, 8, 8), 3, width=8, blocks=1, context=0)
    assert torch.rand(()) == after
    assert [name for name, _ in same.named_parameters()] == [name for name, _ in plain.named_parameters()]
    assert not any("text" in name for name in plain.state_dict())


def test_text_reaches_every_pixel_by_its_tokens_and_by_its_pooled_vector() -> None:
    net = randomized(UNet((1, 8, 8), width=8, blocks=1, patch=1, context=6))
    x, t = batch((1, 8, 8))
    first, other = texts(), texts(seed=1)
    answer = net(x, t, first)
    for hidden, pooled in ((other.hidden, first.pooled), (first.hidden, other.pooled)):
        changed = Encoded(Encoding(hidden, first.mask, pooled), first.empty)
        assert bool((net(x, t, changed) != answer).all())


def test_padding_is_attended_by_no_pixel() -> None:
    net = randomized(UNet((1, 8, 8), width=8, blocks=1, patch=1, context=6))
    x, t = batch((1, 8, 8))
    first = texts()
    noisy = torch.where(first.mask[..., None], first.hidden, torch.tensor(1e3))
    found = net(x, t, Encoded(Encoding(noisy, first.mask, first.pooled), first.empty))
    assert torch.allclose(found, net(x, t, first), atol=1e-6)


def test_attention_to_text_is_the_formula_over_the_tokens_that_stand() -> None:
    torch.manual_seed(0)
    layer = CrossAttention(8, 6, (3, 3))
    torch.nn.init.normal_(layer.out.weight)
    x, text = torch.randn(2, 8, 3, 3), texts()
    found = layer(x, text)
    for row, count in ((0, 2), (1, 3)):
        q = layer.q(layer.norm(x[row : row + 1]) + layer.position)[0].flatten(1).T  # (9, 8)
        k, v = layer.kv(text.hidden[row, :count]).chunk(2, dim=1)  # (count, 8)
        h = torch.softmax(q @ k.T / 8**0.5, dim=1) @ v
        expected = x[row] + layer.out(h.T.reshape(1, 8, 3, 3))[0]
        assert torch.allclose(found[row], expected, atol=1e-5)


def test_attention_to_text_starts_as_the_identity() -> None:
    x = torch.randn(2, 8, 3, 3)
    assert torch.equal(CrossAttention(8, 6, (3, 3))(x, texts()), x)


def test_a_context_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"network\.context is -1"):
        UNet((1, 8, 8), context=-1)
