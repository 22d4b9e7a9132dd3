"""The VQ-VAE's prior over maps of codes: two stages, samples from it, and a bound on the likelihood."""

import itertools
import math
from functools import partial

import pytest
import torch
from torch import Tensor

from genbench.autoregressive.network import CausalNetwork
from genbench.families.autoregressive import Autoregressive
from genbench.families.vqvae import VQVAE
from genbench.metrics import PassCounter
from genbench.nn.image_gpt import ImageGPT
from genbench.nn.pixelcnn import PixelCNN
from genbench.nn.resnet import MapDecoder, MapEncoder
from genbench.vaes.codebook import Codebook
from genbench.vaes.likelihood import Bernoulli, Logistic, PixelLikelihood

SHAPE, SIZE = (1, 4, 4), 3  # maps of 2x2 codes: 81 of them
NETWORKS = (ImageGPT, PixelCNN)


def vqvae(
    network: type[CausalNetwork] | None = ImageGPT,
    *,
    classes: int = 0,
    likelihood: PixelLikelihood | None = None,
) -> VQVAE:
    """Small, its codes well apart, every weight away from 0."""
    made = partial(network, num_classes=classes, width=16, blocks=2) if network else None
    model = VQVAE(
        SHAPE,
        classes,
        encoder=MapEncoder(SHAPE, classes, out_channels=2, width=8, multipliers=[1, 1]),
        decoder=MapDecoder(SHAPE, classes, in_channels=2, width=8, multipliers=[1, 1]),
        likelihood=likelihood or Logistic(SHAPE),
        codebook=Codebook(SIZE, 2),
        prior_network=made,
        prior=Autoregressive if network else None,
    )
    with torch.no_grad():
        for parameter in [*model.encoder.parameters(), *model.decoder.parameters()]:
            parameter.add_(0.3 * torch.randn(parameter.shape))
    return model


def images(n: int = 6) -> Tensor:
    bytes_ = torch.randint(256, (n, *SHAPE), generator=torch.Generator().manual_seed(0))
    return bytes_ / 127.5 - 1


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def all_maps() -> Tensor:
    """Every map of code indices, (81, 1, 2, 2)."""
    return torch.tensor(list(itertools.product(range(SIZE), repeat=4))).view(-1, 1, 2, 2)


@torch.no_grad()
def joint(model: VQVAE, x: Tensor, y: Tensor | None) -> Tensor:
    """log p(x | k) + log p(k) for every map k of codes, float64: (81, B)."""
    terms = []
    for k in all_maps():
        index = k.expand(len(x), 1, 2, 2)
        output = model.decoder(model.codebook.look_up(index[:, 0]), y)
        prior = model.prior_model.log_prob(model.code_distribution.to_value(index), y)
        terms.append((model.likelihood.log_prob(output, x) + prior).double())
    return torch.stack(terms)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("likelihood", [Logistic(SHAPE), Bernoulli()], ids=["logistic", "bernoulli"])
@pytest.mark.parametrize("classes", [0, 2])
def test_the_bound_is_the_term_of_an_images_own_codes_in_the_sum_over_all(
    network: type[CausalNetwork], likelihood: PixelLikelihood, classes: int
) -> None:
    model, x = vqvae(network, classes=classes, likelihood=likelihood).eval(), images()
    y = torch.arange(len(x)) % classes if classes else None
    bound, terms = model.log_prob(x, y).double(), joint(model, x, y)
    assert bool((bound <= terms.logsumexp(0)).all())
    with torch.no_grad():
        own = (model.index(x, y) == all_maps()[:, None]).flatten(2).all(2)  # (81, B)
    assert torch.allclose(terms.T[own.T], bound)


@pytest.mark.parametrize("network", NETWORKS)
@torch.no_grad()
def test_the_prior_is_normalised_over_all_maps_of_codes(network: type[CausalNetwork]) -> None:
    model = vqvae(network).eval()
    total = model.index_log_prob(all_maps(), None).double().exp().sum()
    assert float(total) == pytest.approx(1, abs=1e-5)  # float32 logits


