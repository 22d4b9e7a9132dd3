"""Rules of every family, whatever it is; families are found by their YAML in conf/model."""

import copy
from functools import cache
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from genbench import app
from genbench.contract import Candidate, Rule
from genbench.contract.rules import FLOAT32
from genbench.contract.trainings import an_accumulated_training_is_that_of_whole_batches
from genbench.generator import Generator, Latent, Likelihood
from tests.toys import trained_here

ROOT = Path(__file__).resolve().parents[1]
MODELS = trained_here()
STARTED = ("adversarial.start=0", "adversarial.weight=0.05")
VARIANTS: list[tuple[str, ...]] = [
    ("model=ddpm", "loss=hybrid"),
    ("model=ddpm", "loss=vlb", "schedule=learned", "schedule.width=16", "times=importance"),
    ("model=ddpm", "parameterization=edm", "schedule=edm", "times=lognormal", "sampler=heun"),
    ("model=ddpm", "parameterization=mean"),
    ("model=ddpm", "parameterization=score", "sampler=heun"),
    ("model=ddpm", "conditional=true", "guidance=classifier_free", "sampler=dpm_solver"),
    ("model=ddpm", "conditional=true", "guidance=classifier", "sampler=unipc"),
    ("model=ddpm", "density=ode", "weighting=min_snr", "schedule=zero_terminal"),
    ("model=ddpm", "process=variance_exploding"),
    ("model=ddpm", "process=variance_exploding", "conditional=true", "guidance=classifier"),
    ("model=ddpm", "sampler=langevin", "conditional=true", "guidance=classifier_free"),
    ("model=flow_matching", "pairing=reflow", "pairing.solver.steps=2"),
    ("model=ddpm", "network=ddpm_pp", "augmentation=edm"),
    ("model=flow_matching", "augmentation=edm", "augmentation.p=0.5", "conditional=true"),
    ("model=ddpm", "network=dit", "loss=hybrid", "conditional=true", "guidance=classifier_free"),
    *((f"model={model}", "network=dit") for model in ("flow_matching", "consistency")),
    *((f"model={model}", "network=dit_latent") for model in ("latent_diffusion", "cascade", "unclip")),
    ("model=consistency", "process=mean_flow", "conditional=true", "process.scale=2.0"),
    ("model=vae", "network=ladder"),
    ("model=vae", "network=deep_ladder", "likelihood=mixture", "network.layers=1"),
    *(("model=vae", f"likelihood={name}") for name in ("logistic", "bernoulli", "pointwise")),
    ("model=vae", "model.importance_samples=3", "model.free_nats=0.1", "model.warmup_steps=5"),
    ("model=flow", "flow=realnvp", "network=coupling_resnet", "pixels=plain"),
    ("model=flow", "flow.patch=1", "flow.levels=2", "flow.steps=2", "coupling=additive"),
    ("model=flow", "flow.steps=2", "dequantization=variational", "base=student"),
    ("model=tarflow", "dequantization=gaussian", "conditional=true", "guidance=classifier_free"),
    ("model=tarflow", "coupling=mixture", "pixels=plain", "base=normal", "flow.layers=2"),
    *(("model=gan", f"criterion={name}") for name in ("non_saturating", "least_squares", "hinge")),
    ("model=gan", "criterion=wasserstein", "penalty=gradient", "model.critic_steps=2"),
    ("model=gan", "network=resnet_gan", "network.discriminator.spectral_norm=true", "penalty=none"),
    ("model=gan", "network=r3gan"),
    # At full strength it would hide the fall of the loss within the few steps of a test.
    ("model=gan", "augmentation=diffaugment", "augmentation.cutout=0.0", "augmentation.brightness=0.1"),
    ("model=gan", "network.discriminator.minibatch_std=true"),
    # The adaptive weight changes from step to step; where it is large, so does the loss that is to fall.
    *((f"model={model}", "perceptual=features", "adversarial=patch", *STARTED) for model in ("vae", "vqvae")),
    ("model=latent_diffusion", "autoencoder=kl_gan", *STARTED),
    ("model=vqvae", "prior_network=pixelcnn"),
    ("model=vqvae", "prior_network=pixelcnn_pp"),
    ("model=vqvae", "prior_network=masked"),
    ("model=masked_diffusion", "network=masked_transformer", "unmasking=ancestral", "pixel_law=palette"),
    ("model=masked_diffusion", "conditional=true", "guidance=classifier_free", "unmasking=ancestral"),
    ("model=latent_diffusion", "autoencoder=vq"),
    ("model=latent_diffusion", "process=variance_exploding"),
    ("model=latent_diffusion", "variance=fitted", "sampler=ancestral", "sampler.clip_x0=false"),
    *(("model=cascade", f"base_model={name}") for name in ("gan", "vae", "flow", "autoregressive")),
    ("model=cascade", "base_model=flow_matching", "conditional=true", "guidance=classifier_free"),
    ("model=autoregressive", "network=image_gpt", "pixel_law=palette"),
    ("model=autoregressive", "network=pixelcnn", "pixel_law=palette"),
    ("model=autoregressive", "network=pixelcnn_pp"),
    ("model=autoregressive", "network=pixelcnn_pp", "pixel_law=categorical", "network.dropout=0.2"),
]
"""Choices beside the defaults that change a family's own code."""
TEXT: list[tuple[str, ...]] = [
    (
        *("model=ddpm", "text=small", "guidance=classifier_free", "sampler=ddim", "sampler.steps=5"),
        *("network.multipliers=[1]", "network.attention_side=8", "text.layers=1"),
    ),
    ("model=flow_matching", "text=small", "guidance=classifier_free"),
    ("model=consistency", "text=small"),
    ("model=latent_diffusion", "text=small", "guidance=classifier_free"),
    ("model=unclip", "text=small", "guidance=classifier_free"),
    ("model=latent_diffusion", "prior=flow_matching", "text=small"),
    ("model=ddpm", "network=dit", "text=small", "guidance=classifier_free"),
]
"""Models of text; the first is held to all rules with the quick tests, the others with the slow ones."""
CASES = [
    *((f"model={model}", "conditional=false") for model in MODELS),
    *((f"model={model}", "conditional=true") for model in ("ddpm", "gan")),
    *(
        pytest.param((f"model={model}", "conditional=true"), marks=pytest.mark.slow)
        for model in MODELS
        if model not in ("ddpm", "gan")
    ),
    TEXT[0],
    *(pytest.param(variant, marks=pytest.mark.slow) for variant in (*TEXT[1:], *VARIANTS)),
]
SHAPE, CLASSES = (1, 8, 8), 10
SIZES = {"width": 16, "blocks": 1, "layers": 2, "steps": 6, "density_steps": 4}
"""At most, of whatever has them: rules hold at any size."""
WHOLE = ("budget", "lr_schedule", "metrics", "trainer")
"""Parts of a configuration whose numbers are no sizes of a model."""
BATCHWISE = ("optimal_transport", "minibatch_std", "free_nats")
"""Choices whose loss of an image depends on the other images of its part."""


