"""The transformer denoiser: patches in, the same size out, the identity at first."""

import pytest
import torch
from torch import nn

from genbench.config.groups import option_file
from genbench.config.option_folders import read_option
from genbench.nn.dit import Attention, DiT, TextAttention, norm, to_map, to_patches
from genbench.nn.rotary import grid, rotations
from genbench.text.condition import Encoded, Encoding


def batch(shape: tuple[int, int, int], n: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    return torch.randn(n, *shape, generator=rng), torch.rand(n, generator=rng)


def randomized(net: nn.Module) -> nn.Module:
    """Give the layers that start at zero something to say."""
    torch.manual_seed(0)
    for p in net.parameters():
        nn.init.normal_(p, std=0.2)
    return net


def small(num_classes: int = 0, *, shape: tuple[int, int, int] = (1, 8, 8), context: int = 0) -> DiT:
    net = randomized(DiT(shape, num_classes, width=16, blocks=2, context=context))
    assert isinstance(net, DiT)
    return net


@pytest.mark.parametrize(
    ("shape", "patch"),
    [((1, 8, 8), 1), ((1, 8, 8), 8), ((3, 20, 12), 4), ((3, 27, 9), 3), ((4, 4, 4), 1), ((2, 1, 1), 1)],
)
def test_the_answer_has_the_shape_of_the_image(shape: tuple[int, int, int], patch: int) -> None:
    net = DiT(shape, width=16, blocks=1, patch=patch, answers=2)
    x, t = batch(shape)
    assert net(x, t).shape == (2, 2 * shape[0], *shape[1:])


def test_images_are_their_patches_and_patches_their_images() -> None:
    x = torch.arange(2 * 3 * 4 * 6.0).reshape(2, 3, 4, 6)
    patches = to_patches(x, 2)
    assert patches.shape == (2, 6, 12)
    assert torch.equal(patches[1, 4].sort().values, x[1, :, 2:4, 2:4].flatten().sort().values)
    assert torch.equal(to_map(patches, 2, (4, 6)), x)


def test_the_answer_starts_at_zero_and_each_block_as_the_identity() -> None:
    torch.manual_seed(0)
    net = DiT((1, 8, 8), 3, width=16, blocks=2, context=6)
    x, t = batch((1, 8, 8))
    assert torch.equal(net(x, t), torch.zeros_like(x))
    h, condition = torch.randn(2, 16, 16), torch.randn(2, 16)
    for block in net.blocks:
        assert torch.equal(block(h, condition, net.rotation, texts().own), h)


def test_time_and_label_reach_every_pixel() -> None:
    net = small(3)
    x, t = batch((1, 8, 8))
    y = torch.tensor([0, 1])
    answer = net(x, t, y)
    assert bool((answer != net(x, t + 0.1, y)).all())
    assert bool((answer != net(x, t, torch.tensor([2, 2]))).all())


def test_no_label_is_the_null_class() -> None:
    net = small(3)
    x, t = batch((1, 8, 8))
    assert torch.equal(net(x, t), net(x, t, torch.tensor([3, 3])))


def test_the_level_of_an_image_beside_xt_reaches_every_pixel() -> None:
    net = randomized(DiT((1, 8, 8), width=16, blocks=1, inputs=2))
    x, t = batch((2, 8, 8))
    assert net(x, t, None, t).shape == (2, 1, 8, 8)
    assert bool((net(x, t, None, t) != net(x, t, None, t + 0.1)).all())


def test_each_image_is_answered_on_its_own() -> None:
    net = small().double()
    x, t = (v.double() for v in batch((1, 8, 8), n=5))
    alone = torch.cat([net(x[i : i + 1], t[i : i + 1]) for i in range(5)])
    assert torch.allclose(net(x, t), alone, atol=1e-10)


def test_permuting_patches_with_their_places_permutes_the_answer() -> None:
    net = small(shape=(3, 8, 8)).double()
    x, t = (v.double() for v in batch((3, 8, 8)))
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    expected = to_patches(net(x, t), 2)[:, order]
    mixed = to_map(to_patches(x, 2)[:, order], 2, (8, 8))
    assert not torch.allclose(to_patches(net(mixed, t), 2), expected, atol=1e-3)
    net.position, net.rotation = net.position[order], net.rotation[:, order]
    assert torch.allclose(to_patches(net(mixed, t), 2), expected, atol=1e-10)


def test_norms_bound_logits_whatever_the_images() -> None:
    torch.manual_seed(0)
    layer, rotation = Attention(16, 2), rotations(grid(4, 4), 8)
    for scale in (1e-2, 1.0, 1e4):
        q, k, _ = layer.split(scale * torch.randn(2, 16, 16), rotation)
        logits = q @ k.transpose(2, 3) / 8**0.5
        assert float(logits.detach().abs().max()) <= 8**0.5 * (1 + 1e-5)


def test_attention_is_the_formula() -> None:
    torch.manual_seed(0)
    layer, rotation, x = Attention(16, 2), rotations(grid(4, 4), 8), torch.randn(2, 16, 16)
    q, k, v = layer.split(x, rotation)
    h = torch.softmax(q @ k.transpose(2, 3) / 8**0.5, dim=3) @ v
    expected = layer.out(h.transpose(1, 2).reshape(2, 16, 16))
    torch.testing.assert_close(layer(x, rotation), expected)


def test_the_norm_is_the_formula() -> None:
    x = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(norm(8)(x), x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt())


def test_the_derivative_along_a_path_is_that_of_finite_differences_and_can_be_trained_on() -> None:
    """As average velocities need it: forward mode in xt and t, then backward in the weights."""
    net = small(context=6).double()
    x, t, v = (each.double() for each in (*batch((1, 8, 8)), batch((1, 8, 8), n=2)[0].flip(0)))
    y = texts(dtype=torch.float64)
    answer, slope = torch.func.jvp(lambda a, b: net(a, b, y), (x, t), (v, torch.ones_like(t)))
    h = 1e-6
    expected = (net(x + h * v, t + h, y) - net(x - h * v, t - h, y)) / (2 * h)
    torch.testing.assert_close(slope, expected, atol=1e-4, rtol=1e-4)
    (answer - (answer - slope).detach()).square().mean().backward()
    assert all(p.grad is not None for p in net.parameters())


def texts(*, length: int = 4, seed: int = 0, dtype: torch.dtype = torch.float32) -> Encoded:
    rng = torch.Generator().manual_seed(seed)
    mask = torch.arange(length) < torch.tensor([[2], [3]])
    hidden, pooled = torch.randn(2, length, 6, generator=rng), torch.randn(2, 6, generator=rng)
    own = Encoding(hidden.to(dtype), mask, pooled.to(dtype))
    return Encoded(own, Encoding(own.hidden[:1], mask[:1], own.pooled[:1]))


def test_text_reaches_every_pixel_by_its_tokens_and_by_its_pooled_vector() -> None:
    net = small(context=6)
    x, t = batch((1, 8, 8))
    first, other = texts(), texts(seed=1)
    answer = net(x, t, first)
    for hidden, pooled in ((other.hidden, first.pooled), (first.hidden, other.pooled)):
        changed = Encoded(Encoding(hidden, first.mask, pooled), first.empty)
        assert bool((net(x, t, changed) != answer).all())


def test_padding_is_attended_by_no_patch() -> None:
    net = small(context=6)
    x, t = batch((1, 8, 8))
    first = texts()
    noisy = torch.where(first.mask[..., None], first.hidden, torch.tensor(1e3))
    longer = Encoding(
        torch.cat([noisy, torch.full((2, 3, 6), 7.0)], dim=1),
        torch.cat([first.mask, torch.zeros(2, 3, dtype=torch.bool)], dim=1),
        first.pooled,
    )
    torch.testing.assert_close(net(x, t, Encoded(longer, first.empty)), net(x, t, first))


def test_attention_to_text_is_the_formula_over_the_tokens_that_stand() -> None:
    torch.manual_seed(0)
    layer = TextAttention(8, 1, 6)
    nn.init.normal_(layer.out.weight)
    x, text = torch.randn(2, 9, 8), texts().own
    found = layer(x, text)
    for row, count in ((0, 2), (1, 3)):
        q = layer.norm_q(layer.q(layer.norm(x[row])))  # (9, 8)
        k, v = layer.kv(text.hidden[row, :count]).chunk(2, dim=1)  # (count, 8)
        h = torch.softmax(q @ layer.norm_k(k).T / 8**0.5, dim=1) @ v
        torch.testing.assert_close(found[row], layer.out(h))


def test_bfloat16_networks_answer_near_those_of_float32() -> None:
    net = small(context=6)
    x, t = batch((1, 8, 8))
    expected = net(x, t, texts())
    with torch.autocast("cpu", torch.bfloat16):
        found = net(x, t, texts())
    assert bool((found - expected).abs().max() < 0.05 * expected.abs().max())


@pytest.mark.parametrize(("name", "published"), [("dit_s", 33), ("dit_b", 130), ("dit_xl", 675)])
def test_the_sizes_of_the_paper_have_its_numbers_of_parameters(name: str, published: int) -> None:
    """On latents of 256x256 images, with 1000 classes and a learned variance, as in Table 4."""
    assert round(count(published_size(name)) / 1e6) == published


@pytest.mark.slow
def test_a_size_of_the_paper_differs_from_diffusers_by_what_the_docstring_names() -> None:
    diffusers = pytest.importorskip("diffusers")
    blocks, heads, head_size = 12, 12, 64
    with torch.device("meta"):
        theirs = diffusers.DiTTransformer2DModel(
            num_attention_heads=heads,
            attention_head_dim=head_size,
            num_layers=blocks,
            sample_size=32,
            out_channels=8,
        )
    norms = blocks * 2 * head_size  # of queries and keys
    # Each of their blocks embeds time and label anew, and ours all together.
    embedders = (blocks - 1) * count(theirs.transformer_blocks[0].norm1.emb)
    assert count(published_size("dit_b")) == count(theirs) + norms - embedders


def count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def published_size(name: str) -> DiT:
    """The network of an option of conf/network, without memory for its weights."""
    path = option_file("network", name)
    assert path is not None
    sizes = {key: read_option(path)[key] for key in ("width", "blocks", "heads", "patch")}
    with torch.device("meta"):
        return DiT((4, 32, 32), 1000, answers=2, **sizes)


IMPOSSIBLE = [
    ({"patch": 3}, r"network.patch is 3; it must divide the sides of 8x8 images: choose from 1, 2, 4, 8"),
    ({"patch": 0}, r"network.patch is 0; .*choose from 1, 2, 4, 8"),
    ({"heads": 3}, r"network.heads is 3; it must divide network.width=16 .*choose from 1, 2, 4$"),
    ({"heads": 8}, r"network.heads is 8; .* heads of a multiple of 4 channels.*choose from 1, 2, 4$"),
    ({"heads": 0}, r"network.heads is 0"),
    ({"width": 10}, r"network.width is 10; it must be a multiple of 4"),
    ({"width": 0}, r"network.width is 0"),
    ({"blocks": 0}, r"network.blocks is 0"),
    ({"context": -1}, r"network.context is -1"),
]


@pytest.mark.parametrize(("changed", "message"), IMPOSSIBLE)
def test_impossible_sizes_are_refused_with_the_value(changed: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DiT((1, 8, 8), **{"width": 16, **changed})


@pytest.mark.slow
def test_it_compiles_as_one_graph() -> None:
    net, (x, t) = small(3), batch((1, 8, 8))
    whole = torch.compile(net, backend="eager", fullgraph=True)
    assert torch.equal(whole(x, t, torch.tensor([0, 1])), net(x, t, torch.tensor([0, 1])))
