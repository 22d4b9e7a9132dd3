"""The networks of R3GAN, held to what is published of them and to closed forms."""

import math
from typing import TypeVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.gans.penalty import squared_slopes
from genbench.nn.r3gan import Doubling, Halving, R3GANDiscriminator, R3GANGenerator, Residual
from genbench.runtime.precision import BFloat16

Network = TypeVar("Network", bound=nn.Module)
SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64), (2, 9, 5), (1, 1, 7), (1, 4, 20)]
SMALL = (2, 9, 5)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def generator(shape: tuple[int, int, int] = SMALL, classes: int = 0) -> R3GANGenerator:
    return R3GANGenerator(shape, classes, latent_size=5, width=4, blocks=1, group_size=4)


def discriminator(shape: tuple[int, int, int] = SMALL, classes: int = 0) -> R3GANDiscriminator:
    return R3GANDiscriminator(shape, classes, width=4, blocks=1, group_size=4)


def shaken(network: Network) -> Network:
    """Random weights everywhere, from which no residual branch is 0."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return network


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_images_of_any_size_are_made_and_read(shape: tuple[int, int, int]) -> None:
    images = generator(shape)(torch.randn(2, 5))
    assert images.shape == (2, *shape)
    assert discriminator(shape)(images).shape == (2,)


@pytest.mark.parametrize(("side", "basis"), [(5, 5), (8, 4), (28, 7), (32, 4), (64, 4), (256, 4)], ids=str)
def test_the_basis_is_4x4_where_sides_are_powers_of_two_and_7x7_for_28(side: int, basis: int) -> None:
    shape = (1, side, side)
    assert generator(shape).basis.shape == (4, basis, basis)
    assert discriminator(shape).basis.shape == (4, basis, basis)


def test_a_residual_block_is_the_identity_at_the_start() -> None:
    x = torch.randn(2, 8, 3, 3)
    block = Residual(8, 4, gain=1.0)
    assert torch.equal(block(x), x)
    assert not torch.allclose(shaken(block)(x), x)


def test_both_networks_are_linear_at_the_start() -> None:
    """Residual branches are 0 then, and nothing else is nonlinear or has a constant."""
    make, read = generator((1, 8, 8)).double(), discriminator((1, 8, 8)).double()
    z, w = torch.randn(2, 3, 5, dtype=torch.float64)
    torch.testing.assert_close(make(2 * z - 3 * w), 2 * make(z) - 3 * make(w))
    torch.testing.assert_close(read(make(2 * z - 3 * w)), 2 * read(make(z)) - 3 * read(make(w)))
    assert not torch.allclose(shaken(make)(z + w), make(z) + make(w))


def test_an_image_follows_its_own_latent_and_a_logit_its_own_image_alone() -> None:
    make, read, z = shaken(generator()), shaken(discriminator()), torch.randn(4, 5)
    images = make(z)
    torch.testing.assert_close(images[1:2], make(z[1:2]))
    torch.testing.assert_close(read(images)[1:2], read(images[1:2]))


def test_labels_change_images_and_logits() -> None:
    y, z = torch.tensor([0, 2]), torch.randn(1, 5).expand(2, 5)
    images = generator(classes=3)(z, y)
    assert not torch.allclose(images[0], images[1])
    logits = discriminator(classes=3)(images[:1].expand(2, -1, -1, -1), y)
    assert not torch.allclose(logits[0], logits[1])


def test_a_logit_is_linear_in_the_embedding_of_its_label() -> None:
    read, x = shaken(discriminator(classes=2)), torch.randn(3, *SMALL)
    assert read.label is not None
    with torch.no_grad():
        read.label.weight[1] = -2 * read.label.weight[0]
    torch.testing.assert_close(read(x, torch.ones(3).long()), -2 * read(x, torch.zeros(3).long()))


def test_resampling_is_the_published_filter_of_doubled_and_of_averaged_pixels() -> None:
    """[1, 2, 1] / 4 on each axis, of zeros beyond the border."""
    x = torch.randn(2, 3, 6, 8, dtype=torch.float64)
    axis = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64) / 4
    blur = axis.outer(axis).repeat(3, 1, 1, 1)
    up = F.conv2d(F.interpolate(x, scale_factor=2), blur, padding=1, groups=3)
    down = F.avg_pool2d(F.conv2d(x, blur, padding=1, groups=3), 2)
    torch.testing.assert_close(Doubling(3, 3).double()(x, (12, 16)), up)
    torch.testing.assert_close(Halving(3, 3).double()(x), down)


def test_resampling_keeps_constants_and_means_away_from_the_border() -> None:
    up, down = Doubling(1, 1)(torch.ones(1, 1, 4, 4), (8, 8)), Halving(1, 1)(torch.ones(1, 1, 8, 8))
    torch.testing.assert_close(up[:, :, 1:-1, 1:-1], torch.ones(1, 1, 6, 6))
    torch.testing.assert_close(down[:, :, 1:-1, 1:-1], torch.ones(1, 1, 2, 2))
    dot = torch.zeros(1, 1, 8, 8)
    dot[0, 0, 2, 3] = 5.0
    torch.testing.assert_close(Doubling(1, 1)(dot, (16, 16)).mean(), dot.mean())
    torch.testing.assert_close(Halving(1, 1)(dot).mean(), dot.mean())


def test_odd_maps_are_halved_rounding_up_and_doubled_without_the_last_row() -> None:
    x = torch.randn(1, 2, 5, 3)
    padded = F.pad(x, (0, 1, 0, 1))
    torch.testing.assert_close(Halving(2, 2)(x), Halving(2, 2)(padded))
    torch.testing.assert_close(Doubling(2, 2)(x, (9, 6)), Doubling(2, 2)(x, (10, 6))[:, :, :9])


def of_a_block(channels: int, group_size: int) -> int:
    """Weights of one block as published: two 1x1 layers, a grouped 3x3 layer, two activations with a bias."""
    hidden = 2 * channels
    return 2 * channels * hidden + hidden * group_size * 9 + 2 * hidden


def of_a_generator(maps: int, channels: int, classes: int, *, width: int, group_size: int) -> int:
    """Weights of a generator of latents of 64 numbers with two blocks at each map, all of the same width."""
    labels = 64 * classes + 64 * width if classes else 0
    return 2 * maps * of_a_block(width, group_size) + 16 * width + 64 * width + width * channels + labels


@pytest.mark.parametrize("classes", [0, 10])
def test_numbers_of_weights_are_those_of_the_published_layers(classes: int) -> None:
    shape, sizes = (3, 16, 16), {"width": 32, "blocks": 2, "group_size": 8}
    expected = of_a_generator(3, 3, classes, width=32, group_size=8)
    assert weights(R3GANGenerator(shape, classes, **sizes)) == expected
    of_labels = 64 * classes + 64 * 32 if classes else 0
    mirrored = expected - 64 * 32 - of_labels + (32 * 32 + classes * 32 if classes else 32)
    assert weights(R3GANDiscriminator(shape, classes, **sizes)) == mirrored


def test_published_generators_have_20_7_and_104_million_weights() -> None:
    """Of CIFAR-10 and of ImageNet 64x64, without memory for their weights."""
    with torch.device("meta"):
        cifar10 = R3GANGenerator((3, 32, 32), width=768, blocks=2, group_size=16)
        imagenet64 = R3GANGenerator((3, 64, 64), 1000, width=1536, blocks=2, group_size=32)
    assert weights(cifar10) == of_a_generator(4, 3, 0, width=768, group_size=16) == 20_732_160
    assert round(weights(imagenet64) / 1e6) == 104


def weights(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_weights_of_branches_shrink_with_the_number_of_blocks() -> None:
    """By L^(-1/4) for L blocks in all, from the scale by which a leaky ReLU keeps variances."""
    for blocks in (1, 4):  # on two maps
        network = R3GANGenerator((1, 8, 8), width=64, blocks=blocks, group_size=16)
        block = network.stages[0][0]
        scale = math.sqrt(2 / 1.04) * (2 * blocks) ** -0.25
        assert float(block.expand.weight.detach().std()) == pytest.approx(scale / math.sqrt(64), rel=0.05)
        assert float(block.group.weight.detach().std()) == pytest.approx(scale / math.sqrt(16 * 9), rel=0.05)


def test_slopes_of_slopes_are_exact_through_grouped_convolutions_and_filters() -> None:
    read = shaken(R3GANDiscriminator((1, 8, 8), width=2, blocks=1, group_size=2)).double()
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    weight = read.stages[0][0].group.weight

    def penalty() -> Tensor:
        return torch.autograd.grad(read(x).sum(), x, create_graph=True)[0].square().sum()

    (found,) = torch.autograd.grad(penalty(), weight)
    direction, step = torch.randn_like(weight), 1e-4
    with torch.no_grad():
        weight += step * direction
    above = penalty().detach()
    with torch.no_grad():
        weight -= 2 * step * direction
    below = penalty().detach()
    assert float((found * direction).sum()) == pytest.approx(float((above - below) / (2 * step)), rel=1e-3)


def test_mixed_precision_has_finite_slopes_of_slopes() -> None:
    read, x = shaken(discriminator()), torch.randn(4, *SMALL, requires_grad=True)
    BFloat16().apply([read], torch.device("cpu"))
    logits = read(x)
    assert logits.dtype == torch.float32
    squared_slopes(logits, x).sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in read.parameters() if p.grad is not None)


@pytest.mark.parametrize("network", [R3GANGenerator, R3GANDiscriminator])
def test_impossible_sizes_are_refused(network: type) -> None:
    with pytest.raises(ValueError, match=r"group_size is 3; it must divide the 8 channels inside a block of"):
        network(SMALL, width=4, group_size=3)
    with pytest.raises(ValueError, match=r"network\.(generator|discriminator)\.blocks is 0; it must be"):
        network(SMALL, blocks=0)
    with pytest.raises(ValueError, match=r"multipliers is \[1\]; it must be null or 2 whole numbers"):
        network(SMALL, multipliers=[1])
