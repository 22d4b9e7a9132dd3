"""PixelCNN++: causal in both streams, wired and sized as published, the same pixel by pixel."""

import copy
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from genbench.autoregressive.network import Cache
from genbench.autoregressive.pixel_law import Categorical, LogisticMixture, PixelLaw
from genbench.families.autoregressive import Autoregressive
from genbench.metrics import PassCounter
from genbench.nn.pixelcnn_pp import PixelCNNPlusPlus, Stream
from genbench.nn.weight_norm import NormedConv
from genbench.training.ema import Ema
from genbench.training.flops import count
from tests.autoregressive.laws import Shape, all_images, dependence, images, labels, one_by_one, shaken

MIXTURE = LogisticMixture(2)


def small(
    shape: Shape = (1, 6, 5), classes: int = 0, *, law: PixelLaw = MIXTURE, dropout: float = 0.0
) -> PixelCNNPlusPlus:
    torch.manual_seed(0)
    return PixelCNNPlusPlus(shape, classes, law=law, width=6, blocks=1, dropout=dropout)


@pytest.mark.parametrize("classes", [0, 2])
@pytest.mark.parametrize("shape", [(1, 5, 7), (3, 4, 4)], ids=str)
def test_gradients_reach_all_pixels_before_and_exactly_none_after(shape: Shape, classes: int) -> None:
    """At three resolutions, whose odd sides are rounded up: no window or skip reaches ahead of a pixel."""
    network, y = shaken(small(shape, classes)).double(), labels(1, classes)
    found = dependence(network, images(1, shape, MIXTURE).double(), y, None)
    before = torch.ones_like(found).tril(-1).bool()
    assert bool((found[~before] == 0).all())
    assert bool((found[before] > 0).all())


def test_no_gradient_reaches_ahead_in_training_either() -> None:
    network = shaken(small((1, 6, 5), dropout=0.5)).double().train()
    found = dependence(network, images(1, (1, 6, 5), MIXTURE).double(), None, None)
    assert bool((found.triu() == 0).all())


@pytest.mark.parametrize("shape", [(1, 7, 5), (1, 1, 1), (3, 8, 3)], ids=str)
def test_answers_pixel_by_pixel_are_those_at_once(shape: Shape) -> None:
    network = shaken(small(shape, 3, dropout=0.5)).double()
    x, y = images(3, shape, MIXTURE).double(), labels(3, 3)
    assert torch.allclose(one_by_one(network, x, y), network(x, y), rtol=1e-9, atol=1e-12)


@torch.no_grad()
def test_all_images_together_have_probability_one() -> None:
    law = Categorical(3)
    network, x = shaken(small((1, 2, 3), 2, law=law)), all_images((1, 2, 3), law)
    for label in (0, 1):
        answers = network(x, torch.full((len(x),), label))
        total = law.log_prob(answers, network.to_tokens(x)).double().exp().sum()
        assert float(total) == pytest.approx(1, abs=1e-5)  # float32 logits


def test_a_sample_costs_a_pass_a_pixel_and_hardly_more_work_than_one_pass_over_the_image() -> None:
    model = Autoregressive((1, 4, 4), 0, network=shaken(small((1, 4, 4))))
    with PassCounter(model.networks()) as counter:
        sampling = count(lambda: model.sample(2))
    assert counter.passes(2) == 16
    assert sampling < 1.2 * count(lambda: model.network(torch.zeros(2, 1, 4, 4)))


def of_authors(network: PixelCNNPlusPlus, x: Tensor) -> Tensor:
    """The answers by the two lists of the authors' model.py, from the layers of three resolutions."""

    def flat(stream: Stream) -> tuple[Iterator[object], Iterator[object]]:
        first, second, third = stream, stream.inner, stream.inner.inner
        down = [*first.down, first.halving, *second.down, second.halving, *third.down]
        return iter(down), iter([*third.up, second.doubling, *second.up, first.doubling, *first.up])

    (u_down, u_up), (ul_down, ul_up) = flat(network.above), flat(network.left)
    image = network.read(x)
    u_list = [network.rows_above(image[:, :, :-1])]
    ul_list = [network.row_above(image[:, :, 1:-1]) + network.pixel_left(image[:, :, 1:, :-2])]
    for stage in ("net", "halve", "net", "halve", "net"):
        if stage == "halve":
            u_list.append(next(u_down)(u_list[-1]))
            ul_list.append(next(ul_down)(ul_list[-1]))
            continue
        u_list.append(next(u_down)(u_list[-1], (), None, None))
        ul_list.append(next(ul_down)(ul_list[-1], (u_list[-1],), None, None))
    u, ul = u_list.pop(), ul_list.pop()
    for stage in ("net", "double", "net", "net", "double", "net", "net"):
        if stage == "double":
            u, ul = next(u_up)(u), next(ul_up)(ul)
            continue
        u = next(u_up)(u, (u_list.pop(),), None, None)
        ul = next(ul_up)(ul, (u, ul_list.pop()), None, None)
    assert not u_list
    assert not ul_list
    return network.leave(F.elu(ul)).flatten(2).transpose(1, 2)


