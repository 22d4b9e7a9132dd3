"""Networks that draw token by token: causal, normalised, and the same answers one by one."""

from collections.abc import Callable

import pytest
import torch

from genbench.autoregressive.network import CausalNetwork
from genbench.autoregressive.pixel_law import Categorical, LogisticMixture, PixelLaw
from tests.autoregressive.laws import CASES, NETWORKS, Shape, all_images, images, labels, one_by_one, palette

Make = Callable[[Shape, int, PixelLaw], CausalNetwork]


def name(value: object) -> str:
    return getattr(value, "__name__", None) or (
        type(value).__name__ if isinstance(value, PixelLaw) else str(value)
    )


@pytest.mark.parametrize(("make", "shape", "law", "classes"), CASES, ids=name)
def test_no_answer_moves_with_its_own_token_or_a_later_one(
    make: Make, shape: Shape, law: PixelLaw, classes: int
) -> None:
    """Not by a single bit, in float32."""
    network, x, y = make(shape, classes, law), images(1, shape, law), labels(1, classes)
    answers = network(network.to_images(network.to_tokens(x)), y)[0]  # of the same layout in memory
    for j in range(network.length):
        tokens = network.to_tokens(x).clone()
        tokens[:, j] = -tokens[:, j] + 0.5
        moved = network(network.to_images(tokens), y)[0]
        assert torch.equal(moved[: j + 1], answers[: j + 1])


@pytest.mark.parametrize(("make", "shape", "law", "classes"), CASES, ids=name)
def test_answers_one_by_one_are_those_at_once(make: Make, shape: Shape, law: PixelLaw, classes: int) -> None:
    """In float64, where sums in another order differ by 1e-15 of their terms."""
    network = make(shape, classes, law).double()
    x, y = images(3, shape, law).double(), labels(3, classes)
    assert torch.allclose(one_by_one(network, x, y), network(x, y), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("make", NETWORKS, ids=name)
@pytest.mark.parametrize("classes", [0, 2])
@pytest.mark.parametrize(
    ("shape", "levels"), [((1, 2, 2), 3), ((3, 1, 2), 2), ((2, 2, 1), 3), ((1, 1, 1), 5)], ids=str
)
def test_all_images_together_have_probability_one(
    make: Make, shape: Shape, levels: int, classes: int
) -> None:
    law = Categorical(levels)
    network, x = make(shape, classes, law), all_images(shape, law)
    for label in range(max(classes, 1)):
        y = torch.full((len(x),), label) if classes else None
        total = law.log_prob(network(x, y), network.to_tokens(x)).detach().double().exp().sum()
        assert float(total) == pytest.approx(1, abs=1e-5)  # float32 logits


@pytest.mark.parametrize("make", NETWORKS, ids=name)
@torch.no_grad()
def test_all_images_of_a_palette_together_have_probability_one(make: Make) -> None:
    law = palette((3, 2, 2), size=3)
    network, x = make((3, 2, 2), 0, law), all_images((3, 2, 2), law)
    assert len(x) == 3**4
    total = law.log_prob(network(x), network.to_tokens(x)).double().exp().sum()
    assert float(total) == pytest.approx(1, abs=1e-5)  # float32 logits


@pytest.mark.parametrize("make", NETWORKS, ids=name)
@torch.no_grad()
def test_levels_that_are_names_can_be_renamed(make: Make) -> None:
    """With the rows of their embedding in another order, level k under its new name has the same answers."""
    shape, law = (1, 3, 4), Categorical(6, ordered=False)
    network, x, new = make(shape, 0, law), images(2, shape, law), torch.tensor([3, 5, 0, 1, 4, 2])
    expected = network(x)
    network.level.weight.copy_(network.level.weight[new.argsort()])
    renamed = law.to_value(new[law.to_level(x)])
    assert torch.equal(network(renamed), expected)
    assert not torch.equal(network(x), expected)


@pytest.mark.parametrize("make", NETWORKS, ids=name)
@pytest.mark.parametrize("shape", [(1, 1, 2), (2, 1, 1)], ids=str)
@torch.no_grad()
def test_all_pairs_of_bytes_together_have_probability_one(make: Make, shape: Shape) -> None:
    law = LogisticMixture(2)
    network, x = make(shape, 0, law), all_images(shape, law)
    total = law.log_prob(network(x), network.to_tokens(x)).double().exp().sum()
    assert float(total) == pytest.approx(1, abs=1e-4)  # float32 logs of 2 x 256 buckets


@pytest.mark.parametrize("make", NETWORKS, ids=name)
def test_every_answer_follows_the_label(make: Make) -> None:
    law, shape = Categorical(4), (1, 3, 3)
    network, x = make(shape, 2, law), images(1, (1, 3, 3), Categorical(4))
    first, second = (network(x, torch.tensor([label]))[0] for label in (0, 1))
    assert bool((first != second).any(dim=1).all())


def test_tokens_stand_in_raster_order_and_channels_within_pixels() -> None:
    x = torch.arange(24.0).view(1, 3, 2, 4)
    for make in NETWORKS:
        single, whole = make((3, 2, 4), 0, Categorical(4)), make((3, 2, 4), 0, LogisticMixture(1))
        assert single.to_tokens(x).flatten()[:4].tolist() == [0, 8, 16, 1]
        assert whole.to_tokens(x)[0, 1].tolist() == [1, 9, 17]
        assert (single.length, whole.length) == (24, 8)
        assert torch.equal(single.to_images(single.to_tokens(x)), x)
        assert torch.equal(whole.to_images(whole.to_tokens(x)), x)
