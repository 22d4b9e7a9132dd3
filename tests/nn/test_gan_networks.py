"""Generators and discriminators of GANs: plain and residual ones are held to the same rules."""

import copy

import pytest
import torch
from torch import Tensor, nn

from genbench.generator import Generator, Loss, Rng
from genbench.nn.dcgan import DCGANDiscriminator, DCGANGenerator
from genbench.nn.gan_blocks import MinibatchStd, ProjectionHead, halvings, spectral
from genbench.nn.resgan import ResidualDiscriminator, ResidualGenerator
from genbench.runtime.precision import BFloat16
from genbench.training.ema import Ema

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64), (2, 9, 5), (1, 1, 7), (1, 4, 20)]
GENERATORS = [DCGANGenerator, ResidualGenerator]
DISCRIMINATORS = [DCGANDiscriminator, ResidualDiscriminator]
SMALL = (2, 9, 5)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("generator", GENERATORS)
def test_generators_make_images_of_any_size_within_range(
    generator: type, shape: tuple[int, int, int]
) -> None:
    images = generator(shape, latent_size=5, width=4)(torch.randn(2, 5))
    assert images.shape == (2, *shape)
    assert float(images.detach().abs().max()) <= 1


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("discriminator", DISCRIMINATORS)
def test_discriminators_take_images_of_any_size(discriminator: type, shape: tuple[int, int, int]) -> None:
    logits = discriminator(shape, width=4, spectral_norm=True, minibatch_std=True)(torch.randn(3, *shape))
    assert logits.shape == (3,)


@pytest.mark.parametrize("generator", GENERATORS)
def test_each_image_follows_its_own_latent_alone(generator: type) -> None:
    network, z = generator(SMALL, latent_size=5, width=8), torch.randn(4, 5)
    torch.testing.assert_close(network(z)[1:2], network(z[1:2]))
    assert not torch.allclose(network(z)[0], network(z)[1])


@pytest.mark.parametrize("discriminator", DISCRIMINATORS)
def test_each_logit_follows_its_own_image_alone_without_the_batch_statistic(discriminator: type) -> None:
    x = torch.randn(4, *SMALL)
    network = discriminator(SMALL, width=4)
    torch.testing.assert_close(network(x)[1:2], network(x[1:2]))
    network = discriminator(SMALL, width=4, minibatch_std=True)
    assert not torch.allclose(network(x)[1:2], network(x[1:2]))


@pytest.mark.parametrize("generator", GENERATORS)
def test_labels_change_the_images(generator: type) -> None:
    network, z = generator(SMALL, 3, latent_size=5, width=4), torch.randn(1, 5).expand(2, 5)
    first, second = network(z, torch.tensor([0, 2]))
    assert not torch.allclose(first, second)


@pytest.mark.parametrize("discriminator", DISCRIMINATORS)
def test_labels_shift_logits_by_the_product_of_embedding_and_features(discriminator: type) -> None:
    network, x = discriminator(SMALL, 3, width=4).eval(), torch.randn(4, *SMALL)
    y = torch.tensor([0, 1, 2, 0])
    features = network.features(x)
    shift = (network.head.label.weight[y] * features).sum(1)
    common = network.head.linear(features).squeeze(1)
    torch.testing.assert_close(network(x, y), common + shift)


@pytest.mark.parametrize("discriminator", DISCRIMINATORS)
def test_spectral_norm_bounds_each_weight_to_1(discriminator: type) -> None:
    network, x = discriminator(SMALL, 3, width=4, spectral_norm=True), torch.randn(4, *SMALL)
    for module in network.modules():  # from far away
        if nn.utils.parametrize.is_parametrized(module):
            module.parametrizations.weight.original.data.mul_(50)
    for _ in range(200):
        network(x, torch.tensor([0, 1, 2, 0]))
    weights = [m.weight for m in network.eval().modules() if nn.utils.parametrize.is_parametrized(m)]
    assert len(weights) >= 4
    for weight in weights:
        top = torch.linalg.matrix_norm(weight.detach().flatten(1), 2)
        assert float(top) == pytest.approx(1, abs=0.02)