@torch.no_grad()
def test_skips_and_links_are_those_of_the_authors_lists() -> None:
    network, x = shaken(small((1, 8, 8))), images(2, (1, 8, 8), MIXTURE)
    assert torch.allclose(of_authors(network, x), network(x), rtol=1e-5, atol=1e-5)


def test_the_published_size_has_the_parameters_of_the_authors_code() -> None:
    """Each layer of model.py has window * inputs * outputs weights, a scale and a bias an output."""
    f = 160

    def layer(window: int, inputs: int, outputs: int) -> int:
        return window * inputs * outputs + 2 * outputs

    def gated(window: int, links: int) -> int:
        link = layer(1, 2 * links * f, f) if links else 0
        return layer(window, 2 * f, f) + link + layer(window, 2 * f, 2 * f)

    first = layer(6, 4, f) + layer(3, 4, f) + layer(2, 4, f)
    down, up = 15 * (gated(6, 0) + gated(4, 1)), (5 + 6 + 6) * (gated(6, 1) + gated(4, 2))
    between = 4 * (layer(6, f, f) + layer(4, f, f))
    expected = first + down + between + up + layer(1, f, 100)
    with torch.device("meta"):
        network = PixelCNNPlusPlus((3, 32, 32), law=LogisticMixture(10))
    assert sum(p.numel() for p in network.parameters()) == expected == 53_659_080


def test_the_first_step_of_a_training_sets_every_layer_by_its_batch_and_draws_nothing() -> None:
    model, x = Autoregressive((1, 6, 5), 2, network=small(classes=2, dropout=0.5)), torch.rand(16, 1, 6, 5)
    y = torch.arange(16) % 2
    for step, training in ((1, True), (0, False)):
        model.train(training).loss(x, y, step=step)
        assert not any(bool(conv.initialised) for conv in normed(model))
    before = torch.get_rng_state()
    model.train().prepare(x, y, step=0)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(bool(conv.initialised) for conv in normed(model))
    first = copy.deepcopy(model.state_dict())
    model.loss(-x, y, step=0)
    assert all(torch.equal(value, first[name]) for name, value in model.state_dict().items())


def test_new_answers_have_a_tenth_as_deviation_on_the_first_batch() -> None:
    network, x = small((1, 8, 8)), images(16, (1, 8, 8), MIXTURE)
    network.initialise(x)
    std, mean = torch.std_mean(network(x), dim=(0, 1), correction=0)
    assert torch.allclose(std, torch.tensor(0.1), rtol=1e-3)
    assert torch.allclose(mean, torch.tensor(0.0), atol=1e-4)


def test_an_average_begun_before_the_first_batch_takes_over_its_statistics() -> None:
    model, x = Autoregressive((1, 6, 5), 0, network=small()), images(8, (1, 6, 5), MIXTURE)
    ema = Ema(model, halflife_images=1e9, rampup=None)
    model.train().loss(x, step=0)
    ema.update(images=8, images_seen=8)
    assert torch.allclose(ema.model.network(x), model.eval().network(x), atol=1e-5)


def normed(model: Autoregressive) -> list[NormedConv]:
    return [module for module in model.modules() if isinstance(module, NormedConv)]


def test_a_cache_holds_a_few_rows_a_layer_and_not_the_image() -> None:
    network, cache = small((1, 8, 3)), Cache()
    x = torch.zeros(2, 1, 8, 3)
    for _ in range(network.length):
        network(x, None, cache)
    held = [rows for key, state in cache.maps.items() if not isinstance(key, NormedConv) for rows in state]
    assert max(rows.shape[2] for rows in held) == 2


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"width": 0}, "network.width is 0"),
        ({"blocks": 0}, "network.blocks is 0"),
        ({"resolutions": 0}, "network.resolutions is 0"),
        ({"dropout": 1.0}, "network.dropout is 1.0"),
        ({"law": Categorical()}, "one of 3 channels at a time: use pixel_law=mixture"),
    ],
)
def test_sizes_and_distributions_that_cannot_be_are_refused(setting: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PixelCNNPlusPlus((3, 8, 8), **{"law": MIXTURE, **setting})