def test_the_stages_follow_the_budget_and_each_trains_its_own() -> None:
    model = vqvae()
    assert [(stage.share, stage.phases) for stage in model.stages] == [
        (0.5, ("autoencoder",)),
        (0.5, ("net",)),
    ]
    first, second = (set(map(id, model.phase_parameters(phase))) for phase in model.phases)
    assert first.isdisjoint(second)
    assert first | second == set(map(id, model.parameters()))


def test_the_second_stage_learns_the_codes_and_leaves_them_as_they_are() -> None:
    model, x = vqvae().train(), images()
    before = {name: value.clone() for name, value in model.state_dict().items() if "prior" not in name}
    optimizer = torch.optim.Adam(model.phase_parameters("net"), lr=0.01)
    loss = model.loss(x, phase="net")
    with torch.no_grad():
        expected = -model.index_log_prob(model.index(x, None), None).mean() / 4  # nats a code
    assert float(loss.total.detach()) == pytest.approx(float(expected), rel=1e-5)
    loss.total.backward()
    optimizer.step()
    assert all(
        torch.equal(value, before[name]) for name, value in model.state_dict().items() if name in before
    )
    assert all(p.grad is None for p in model.phase_parameters("autoencoder"))
    assert not model.encoder.training
    model.loss(x, phase="autoencoder")
    assert model.encoder.training
    assert not torch.equal(model.codebook.codes, before["codebook.codes"])


@pytest.mark.parametrize("network", NETWORKS)
def test_a_trained_prior_draws_the_codes_that_images_of_a_class_have(network: type[CausalNetwork]) -> None:
    model, x, y = vqvae(network, classes=2).train(), images(2), torch.arange(2)
    optimizer = torch.optim.Adam(model.phase_parameters("net"), lr=5e-3)
    for step in range(100):
        model.loss(x, y, phase="net", step=step).total.backward()
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        codes = model.eval().encode(x, y)
        drawn = model.prior(200, y.repeat(100), rng=seeded()).unflatten(0, (100, 2))
    assert not torch.equal(codes[0], codes[1])
    assert float((drawn == codes).flatten(2).all(2).float().mean()) > 0.9


def test_samples_are_what_codes_of_the_prior_decode_to_and_cost_a_pass_a_code_and_one() -> None:
    model = vqvae().eval()
    with PassCounter(model.networks()) as counter:
        samples = model.sample(5, rng=seeded())
    assert counter.passes(5) == 4 + 1
    index = model.code_distribution.to_level(model.prior_model.sample(5, rng=seeded()))[:, 0]
    with torch.no_grad():
        assert torch.equal(samples, model.decode(model.codebook.look_up(index)))


def test_without_a_prior_maps_are_uniform_in_one_stage() -> None:
    model = vqvae(None).eval()
    assert (model.phases, model.stages) == (("autoencoder",), ())
    with torch.no_grad():
        log_prob = model.index_log_prob(all_maps(), None)
    assert torch.allclose(log_prob, torch.tensor(-4 * math.log(SIZE)))
    n = 3000
    z = model.prior(n, rng=seeded())
    share = torch.stack([(z == code[:, None, None]).all(1).double().mean() for code in model.codebook.codes])
    # 4 n draws; 5.5 deviations are a false alarm in under 1e-6 of all tests.
    assert bool(((share - 1 / 3).abs() < 5.5 * math.sqrt(2 / 9 / (4 * n))).all())


@pytest.mark.parametrize("given", [{"prior": Autoregressive}, {"prior_network": ImageGPT}])
def test_half_a_prior_is_refused(given: dict[str, type]) -> None:
    encoder = MapEncoder(SHAPE, out_channels=2, width=8, multipliers=[1, 1])
    parts = {"encoder": encoder, "decoder": encoder, "likelihood": Bernoulli(), "codebook": Codebook(4, 2)}
    with pytest.raises(ValueError, match="must be given together"):
        VQVAE(SHAPE, 0, **parts, **given)
