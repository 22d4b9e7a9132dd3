"""The VAE as a generator, with one latent layer and with several."""

import pytest
import torch

from genbench.families.vae import VAE
from genbench.metrics.cost import PassCounter
from genbench.nn.deep_ladder import DeepLadder
from genbench.nn.ladder import Ladder
from genbench.nn.resnet import Decoder, Encoder, OneLayer
from genbench.vaes.likelihood import Logistic

SHAPE = (1, 8, 8)


def vae(shape: tuple[int, int, int] = SHAPE, classes: int = 0, **settings: float) -> VAE:
    torch.manual_seed(0)
    return VAE(
        shape,
        classes,
        network=OneLayer(
            encoder=Encoder(shape, classes, latent=4, width=8),
            decoder=Decoder(shape, classes, latent=4, width=8),
            latent=4,
        ),
        likelihood=Logistic(shape),
        **settings,
    )


def ladder(shape: tuple[int, int, int] = SHAPE, classes: int = 0, **settings: float) -> VAE:
    torch.manual_seed(0)
    network = Ladder(shape, classes, latent_top=4, width=8)
    return VAE(shape, classes, network=network, likelihood=Logistic(shape), **settings)


def deep(shape: tuple[int, int, int] = SHAPE, classes: int = 0, **settings: float) -> VAE:
    torch.manual_seed(0)
    network = DeepLadder(shape, classes, width=8, layers=1, bottleneck=0.5)
    return VAE(shape, classes, network=network, likelihood=Logistic(shape), **settings)


FAMILIES = pytest.mark.parametrize("family", [vae, ladder])


def images(shape: tuple[int, int, int] = SHAPE, n: int = 6) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, *shape), generator=rng) / 127.5 - 1


def trained(model: VAE, y: torch.Tensor | None = None, steps: int = 20) -> VAE:
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(steps):
        torch.manual_seed(step)
        model.loss(images(model.shape), y, step=step).total.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


@FAMILIES
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (2, 9, 7)])
def test_every_size_trains_samples_and_comes_back(family, shape: tuple[int, int, int]) -> None:  # noqa: ANN001
    model, x = family(shape), images(shape, 2)
    assert bool(model.loss(x).total.isfinite())
    assert model.sample(3).shape == (3, *shape)
    assert model.reconstruct(x).shape == x.shape
    assert model.log_prob(x).shape == (2,)


@FAMILIES
def test_a_sample_is_a_decoded_draw_of_the_prior_in_one_pass(family) -> None:  # noqa: ANN001
    model = trained(family())
    z = model.prior(5, rng=torch.Generator().manual_seed(1))
    assert z.shape == (5, *model.latent_shape)
    with PassCounter(model.networks()) as counter:
        x = model.sample(5, rng=torch.Generator().manual_seed(1))
    assert counter.passes(5) == 1
    assert torch.equal(x, model.decode(z))


@FAMILIES
def test_encoding_has_no_chance_and_reconstructs_what_was_learned(family) -> None:  # noqa: ANN001
    model = trained(family(), steps=80)
    x = images()
    with torch.no_grad():
        assert torch.equal(model.encode(x), model.encode(x))
        error = (model.reconstruct(x) - x).square().mean()
    assert float(error) < 0.7 * float(x.var())


