"""unCLIP: the law of its samples, its embeddings, its two stages, and what it refuses."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genbench.diffusion.flow_matching import FlowMatching
from genbench.diffusion.guidance import ClassifierFree, Guidance, Unguided
from genbench.diffusion.ode import Midpoint
from genbench.diffusion.pairing import Independent, Pairing
from genbench.diffusion.parameterization import X0
from genbench.diffusion.path_times import StratifiedPathTimes
from genbench.diffusion.reflow import Reflow
from genbench.diffusion.sampler import DDIM
from genbench.diffusion.schedule import CosineSchedule, Schedule
from genbench.families.diffusion import Denoising
from genbench.families.unclip import LatentEncoder, UnCLIP
from genbench.generator import Generator, Loss, Rng, Stage, Y
from genbench.metrics import PassCounter
from genbench.nn.unet import UNet
from genbench.nn.vector_transformer import VectorTransformer
from genbench.text.condition import Encoded
from genbench.text.small import SmallEncoder
from tests.test_contract import build
from tests.toys import toy_model, toy_process

SHAPE, WIDTH = (1, 4, 4), 8


class Halves(nn.Module):
    """Two numbers of an image: the means of its upper and of its lower half."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([half.mean(dim=(1, 2, 3)) for half in x.chunk(2, dim=2)], dim=1)


def guided(guidance: Guidance, *, pairing: Pairing | None = None) -> partial[Denoising]:
    process = FlowMatching(
        coupling=pairing or Independent(),
        times=StratifiedPathTimes(),
        solver=Midpoint(3),
        guidance=guidance,
    )
    return partial(Denoising, process=process)


def toy(num_classes: int = 0, **settings: Any) -> UnCLIP:
    """An unCLIP of 4x4 images that trains in milliseconds, any part of it exchanged."""
    text, guidance = settings.pop("text", None), settings.pop("guidance", Unguided())
    torch.manual_seed(0)
    parts: dict[str, Any] = {
        "encoder": Halves(),
        "prior": guided(guidance),
        "prior_network": partial(
            VectorTransformer,
            num_classes=num_classes,
            width=WIDTH,
            layers=1,
            heads=2,
            context=WIDTH if text else 0,
        ),
        "network": partial(UNet, width=8, blocks=1, patch=1, multipliers=[1]),
        "context": WIDTH,
        "process": toy_process(guidance=guidance),
        "text": text,
        **settings,
    }
    return UnCLIP(SHAPE, num_classes, **parts)


def moved(model: UnCLIP) -> UnCLIP:
    """The same with random weights where networks begin at zero, so that all inputs matter."""
    with torch.no_grad():
        for number, p in enumerate(model.parameters()):
            p += 0.2 * torch.randn(p.shape, generator=torch.Generator().manual_seed(number))
    return model.eval()


def images(n: int = 16) -> Tensor:
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(0)) * 2 - 1


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# The law of the samples, where all is Gaussian and both parts are exact.

MEAN, SHARED, OWN = 0.1, 0.15, 0.2
"""A pixel is MEAN + SHARED g + OWN e, with one g for the four of an image and an e of its own."""
DEVIATION = (SHARED**2 + OWN**2 / 4) ** 0.5
"""Of the mean of the four pixels, which is the embedding."""


class MeanPixel(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(1, 2, 3))[:, None]


class TruePrior(Generator):
    """Standardised embeddings of true images: standard normal numbers."""

    def __init__(self, shape: tuple[int, int, int], num_classes: int, network: nn.Module, text: None) -> None:
        super().__init__(shape, num_classes)

    def loss(self, x: Tensor, y: Y = None, *, phase: str = "net", step: int = 0) -> Loss:
        raise NotImplementedError

    def sample(self, n: int, y: Y = None, *, rng: Rng | None = None) -> Tensor:
        return torch.randn(n, 1, 1, 1, generator=rng)


