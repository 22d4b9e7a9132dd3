"""Options that do not go together: which one is at fault, and what fits instead."""

import pytest

from genbench.app.misfit import misfit


@pytest.mark.parametrize(
    "words",
    [
        ["model=vae", "network=ladder", "network.width=8"],
        ["model=gan", "criterion=wasserstein", "penalty=r1"],
        ["loss=hybrid", "sampler=ddim_unclipped"],
        ["seed=1"],
        ["network=of_the_user"],
    ],
)
def test_options_that_fit_each_other_are_not_accused(words: list[str]) -> None:
    assert misfit(words) is None


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["model=autoencoder", "network=resnet_vae", "seed=1"],
            "network=resnet_vae does not fit model=autoencoder: choose from resnet_ae",
        ),
        (
            ["model=latent_diffusion", "network=unet", "network.width=8"],
            "network=unet does not fit model=latent_diffusion: choose from dit_latent, unet_embedding, "
            "unet_latent, unet_super_resolution",
        ),
        (
            ["model=consistency", "process=gaussian"],
            "process=gaussian does not fit model=consistency: choose from consistency, mean_flow",
        ),
    ],
)
def test_an_option_of_another_model_is_named_with_those_that_fit(words: list[str], says: str) -> None:
    assert misfit(words) == says
