"""The masked diffusion family: its bound, and what it draws and completes."""

import itertools

import pytest
import torch
from torch import Tensor

from genbench.autoregressive.masking import CosineMasking, LinearMasking
from genbench.autoregressive.pixel_law import Categorical, LogisticMixture, PixelLaw
from genbench.autoregressive.unmasking import Ancestral, Confidence
from genbench.diffusion.guidance import Classifier, ClassifierFree
from genbench.families.masked_diffusion import MaskedDiffusion
from genbench.metrics import PassCounter
from genbench.nn.image_gpt import MaskedTransformer
from tests.autoregressive.laws import images as some_images
from tests.autoregressive.laws import palette
from tests.autoregressive.masked_toys import (
    IMAGES,
    arbitrary,
    assert_drawn_from,
    exact_bound,
    images,
    model,
    order_log_probs,
    shares,
    true_conditionals,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(
    law: PixelLaw | None = None,
    classes: int = 0,
    *,
    shape: tuple[int, int, int] = (3, 3, 2),
    scale: float | None = None,
    steps: int = 4,
) -> MaskedDiffusion:
    torch.manual_seed(0)
    network = MaskedTransformer(shape, classes, law=law or Categorical(5), width=12, blocks=1, heads=3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    guidance = None if scale is None else ClassifierFree(classes, scale=scale)
    sampler = Confidence(CosineMasking(), steps)
    return MaskedDiffusion(shape, classes, network=network, unmasking=sampler, guidance=guidance).eval()


@torch.no_grad()
def estimated(net: MaskedDiffusion, repeats: int = 4_000) -> tuple[Tensor, Tensor]:
    """log_prob of each toy image, the mean over draws and its standard error: (8,) each."""
    torch.manual_seed(0)
    drawn = net.log_prob(images().repeat(repeats, 1, 1, 1)).view(repeats, 8).double()
    return drawn.mean(0), drawn.std(0) / repeats**0.5


@pytest.mark.parametrize("terms", [1, 2, None, 100])
def test_the_bound_is_the_mean_over_the_orders_of_an_autoregressive_model(terms: int | None) -> None:
    net = arbitrary()
    found, error = estimated(model(net, terms=terms))
    assert bool(((found - exact_bound(net)).abs() < 5.5 * error).all())


def test_the_bound_is_below_log_p_and_its_probabilities_sum_to_less_than_one() -> None:
    """p is the mean over the orders, which single tokens in random order are drawn from."""
    net = arbitrary()
    log_p = torch.stack([order_log_probs(net, image).exp().mean().log() for image in IMAGES])
    assert float(log_p.exp().sum()) == pytest.approx(1)
    assert bool((exact_bound(net) < log_p).all())
    found, _ = estimated(model(net, terms=None))
    assert float(found.exp().sum()) < 0.99


def test_the_bound_is_exact_with_the_true_conditionals() -> None:
    p = torch.rand(8, generator=seeded()).double() + 0.1
    p /= p.sum()
    net = true_conditionals(p)
    assert torch.allclose(exact_bound(net), p.log(), atol=1e-6)
    found, error = estimated(model(net, terms=None))
    assert bool(((found - p.log()).abs() < 5.5 * error + 1e-6).all())


def test_the_loss_is_the_bound_a_dimension() -> None:
    net = model(arbitrary())
    torch.manual_seed(0)
    losses = torch.stack([net.loss(images().repeat(50, 1, 1, 1)).total.detach() for _ in range(100)]).double()
    wanted = -float(exact_bound(net.network).mean()) / 3
    assert float(losses.mean()) == pytest.approx(wanted, abs=5.5 * float(losses.std()) / 10)


def test_the_terms_of_the_bound_sum_to_it() -> None:
    net, repeats = model(arbitrary()), 4_000
    torch.manual_seed(0)
    terms = torch.stack(list(net.bound_terms(images().repeat(repeats, 1, 1, 1)))).double()
    assert len(terms) == 4  # of 1, 2 and 3 masked tokens, and of none that are given
    assert not terms[-1].any()
    drawn = terms.sum(0).view(repeats, 8)
    error = drawn.std(0) / repeats**0.5
    assert bool(((drawn.mean(0) + exact_bound(net.network)).abs() < 5.5 * error).all())


def test_a_model_that_knows_nothing_costs_the_logarithm_of_the_levels() -> None:
    net = small()
    torch.nn.init.zeros_(net.network.leave.weight)
    torch.nn.init.zeros_(net.network.leave.bias)
    x = some_images(4, (3, 3, 2), net.network.law)
    assert torch.allclose(net.log_prob(x), -18 * torch.log(torch.tensor(5.0)).expand(4), rtol=0.3)
    everything = torch.full((4,), 18)
    assert torch.allclose(net.nats(x, None, everything), 18 * torch.log(torch.tensor(5.0)).expand(4))


@pytest.mark.parametrize("law", [Categorical(5), LogisticMixture(2), palette((3, 3, 2))])
def test_completing_keeps_what_is_given_and_draws_the_rest(law: PixelLaw) -> None:
    net, x = small(law), some_images(4, (3, 3, 2), law)
    mask = torch.rand(4, 1, 3, 2, generator=seeded()) < 0.5
    filled = net.inpaint(x, mask, rng=seeded())
    kept = ~mask.expand_as(x)
    assert torch.equal(filled[kept], x[kept])
    assert not torch.equal(filled, x)
    everything = net.inpaint(x, torch.ones_like(mask), rng=seeded())
    assert torch.equal(everything, net.sample(4, rng=seeded()))


def test_an_image_is_completed_from_its_distribution_given_what_is_known_anywhere() -> None:
    """The last token is known, which a model in raster order could not use."""
    p = torch.rand(8, generator=seeded()).double() + 0.1
    p /= p.sum()
    net = model(true_conditionals(p), Confidence(LinearMasking(), temperature=1e6))
    mask = torch.tensor([True, True, False]).expand(20_000, 1, 1, 3)
    found = shares(net.inpaint(torch.ones(20_000, 1, 1, 3), mask, rng=seeded()))
    assert not found[::2].any()  # images that end with 0
    given = torch.tensor([p[k] if k % 2 else 1e-30 for k in range(8)])
    assert_drawn_from(found, given / given.sum())


@pytest.mark.parametrize("strength", [0.01, 0.5, 1.0])
def test_a_variation_draws_its_share_of_the_tokens_anew(strength: float) -> None:
    net = small(shape=(1, 10, 10))
    x = torch.full((3, 1, 10, 10), 0.123)  # of no level, so that what is drawn shows
    drawn = (net.vary(x, strength=strength, rng=seeded()) != x).flatten(1).sum(1)
    assert drawn.tolist() == [round(100 * strength)] * 3
    with pytest.raises(ValueError, match=r"strength is 0\.0; it must be above 0"):
        net.vary(x, strength=0.0)


def test_the_forward_process_masks_more_and_more() -> None:
    net = small(shape=(1, 10, 10))
    states = net.forward_process(torch.ones(2, 1, 10, 10), rng=seeded(), frames=5)
    assert states.flatten(2).mean(2).tolist() == [[1 - k / 4] * 2 for k in range(5)]
    for before, after in itertools.pairwise(states):
        assert bool((after <= before).all())
    t, left = net.noise_levels()
    assert torch.equal(left, 1 - t)


@pytest.mark.parametrize("frames", [2, 5, 9])
def test_a_trajectory_ends_with_the_samples(frames: int) -> None:
    net = small()
    states = net.trajectory(3, rng=seeded(), frames=frames)
    assert states.shape == (frames, 3, 3, 3, 2)
    assert torch.equal(states[-1], net.sample(3, rng=seeded()))
    assert not states[0].any()


@pytest.mark.parametrize(("scale", "passes"), [(0.0, 4), (1.0, 4), (2.0, 8)])
def test_guidance_costs_a_second_pass_where_it_does_something(scale: float, passes: int) -> None:
    net = small(classes=3, scale=scale)
    with PassCounter(net.networks()) as counter:
        net.sample(2, torch.tensor([0, 1]), rng=seeded())
    assert counter.passes(2) == passes


def test_guidance_is_the_conditional_probability_to_its_power() -> None:
    """p(x | y)^2 / p(x), normalised: scale 2."""
    net, y = small(classes=3, scale=2.0), torch.tensor([1])
    x, masked = torch.zeros(1, 3, 3, 2), torch.ones(1, 18, dtype=torch.bool)
    own, free = (net.network(x, masked, label).softmax(-1) for label in (y, torch.tensor([3])))
    wanted = own.square() / free
    found = net.answer(x, masked, y, 0.5).softmax(-1)
    assert torch.allclose(found, wanted / wanted.sum(-1, keepdim=True), atol=1e-5)


def test_a_model_without_a_label_is_that_of_the_null_class() -> None:
    network = small(classes=3).network
    x, masked = torch.zeros(2, 3, 3, 2), torch.ones(2, 18, dtype=torch.bool)
    assert torch.equal(network(x, masked), network(x, masked, torch.tensor([3, 3])))


def test_guidance_of_what_has_no_logits_is_refused() -> None:
    with pytest.raises(ValueError, match="LogisticMixture has none: use pixel_law=categorical"):
        small(LogisticMixture(2), classes=3, scale=2.0)
    with pytest.raises(ValueError, match="needs classes or text"):
        small(scale=2.0)


def test_guidance_by_gradients_of_images_is_refused() -> None:
    guide = Classifier(3, torch.nn.Linear(1, 3))
    network = small(classes=3).network
    with pytest.raises(ValueError, match="guidance is Classifier, which tokens cannot have"):
        MaskedDiffusion(
            (3, 3, 2), 3, network=network, unmasking=Confidence(CosineMasking(), 4), guidance=guide
        )


def test_a_number_of_terms_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"model\.terms is 0"):
        model(arbitrary(), Ancestral(LinearMasking()), terms=0)