@FAMILIES
def test_the_bound_rises_with_the_number_of_importance_samples(family) -> None:  # noqa: ANN001
    model, bounds, x = trained(family(), steps=60), [], images()
    for k in (1, 4, 16):
        model.importance_samples = k
        torch.manual_seed(0)
        # The same number of draws for each k; over them the gaps are some ten standard errors.
        with torch.no_grad():
            bounds.append(float(model.log_prob(x.repeat(320 // k, 1, 1, 1)).mean()))
    assert bounds[0] < bounds[1] < bounds[2]


@pytest.mark.parametrize(("k", "method"), [(1, "elbo"), (5, "iwae-5")])
def test_the_bound_is_named(k: int, method: str) -> None:
    assert vae(importance_samples=k).method == method


@FAMILIES
def test_the_terms_of_the_log_add_up_to_log_prob(family) -> None:  # noqa: ANN001
    model = trained(family(beta=2.0))
    torch.manual_seed(0)
    terms = model.loss(images(), step=1000).terms
    torch.manual_seed(0)
    elbo = -(terms["reconstruction"] + terms["kl"])
    assert torch.allclose(elbo, model.log_prob(images()).mean(), rtol=1e-5)


@FAMILIES
def test_warm_up_weighs_the_kl_by_the_step(family) -> None:  # noqa: ANN001
    model = trained(family(beta=2.0, warmup_steps=10))
    for step, beta in ((0, 0.2), (4, 1.0), (9, 2.0), (500, 2.0)):
        torch.manual_seed(0)
        loss = model.loss(images(), step=step)
        expected = (loss.terms["reconstruction"] + beta * loss.terms["kl"]) / 64
        assert torch.allclose(loss.total.detach(), expected, rtol=1e-5)


@FAMILIES
def test_labels_change_the_decoded_image(family) -> None:  # noqa: ANN001
    model = trained(family(classes=3), torch.tensor([0, 1, 2, 0, 1, 2]))
    z = model.prior(2, torch.zeros(2, dtype=torch.int64))
    decoded = [model.decode(z, torch.full((2,), label)) for label in (0, 1)]
    assert not torch.equal(*decoded)


def test_bad_settings_are_refused_before_training() -> None:
    with pytest.raises(ValueError, match=r"model\.beta is -1"):
        vae(beta=-1)
    with pytest.raises(ValueError, match=r"model\.importance_samples is 0"):
        ladder(importance_samples=0)


def test_a_decoder_of_other_channels_is_refused_before_training() -> None:
    shape = (1, 8, 8)
    for channels in (1, 2):
        encoder = Encoder(shape, latent=2, width=4)
        decoder = Decoder(shape, latent=2, width=4, out_channels=channels)
        network = OneLayer(latent=2, encoder=encoder, decoder=decoder)
        model = VAE(shape, 0, network=network, likelihood=Logistic(shape))
        if channels == 1:
            model.check_trainable()
    with pytest.raises(ValueError, match="out_channels"):
        model.check_trainable()


def test_temperature_scales_the_latents_and_zero_is_the_mode_of_every_prior() -> None:
    drawn = {}
    for t in (0.0, 0.5, 1.0):
        model = deep(temperature=t).eval()
        drawn[t] = model.prior(2, rng=torch.Generator().manual_seed(1))
        if t == 0:
            assert torch.equal(*model.sample(2))
    assert not drawn[0.0].any()
    assert torch.equal(drawn[0.5], drawn[1.0] / 2)
    with pytest.raises(ValueError, match=r"model\.temperature is -1"):
        vae(temperature=-1)


def test_the_terms_of_the_bound_are_the_pixels_and_each_layer_and_sum_to_it() -> None:
    model = trained(deep(), steps=5)
    torch.manual_seed(0)
    terms = list(model.bound_terms(images()))
    torch.manual_seed(0)
    assert torch.allclose(-torch.stack(terms).sum(0), model.log_prob(images()), rtol=1e-5)
    assert len(terms) == 1 + 3
    torch.manual_seed(0)
    assert float(sum(terms[1:]).mean()) == pytest.approx(float(model.loss(images()).terms["kl"]), rel=1e-4)
    model.importance_samples = 8  # of log_prob alone
    torch.manual_seed(0)
    assert torch.equal(torch.stack(list(model.bound_terms(images()))), torch.stack(terms))
    with pytest.raises(ValueError, match="a single layer of latents"):
        next(vae().bound_terms(images()))


def test_importance_samples_tighten_the_bound_of_a_deep_ladder() -> None:
    model, bounds = trained(deep((1, 4, 4)), steps=30), []
    for k in (1, 16):
        model.importance_samples = k
        torch.manual_seed(0)
        draws = [model.log_prob(images(model.shape)).mean() for _ in range(64 // k)]
        bounds.append(float(torch.stack(draws).mean()))
    assert bounds[0] < bounds[1]