def config(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", overrides=list(overrides))


def build(*overrides: str) -> Generator:
    """A family as its YAML describes it, small."""
    return copy.deepcopy(built(*overrides))


@cache
def built(*overrides: str) -> Generator:
    """The same for all tests, which take copies of it."""
    cfg = config(*overrides)
    for key in cfg:
        if key not in WHOLE:
            make_small(cfg._get_node(key))
    OmegaConf.update(cfg, "image.shape", list(SHAPE))
    OmegaConf.update(cfg, "image.num_classes", CLASSES if cfg.conditional else 0)
    return app.seeded_model(cfg)


def make_small(node: object) -> None:
    """Lower the sizes of a part of a configuration that are written there, and of all within it."""
    if not isinstance(node, DictConfig) or node._is_interpolation() or node._is_none():
        return
    for key in node:
        inner = node._get_node(key)
        if key in SIZES and isinstance(inner._value(), int):
            node[key] = min(inner._value(), SIZES[key])
        make_small(inner)


@cache
def candidate(*overrides: str) -> Candidate:
    """The same family for all tests, whose rules take copies of it."""
    batchwise = any(word in choice for word in BATCHWISE for choice in overrides)
    return Candidate(lambda: build(*overrides), batchwise=batchwise)


@pytest.mark.parametrize("rule", FLOAT32, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(case))
def test_a_family_keeps(case: tuple[str, ...], rule: Rule) -> None:
    rule(candidate(*case))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(case))
def test_an_accumulated_training_in_two_parts_is_that_of_whole_batches(case: tuple[str, ...]) -> None:
    an_accumulated_training_is_that_of_whole_batches(candidate(*case), parts=2)


def test_some_family_inverts_and_some_is_integrated_in_steps() -> None:
    """Else what is held only to these would be held to none."""
    models = [build(f"model={name}", "conditional=false") for name in MODELS]
    assert any(isinstance(model, Latent) and model.inverts for model in models)
    assert any(isinstance(model, Likelihood) and model.discretized for model in models)
    assert any(isinstance(model, Likelihood) and model.bound == "exact" for model in models)