class TrueDenoiser(nn.Module):
    """E[x | xt, z] in closed form: the mean of the pixels is known from z, the rest has variance OWN^2."""

    def __init__(self, schedule: Schedule) -> None:
        super().__init__()
        self.schedule = schedule

    def forward(self, xt: Tensor, t: Tensor, y: Encoded) -> Tensor:
        at = self.schedule.level(t.double())
        mean = MEAN + DEVIATION * y.pooled[:, :, None, None]
        rest = xt - xt.mean(dim=(2, 3), keepdim=True)
        gain = at.alpha * OWN**2 / (at.alpha**2 * OWN**2 + at.sigma**2)
        return (mean + gain * rest).float()


def test_with_an_exact_prior_and_an_exact_decoder_samples_have_the_law_of_the_images() -> None:
    """The covariance is SHARED^2 between all pixels and OWN^2 more of each; 20,000 images."""
    n, schedule = 20_000, CosineSchedule(200)
    model = UnCLIP(
        (1, 2, 2),
        0,
        encoder=MeanPixel(),
        prior=TruePrior,
        prior_network=lambda shape: nn.Identity(),
        network=lambda shape, num_classes, context: TrueDenoiser(schedule),
        process=toy_process(schedule=schedule, parameterization=X0(), sampler=DDIM(200, clip_x0=False)),
        context=1,
        tokens=1,
    )
    for layer in (model.tokens.hidden, model.tokens.pooled):
        nn.init.ones_(layer.weight)
        nn.init.zeros_(layer.bias)
    x = model.sample(n, rng=seeded())
    assert float((x.mean(dim=0) - MEAN).abs().max()) < 6 * (SHARED**2 + OWN**2) ** 0.5 / n**0.5
    expected = SHARED**2 + OWN**2 * torch.eye(4)
    # Six standard deviations of a covariance of n draws, and the error of 200 steps.
    tolerance = 6 * (2 / n) ** 0.5 * (SHARED**2 + OWN**2) + 0.02 * OWN**2
    torch.testing.assert_close(x.flatten(1).T.cov(), expected, rtol=0, atol=tolerance)
    z = torch.randn(n, generator=seeded())
    torch.testing.assert_close(x.mean(dim=(1, 2, 3)), MEAN + DEVIATION * z, rtol=0, atol=1e-3)


# Embeddings.


def test_embeddings_are_standardised_over_the_images_of_the_prior() -> None:
    model, x = toy().train(), images(64)
    for batch in x.split(16):
        model.prepare(batch, phase="prior")
    z = model.embedding(x)
    torch.testing.assert_close(z.mean(dim=0), torch.zeros(2), rtol=0, atol=1e-5)
    torch.testing.assert_close(z.var(dim=0, correction=0), torch.ones(2), rtol=1e-4, atol=0)
    before = model.embedding.mean.clone()
    model.prepare(images(4) + 1, phase="decoder")
    model.eval().prepare(images(4) + 1, phase="prior")
    assert torch.equal(before, model.embedding.mean)


def test_the_decoder_is_a_diffusion_conditional_on_the_true_embedding() -> None:
    model, x = moved(toy()), images()
    y = model.tokens(model.embedding(x))
    torch.manual_seed(3)
    expected = model.process.losses(model.network, x, y, phase="net").total
    torch.manual_seed(3)
    assert torch.equal(model.loss(x, phase="decoder").total, expected)
    swapped = model.tokens(model.embedding(x.flip(0)))
    torch.manual_seed(3)
    assert not torch.equal(model.process.losses(model.network, x, swapped, phase="net").total, expected)


def test_without_the_condition_the_embedding_is_zero_and_the_text_empty() -> None:
    model = toy(text=SmallEncoder(width=WIDTH, layers=1, heads=2))
    y = model.seen(torch.randn(3, 2), model.condition(["a", "two cats", "x"]))
    null = model.seen(torch.zeros(1, 2), model.condition([""]))
    for mine, theirs in zip(y.null().own, null.own, strict=True):
        length = null.mask.shape[1]
        torch.testing.assert_close(mine[0][:length], theirs[0][:length])
    assert not y.null().mask[:, null.mask.shape[1] :].any()


