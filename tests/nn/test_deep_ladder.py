"""The network of very deep VAEs: layers of latents, their divergences, and its start."""

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from genbench.nn.deep_ladder import DeepLadder, StochasticLayer
from genbench.probability.gaussian import gaussian_kl
from genbench.vaes.bound import Inference
from tests.nn.test_resnet import Shape, images, randomized

CIFAR10 = {
    "layers": [22, 11, 6, 3, 1],
    "blocks": [11, 6, 6, 3, 3],
    "latent_channels": 16,
    "width": 384,
    "bottleneck": 0.25,
    "out_channels": 100,
}
"""The published model: dec_blocks, enc_blocks, zdim and width of openai/vdvae, ten logistic components."""
SIDES = {4: (1, 4), 8: (1, 4, 8), 27: (1, 4, 7, 14, 27), 28: (1, 4, 7, 14, 28), 32: (1, 4, 8, 16, 32)}


def toy(shape: Shape = (1, 8, 8), classes: int = 0, layers: int | list[int] = 2) -> DeepLadder:
    torch.manual_seed(0)
    return DeepLadder(shape, classes, width=8, layers=layers, latent_channels=2, bottleneck=0.25)


def noise(net: DeepLadder, n: int = 2) -> Tensor:
    return torch.randn(n, net.latent, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (2, 9, 7), (3, 20, 12), (1, 4, 4), (1, 1, 1)])
def test_every_size_is_inferred_and_drawn(shape: Shape) -> None:
    net = toy(shape)
    q = net(noise(net), images(shape))
    assert q.output.shape == net(noise(net)).output.shape == (2, *shape)
    assert q.z.shape == q.mu.shape == q.logvar.shape == (2, net.latent)


@pytest.mark.parametrize("side", SIDES)
def test_maps_go_from_one_pixel_to_the_image(side: int) -> None:
    assert tuple(level.size[0] for level in toy((1, side, side)).levels) == SIDES[side]


def test_each_map_has_the_stochastic_layers_that_were_asked_for() -> None:
    net = toy(layers=[3, 1, 2])
    assert net.latents == [2, 2, 32, 128, 128, 128]
    assert toy(layers=[1, 2]).latents == [2, 2, 128]  # as many maps as a list has entries
    assert sum(isinstance(module, StochasticLayer) for module in net.modules()) == 6


def test_the_published_size_for_cifar10_has_39_million_parameters() -> None:
    with torch.device("meta"):
        net = DeepLadder((3, 32, 32), **CIFAR10)
    assert sum(p.numel() for p in net.parameters()) == 39_145_700
    assert len(net.latents) == 43


def by_layer(net: DeepLadder, q: Inference) -> list[Tensor]:
    """The KL of each layer, (B,) each, from the whitened numbers of an inference."""
    return [part.sum(1) for part in gaussian_kl(q.mu, q.logvar).split(net.latents, dim=1)]


def test_the_kl_of_each_layer_is_that_of_torch_distributions() -> None:
    net, expected = randomized(toy()), list[Tensor]()

    def note(layer: StochasticLayer, inputs: tuple[Tensor, Tensor, Tensor]) -> None:
        h, _, features = inputs
        mean, log_s = layer.prior(h)[:, : 2 * layer.latent].chunk(2, dim=1)
        of_q, log_s_q = layer.moments(h, features)
        kl = kl_divergence(Normal(of_q, log_s_q.exp()), Normal(mean, log_s.exp()))
        expected.append(kl.flatten(1).sum(1))

    for module in net.modules():
        if isinstance(module, StochasticLayer):
            module.register_forward_pre_hook(note)
    found = by_layer(net, net(noise(net), images((1, 8, 8))))
    assert len(found) == len(expected) == 6
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4)
        assert bool((theirs > 0.01).all())


def test_a_posterior_that_is_the_prior_costs_nothing_and_draws_the_same() -> None:
    net = toy()
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, StochasticLayer):
                module.posterior[-1].weight.zero_()  # N(0, I), as the prior is at first
    q, eps = net(noise(net), images((1, 8, 8))), noise(net)
    assert not gaussian_kl(q.mu, q.logvar).any()
    assert torch.equal(q.z, eps)
    assert torch.equal(q.output, net(eps).output)


def test_a_sample_is_the_top_down_pass_through_the_priors() -> None:
    """Layer by layer with z in its own coordinates, by the published formulas."""
    net = randomized(toy()).double()
    eps, h = noise(net).double(), torch.zeros(2, 1, 1, 1).double()
    with torch.no_grad():
        parts = list(eps.split(net.latents, dim=1))
        for level in net.levels:
            h = level.begin(h, None)
            for layer in level.layers:
                mean, log_s, feature = layer.prior(h).split((2, 2, 8), dim=1)
                z = Normal(mean, log_s.exp()).icdf(
                    Normal(0.0, 1.0).cdf(parts.pop(0).reshape(2, *h.shape[2:], 2).movedim(-1, 1))
                )
                h = h + feature + layer.inject(z)
                h = h + layer.block(h)
        expected = net.leave(h * net.gain + net.shift)
        assert torch.allclose(net(eps).output.double(), expected, atol=1e-4)


def test_what_is_inferred_is_decoded_alike_in_whitened_coordinates() -> None:
    net = randomized(toy())
    q = net(noise(net, 3), images((1, 8, 8), 3))
    assert torch.allclose(net(q.z).output, q.output, atol=1e-4)


def test_priors_begin_as_standard_normal_distributions_that_add_nothing() -> None:
    layer = StochasticLayer(8, 4, 2, (4, 4), scale=0.5)
    h = torch.randn(2, 8, 4, 4)
    assert not layer.prior(h).any()
    still, _ = layer(h, torch.zeros(2, 32), None)  # z = 0: the residual block alone
    assert torch.allclose(still, h + layer.block(h))


def test_residual_branches_begin_smaller_the_more_there_are() -> None:
    few, many = toy(layers=1), toy(layers=4)
    norms = [float(net.levels[0].layers[0].block[-1].weight.detach().norm()) for net in (few, many)]
    assert norms[0] / norms[1] == pytest.approx(2, rel=0.3)  # of 3 and of 12 layers, other draws


def test_labels_change_every_pixel_and_every_posterior() -> None:
    net = randomized(toy(classes=3))
    labels, x = [torch.full((2,), label) for label in (0, 1)], images((1, 8, 8))
    one, other = (net(noise(net), x, y) for y in labels)
    assert bool((one.mu != other.mu).all())
    drawn = [net(noise(net), None, y).output for y in labels]
    assert bool((drawn[0] != drawn[1]).all())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": 0}, r"network\.layers is 0"),
        ({"layers": [1] * 6}, r"network\.layers has 6 entries.*have 2 to 5 maps"),
        ({"layers": [1, 2], "blocks": [1, 1, 1]}, r"network\.blocks is \[1, 1, 1\]; it must have 2 entries"),
        ({"layers": [1]}, r"network\.layers has 1 entry, one for each map"),
        ({"layers": [1, 0, 2]}, r"network\.layers\[1\] is 0"),
        ({"bottleneck": 0.0}, r"network\.bottleneck is 0\.0"),
        ({"latent_channels": 0}, r"network\.latent_channels is 0"),
        ({"patch": 3}, r"network\.patch is 3"),
    ],
)
def test_sizes_that_cannot_be_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DeepLadder((1, 8, 8), width=8, **settings)
