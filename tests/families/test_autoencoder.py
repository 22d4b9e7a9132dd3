"""The plain autoencoder and the vector-quantised one (its prior: test_vqvae.py)."""

import pytest
import torch

from genbench.families.autoencoder import Autoencoder
from genbench.families.vqvae import VQVAE
from genbench.nn.resnet import Decoder, Encoder, MapDecoder, MapEncoder
from genbench.vaes.codebook import Codebook
from genbench.vaes.density import GaussianDensity
from genbench.vaes.likelihood import Logistic

SHAPE = (1, 8, 8)
Model = Autoencoder | VQVAE


def autoencoder(classes: int = 0) -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(
        SHAPE,
        classes,
        encoder=Encoder(SHAPE, classes, latent=4, moments=1, width=8),
        decoder=Decoder(SHAPE, classes, latent=4, width=8),
        likelihood=Logistic(SHAPE),
        density=GaussianDensity(4),
        latent=4,
    )


def vqvae(classes: int = 0, dimensions: int = 4) -> VQVAE:
    torch.manual_seed(0)
    return VQVAE(
        SHAPE,
        classes,
        encoder=MapEncoder(SHAPE, classes, out_channels=4, width=8),
        decoder=MapDecoder(SHAPE, classes, in_channels=4, width=8),
        likelihood=Logistic(SHAPE),
        codebook=Codebook(16, dimensions),
    )


def images(n: int = 8) -> torch.Tensor:
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(0)) * 2 - 1


def trained(model: Model, steps: int = 150) -> Model:
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(steps):
        torch.manual_seed(step)
        model.loss(images(), phase=model.phases[0], step=step).total.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


@pytest.mark.parametrize("build", [autoencoder, vqvae])
def test_what_is_encoded_comes_back(build) -> None:  # noqa: ANN001
    model = trained(build())
    with torch.no_grad():
        error = (model.reconstruct(images()) - images()).square().mean()
    assert float(error) < 0.5 * float(images().var())


def test_the_density_has_the_moments_of_the_codes_shown_to_it() -> None:
    model, x = autoencoder().train(), images()
    model.loss(x)
    with torch.no_grad():
        z = model.encode(x)
    assert torch.allclose(model.density.mean[0], z.mean(0), atol=1e-5)
    assert torch.allclose(model.density.covariance[0], torch.cov(z.T, correction=0), atol=1e-5)


def test_evaluation_leaves_the_density_and_the_codebook_alone() -> None:
    for model in (autoencoder(), vqvae()):
        model.eval()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        model.loss(images(), phase=model.phases[0])
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_latent_of_a_vqvae_is_a_map_of_codes() -> None:
    model = trained(vqvae())
    z = model.encode(images())
    assert z.shape == (8, *model.latent_shape) == (8, 4, 4, 4)
    distance = torch.cdist(z.movedim(1, -1).reshape(-1, 4), model.codebook.codes).min(1).values
    assert float(distance.max()) < 1e-3


def test_perplexity_of_the_log_is_at_most_the_size_of_the_codebook() -> None:
    model = vqvae()
    assert 1 <= float(model.loss(images(), phase="autoencoder").terms["perplexity"]) <= 16


def test_an_encoder_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match=r"model\.codebook\.dimensions is 5"):
        vqvae(dimensions=5)
