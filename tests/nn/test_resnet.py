"""Encoders and decoders: any size in and out, labels and latents reach every pixel."""

import pytest
import torch
from torch import nn

from genbench.nn.ladder import Ladder
from genbench.nn.resnet import Decoder, Encoder, MapDecoder, MapEncoder
from genbench.nn.sizes import Sizes

SIZES = [
    ((1, 8, 8), 1, None),
    ((1, 28, 28), 1, None),
    ((1, 28, 28), 2, None),
    ((3, 32, 32), 2, None),
    ((3, 64, 64), 4, None),
    ((1, 27, 27), 1, None),
    ((3, 20, 12), 2, [1, 2]),
]
Shape = tuple[int, int, int]


def images(shape: Shape, n: int = 2) -> torch.Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(0))


def randomized(net: nn.Module) -> nn.Module:
    """Give the layers that start at zero something to say."""
    torch.manual_seed(0)
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.1)
    return net


@pytest.mark.parametrize(("shape", "patch", "multipliers"), SIZES)
def test_vectors_and_images_have_their_shapes(
    shape: Shape, patch: int, multipliers: list[int] | None
) -> None:
    settings = {"latent": 5, "width": 8, "patch": patch, "multipliers": multipliers}
    moments = Encoder(shape, **settings)(images(shape))
    assert moments.shape == (2, 10)
    assert Decoder(shape, **settings)(moments[:, :5]).shape == (2, *shape)
    assert Encoder(shape, moments=1, **settings)(images(shape)).shape == (2, 5)


@pytest.mark.parametrize(("shape", "patch", "multipliers"), SIZES)
def test_maps_have_the_smallest_size_and_come_back(
    shape: Shape, patch: int, multipliers: list[int] | None
) -> None:
    settings = {"width": 8, "patch": patch, "multipliers": multipliers}
    z = MapEncoder(shape, out_channels=3, **settings)(images(shape))
    sizes = Sizes(shape, 0, 8, multipliers, blocks=1, patch=patch, dropout=0.0)
    assert z.shape == (2, 3, *sizes.maps[-1])
    assert MapDecoder(shape, in_channels=3, **settings)(z).shape == (2, *shape)


@pytest.mark.parametrize(("shape", "patch", "multipliers"), SIZES)
def test_ladders_have_the_shapes_of_their_images(
    shape: Shape, patch: int, multipliers: list[int] | None
) -> None:
    net = Ladder(shape, width=8, patch=patch, multipliers=multipliers)
    eps = torch.randn(2, net.latent)
    q = net(eps, images(shape))
    assert q.output.shape == (2, *shape)
    assert q.z.shape == q.mu.shape == q.logvar.shape == eps.shape
    assert net(eps).output.shape == (2, *shape)


def test_every_number_of_the_latent_reaches_every_pixel() -> None:
    net, z = randomized(Decoder((1, 8, 8), latent=4, width=8)), torch.zeros(1, 4)
    for j in range(4):
        assert bool((net(z + torch.eye(4)[j]) != net(z)).all())


@pytest.mark.parametrize(
    "net",
    [
        Encoder((1, 8, 8), 3, latent=4, width=8),
        MapEncoder((1, 8, 8), 3, out_channels=4, width=8),
    ],
    ids=lambda net: type(net).__name__,
)
def test_labels_change_the_code(net: nn.Module) -> None:
    randomized(net)
    x = images((1, 8, 8))
    answers = [net(x, torch.full((2,), label)) for label in (0, 1)]
    assert bool((answers[0] != answers[1]).all())


def test_labels_change_every_pixel() -> None:
    vectors, maps = (
        randomized(Decoder((1, 8, 8), 3, latent=4, width=8)),
        randomized(MapDecoder((1, 8, 8), 3, in_channels=4, width=8)),
    )
    ladder = randomized(Ladder((1, 8, 8), 3, width=8))
    labels = [torch.full((2,), label) for label in (0, 1)]
    for net, z in ((vectors, torch.randn(2, 4)), (maps, torch.randn(2, 4, 4, 4))):
        assert bool((net(z, labels[0]) != net(z, labels[1])).all())
    eps = torch.randn(2, ladder.latent)
    assert bool((ladder(eps, None, labels[0]).output != ladder(eps, None, labels[1]).output).all())


def test_without_images_a_ladder_draws_from_its_prior() -> None:
    net = randomized(Ladder((1, 8, 8), width=8))
    eps = torch.randn(3, net.latent)
    q = net(eps)
    assert torch.equal(q.z, eps)
    assert not q.mu.any()
    assert not q.logvar.any()


def test_a_ladder_decodes_what_it_inferred() -> None:
    net = randomized(Ladder((1, 8, 8), width=8)).double()
    q = net(torch.randn(3, net.latent).double(), images((1, 8, 8), 3).double())
    assert torch.allclose(net(q.z).output, q.output, atol=1e-5)  # the posterior's moments are float32


def test_a_finer_latent_layer_is_inferred_given_the_coarser_ones() -> None:
    net, x = randomized(Ladder((1, 8, 8), width=8)), images((1, 8, 8))
    eps = torch.zeros(2, net.latent)
    other = eps.clone()
    other[:, 0] = 3.0
    first, second = net(eps, x), net(other, x)
    top = net.latents[0]
    assert torch.equal(first.mu[:, :top], second.mu[:, :top])
    assert bool((first.mu[:, top:] != second.mu[:, top:]).any())


def test_each_image_is_answered_on_its_own() -> None:
    net, x = randomized(Encoder((1, 8, 8), latent=4, width=8)).double(), images((1, 8, 8), 5).double()
    alone = torch.cat([net(x[i : i + 1]) for i in range(5)])
    assert torch.allclose(net(x), alone, atol=1e-10)


def test_impossible_sizes_are_refused_with_the_value() -> None:
    with pytest.raises(ValueError, match=r"network\.patch is 3"):
        Encoder((1, 8, 8), latent=4, patch=3)
    with pytest.raises(ValueError, match=r"network\.latent is 0"):
        Decoder((1, 8, 8), latent=0)
    with pytest.raises(ValueError, match="too many for 8x8"):
        Ladder((1, 8, 8), multipliers=[1] * 6)