def test_without_spectral_norm_a_layer_is_left_alone() -> None:
    layer = nn.Linear(2, 3)
    assert spectral(layer, on=False) is layer
    assert not nn.utils.parametrize.is_parametrized(layer)


class Toy(Generator):
    """A spectrally normalised layer that a training would own."""

    def __init__(self) -> None:
        super().__init__((1, 1, 1))
        self.network = ProjectionHead(6, 2, spectral_norm=True)

    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> Loss:
        raise NotImplementedError

    def sample(self, n: int, y: Tensor | None = None, *, rng: Rng | None = None) -> Tensor:
        raise NotImplementedError


def test_an_average_of_weights_takes_spectral_norm_along() -> None:
    model, h, y = Toy(), torch.randn(4, 6), torch.tensor([0, 1, 1, 0])
    ema = Ema(model, halflife_images=1.0, rampup=None)
    for _ in range(3):
        model.network(h, y)  # moves the vectors of the power iteration
        for p in model.parameters():
            p.data.add_(torch.randn_like(p))
    ema.update(images=1000, images_seen=1000)
    torch.testing.assert_close(ema.model.network(h, y), model.eval().network(h, y))
    twin = Toy()
    twin.load_state_dict(copy.deepcopy(model.state_dict()))
    assert torch.equal(twin.eval().network(h, y), model.network(h, y))


@pytest.mark.parametrize("network", DISCRIMINATORS)
def test_spectral_norm_works_in_mixed_precision_with_slopes_of_slopes(network: type) -> None:
    discriminator = network(SMALL, width=8, spectral_norm=True)
    BFloat16().apply([discriminator], torch.device("cpu"))
    x = torch.randn(4, *SMALL, requires_grad=True)
    logits = discriminator(x)
    assert logits.dtype == torch.float32
    (slope,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    slope.square().sum().backward()
    gradients = [p.grad for p in discriminator.parameters() if p.grad is not None]
    assert all(bool(g.isfinite().all()) for g in gradients)


def test_the_batch_statistic_is_the_mean_deviation_over_the_batch() -> None:
    x = torch.zeros(2, 3, 2, 2)
    x[0, 0] = 2.0  # deviation 1 in a third of the places
    out = MinibatchStd()(x)
    assert out.shape == (2, 4, 2, 2)
    assert torch.equal(out[:, :3], x)
    torch.testing.assert_close(out[:, 3], torch.full((2, 2, 2), 1 / 3), atol=1e-3, rtol=0)


def test_the_batch_statistic_of_one_image_is_almost_0_and_has_a_slope() -> None:
    x = torch.ones(1, 1, 2, 2, requires_grad=True)
    out = MinibatchStd()(x)
    out.sum().backward()
    assert float(out[:, 1].detach().max()) < 1e-3
    assert bool(x.grad.isfinite().all())


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((28, 28), [(28, 28), (14, 14), (7, 7), (4, 4)]),
        ((8, 8), [(8, 8), (4, 4), (2, 2)]),
        ((64, 64), [(64, 64), (32, 32), (16, 16), (8, 8), (4, 4)]),
        ((9, 1), [(9, 1), (5, 1), (3, 1)]),
    ],
)
def test_maps_halve_down_to_4(size: tuple[int, int], expected: list[tuple[int, int]]) -> None:
    assert halvings(*size) == expected


@pytest.mark.parametrize("network", [*GENERATORS, *DISCRIMINATORS])
def test_impossible_widths_are_refused(network: type) -> None:
    with pytest.raises(ValueError, match=r"network\.(generator|discriminator)\.width is 0; it must be"):
        network(SMALL, width=0)
    with pytest.raises(ValueError, match=r"multipliers is \[1\]; it must be null or . whole numbers"):
        network(SMALL, multipliers=[1])
