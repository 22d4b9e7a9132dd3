"""The autoregressive family: what it draws and completes follows its own probabilities."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from genbench.autoregressive.network import CausalNetwork
from genbench.autoregressive.pixel_law import Categorical, LogisticMixture, PixelLaw
from genbench.data import to_uint8
from genbench.families.autoregressive import Autoregressive
from genbench.metrics import PassCounter
from genbench.runtime.precision import BFloat16
from genbench.training.flops import count
from tests.autoregressive.laws import CASES, NETWORKS, Shape, all_images, images, labels

Make = Callable[[Shape, int, PixelLaw], CausalNetwork]
SHAPE, DRAWS = (1, 2, 2), 10_000


def model(make: Make, shape: Shape = SHAPE, classes: int = 0, law: PixelLaw | None = None) -> Autoregressive:
    network = make(shape, classes, law or Categorical(2))
    return Autoregressive(shape, classes, network=network).eval()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def drawn_uncached(model: Autoregressive, n: int, y: Tensor | None, rng: torch.Generator) -> Tensor:
    """Samples from the answers for whole images, of which one a pass is used."""
    network = model.network
    tokens = torch.zeros(n, network.length, network.channels)
    for i in range(network.length):
        tokens[:, i] = network.law.sample(network(network.to_images(tokens), y)[:, i], rng=rng)
    return network.to_images(tokens)


@pytest.mark.parametrize(("make", "shape", "law", "classes"), CASES)
def test_cached_samples_are_the_uncached_ones_bit_for_bit(
    make: Make, shape: Shape, law: PixelLaw, classes: int
) -> None:
    """Answers differ in the last digits of float32 (sums in another order), the bytes drawn do not."""
    net, y = model(make, shape, classes, law), labels(4, classes)
    cached = net.sample(4, y, rng=seeded())
    assert torch.equal(to_uint8(cached), to_uint8(drawn_uncached(net, 4, y, seeded())))


@pytest.mark.parametrize("make", NETWORKS)
def test_a_sample_costs_a_pass_a_token_and_a_fraction_of_the_uncached_work(make: Make) -> None:
    net = model(make, (1, 5, 5), law=LogisticMixture(2))
    with PassCounter(net.networks()) as counter:
        cached = count(lambda: net.sample(3, rng=seeded()))
    assert counter.passes(3) == 25
    # Whole images would be 25 passes of 25 answers each.
    assert cached < 0.15 * count(lambda: drawn_uncached(net, 3, None, seeded()))


@pytest.mark.parametrize("law", [Categorical(), LogisticMixture(2)], ids=["channels", "pixels"])
@pytest.mark.parametrize("frames", [2, 7, 60])
def test_a_trajectory_is_the_sample_as_far_as_it_is_drawn(law: PixelLaw, frames: int) -> None:
    net = model(NETWORKS[0], (3, 4, 4), law=law)
    states = net.trajectory(2, rng=seeded(), frames=frames)
    final, length = net.network.to_tokens(net.sample(2, rng=seeded())), net.network.length
    for k, state in enumerate(states):
        tokens, drawn = net.network.to_tokens(state), round(k * length / (frames - 1))
        assert torch.equal(tokens[:, :drawn], final[:, :drawn])
        assert not tokens[:, drawn:].any()


def shares(drawn: Tensor) -> Tensor:
    """Count the draws of each of the 16 binary images: (16,)."""
    index = ((drawn.flatten(1) > 0).long() * torch.tensor([8, 4, 2, 1])).sum(1)
    return index.bincount(minlength=16).double() / len(drawn)


def assert_same(found: Tensor, p: Tensor) -> None:
    """Within 5.5 deviations of a share of so many draws: a false alarm in under 1e-6 of all tests."""
    assert bool(((found - p).abs() < 5.5 * (p * (1 - p) / DRAWS).sqrt() + 1e-6).all())


@torch.no_grad()
def probabilities(net: Autoregressive, label: int | None = None) -> Tensor:
    x = all_images(SHAPE, net.network.law)
    y = None if label is None else torch.full((len(x),), label)
    return net.log_prob(x, y).double().exp()


@pytest.mark.parametrize("make", NETWORKS)
def test_samples_follow_the_probabilities(make: Make) -> None:
    net = model(make, classes=2)
    for label in (0, 1):
        y = torch.full((DRAWS,), label)
        assert_same(shares(net.sample(DRAWS, y, rng=seeded(label))), probabilities(net, label))


@pytest.mark.parametrize("make", NETWORKS)
def test_a_lower_half_is_drawn_from_its_law_given_the_upper_one(make: Make) -> None:
    net, mask = model(make), torch.zeros(DRAWS, 1, 2, 2, dtype=torch.bool)
    mask[:, :, 1] = True
    x = torch.tensor([1.0, -1.0, 1.0, 1.0]).view(1, 1, 2, 2).expand(DRAWS, -1, -1, -1)
    given = torch.zeros(16, dtype=torch.float64)
    given[8:12] = probabilities(net)[8:12]  # images that begin with 1, 0
    assert_same(shares(net.inpaint(x, mask, rng=seeded())), given / given.sum())


@pytest.mark.parametrize("make", NETWORKS)
@pytest.mark.parametrize("law", [Categorical(), LogisticMixture(2)], ids=["channels", "pixels"])
def test_completing_keeps_what_is_given_and_draws_the_rest(make: Make, law: PixelLaw) -> None:
    shape = (3, 4, 4)
    net, x = model(make, shape, law=law), images(2, shape, law)
    mask = torch.rand(2, 1, 4, 4, generator=seeded()) < 0.5
    filled = net.inpaint(x, mask, rng=seeded())
    kept = ~mask.expand_as(x)
    assert torch.equal(filled[kept], x[kept])
    assert not torch.equal(filled, x)
    everything = net.inpaint(x, torch.ones_like(mask), rng=seeded())
    assert torch.equal(everything, net.sample(2, rng=seeded()))


@pytest.mark.parametrize("make", NETWORKS)
def test_known_pixels_behind_change_nothing_before_them(make: Make) -> None:
    """All that is known of the lower half plays no part in the upper one, as the heuristic says."""
    law = Categorical(4)
    net, x = model(make, (1, 4, 4), law=law), images(2, (1, 4, 4), law)
    mask = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    mask[:, :, :2] = True
    upper = net.inpaint(x, mask, rng=seeded())[:, :, :2]
    assert torch.equal(net.inpaint(-x, mask, rng=seeded())[:, :, :2], upper)


@pytest.mark.parametrize("law", [Categorical(), LogisticMixture(3)], ids=["channels", "pixels"])
def test_the_loss_is_the_negative_log_probability_a_dimension_of_the_nearest_bytes(law: PixelLaw) -> None:
    net = model(NETWORKS[0], (3, 4, 4), law=law)
    x = images(5, (3, 4, 4), law)
    loss = net.loss(x + 0.4 / 127.5)  # within half a bucket
    assert float(loss.total.detach()) == pytest.approx(-float(net.log_prob(x).detach().mean()) / 48, rel=1e-6)


def test_a_model_that_knows_nothing_costs_eight_bits() -> None:
    net = model(NETWORKS[0], (1, 4, 4), law=Categorical())
    torch.nn.init.zeros_(net.network.leave[-1].weight)
    torch.nn.init.zeros_(net.network.leave[-1].bias)
    bits = net.loss(images(2, (1, 4, 4), Categorical())).total / torch.log(torch.tensor(2.0))
    assert float(bits.detach()) == pytest.approx(8, abs=1e-5)


@pytest.mark.parametrize("make", NETWORKS)
def test_bfloat16_networks_draw_and_measure_in_float32(make: Make) -> None:
    net = model(make, (1, 4, 4), law=LogisticMixture(2))
    x = images(2, (1, 4, 4), LogisticMixture(2))
    exact = net.log_prob(x).detach()
    BFloat16().apply(net.networks(), torch.device("cpu"))
    rounded = net.log_prob(x).detach()
    assert rounded.dtype == torch.float32
    assert torch.allclose(rounded, exact, rtol=0.05)  # 8 bits of mantissa
    assert net.sample(2, rng=seeded()).dtype == torch.float32