@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0])
def test_guidance_is_that_of_both_stages(scale: float) -> None:
    """At scale 0 neither labels nor embeddings change a sample; two estimates are twice the passes."""
    model = moved(toy(3, guidance=ClassifierFree(3, scale=scale)))
    one, other = (model.sample(2, torch.full((2,), label), rng=seeded()) for label in (0, 2))
    assert torch.equal(one, other) == (scale == 0)
    with PassCounter(model.networks()) as counter:
        model.sample(2, torch.tensor([0, 1]), rng=seeded())
    assert counter.passes(2) == (2 * 3 + 5) * (2 if scale == 3.0 else 1)


# Stages.


def test_each_stage_trains_its_own_part() -> None:
    model = toy(text=SmallEncoder(width=WIDTH, layers=1, heads=2), share=0.2)
    assert model.stages == (Stage(0.2, ("prior",)), Stage(0.8, ("decoder",)))
    learned = {phase: set(map(id, model.phase_parameters(phase))) for phase in model.phases}
    assert not learned["prior"] & learned["decoder"]
    assert learned["prior"] | learned["decoder"] == set(map(id, model.parameters()))


def test_both_stages_know_the_same_words() -> None:
    model = toy(text=SmallEncoder(width=WIDTH, layers=1, heads=2))
    model.learn_words(iter(["a red cat", "a cat"]))
    assert model.unknown_words("red dog") == ["dog"]
    prior = model.prior_model
    assert isinstance(prior, Denoising)
    texts = ["red dog", ""]
    assert torch.equal(model.condition(texts).tokens, prior.condition(texts).tokens)
    x = moved(model).sample(2, model.condition(["cat", "red"]), rng=seeded())
    assert not torch.equal(x, model.sample(2, model.condition(["red", "cat"]), rng=seeded()))


def test_latents_of_a_trained_model_are_embeddings() -> None:
    vae = build("model=vae", "conditional=false")
    encoder = LatentEncoder(vae)
    x = torch.zeros(3, *vae.shape)
    assert torch.equal(encoder(x), vae.encode(x).flatten(1))  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="it must be a model with latents and without labels"):
        LatentEncoder(toy_model())
    with pytest.raises(ValueError, match="with 10 classes; it must be a model with latents"):
        LatentEncoder(build("model=vae", "conditional=true"))


def test_weights_of_clip_are_not_in_its_state(tmp_path: Path) -> None:
    from genbench.text.clip_image import ClipImage
    from tests import text_models

    folder = text_models.clip(tmp_path / "clip", whole=True)
    model = toy(encoder=ClipImage(path=str(folder)))
    of_encoder = [name for name in model.state_dict() if name.startswith("embedding.encoder")]
    assert of_encoder == ["embedding.encoder.fingerprint"]
    model.load_state_dict(model.state_dict())


class Broken(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"share": 0.0}, r"model.share is 0.0; it must be between 0 and 1"),
    ({"share": 1.0}, r"model.share is 1.0"),
    ({"tokens": 0}, r"model.tokens is 0"),
    ({"encoder": Broken()}, r"answers \(2, 1, 4, 4\) for 2 images; it must be \(2, F\)"),
    ({"encoder": nn.Linear(3, 2)}, r"image_encoder is Linear, which cannot take images of \(1, 4, 4\)"),
    (
        {"text": SmallEncoder(width=12)},
        "model.context is 8, and text=small gives vectors of 12 numbers",
    ),
    (
        {"prior": guided(Unguided(), pairing=Reflow(solver=Midpoint(2)))},
        "trains its prior in one phase and its decoder in another",
    ),
    ({"guidance": ClassifierFree(0)}, "guidance=classifier_free needs classes or text"),
]


@pytest.mark.parametrize(("settings", "says"), REFUSED, ids=range(len(REFUSED)))
def test_what_has_no_meaning_is_refused_with_the_remedy(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        toy(**settings)
