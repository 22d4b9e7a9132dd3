"""A prior over latents: the two stages, the scaling of latents, and the way back to images."""

import copy
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from genbench.diffusion.density import Bound
from genbench.diffusion.flow_matching import FlowMatching
from genbench.diffusion.guidance import Unguided
from genbench.diffusion.objective import VLB
from genbench.diffusion.ode import Euler
from genbench.diffusion.path_times import StratifiedPathTimes
from genbench.diffusion.process import Process
from genbench.diffusion.reflow import Reflow
from genbench.diffusion.sampler import DDIM, Ancestral
from genbench.diffusion.variance import Fitted
from genbench.families.autoregressive import Autoregressive
from genbench.families.diffusion import Diffusion
from genbench.families.latent_diffusion import LatentDiffusion
from genbench.families.vae import VAE
from genbench.families.vqvae import VQVAE
from genbench.gans.adversary import Adversary
from genbench.gans.criterion import Hinge
from genbench.generator import Latent, Stage
from genbench.metrics import PassCounter
from genbench.nn.ladder import Ladder
from genbench.nn.latent_map import MapLayer
from genbench.nn.patch import PatchDiscriminator
from genbench.nn.pixelcnn import PixelCNN
from genbench.nn.resnet import MapDecoder, MapEncoder
from genbench.nn.unet import UNet
from genbench.runtime.global_batch import Part, at_work
from genbench.text.small import SmallEncoder
from genbench.training.step import only
from genbench.vaes.codebook import Codebook
from genbench.vaes.likelihood import Gaussian
from tests.toys import toy_process

SHAPE = (1, 8, 8)


def map_layer(shape: tuple[int, int, int]) -> MapLayer:
    encoder = MapEncoder(shape, out_channels=4, width=8, multipliers=[1, 1])
    return MapLayer(
        shape, encoder=encoder, decoder=MapDecoder(shape, in_channels=2, width=8, multipliers=[1, 1])
    )


class Unmapped(VAE):
    """A model whose latents have whatever shape a test gives them."""

    latent_map = Latent.latent_map

    def __init__(self, shape: tuple[int, int, int]) -> None:
        network = map_layer(shape)
        super().__init__(shape, 0, network=network, likelihood=Gaussian(shape))


def kl() -> VAE:
    network = map_layer(SHAPE)
    return VAE(SHAPE, 0, network=network, likelihood=Gaussian(SHAPE), beta=0.1)


def vq() -> VQVAE:
    encoder = MapEncoder(SHAPE, out_channels=2, width=8, multipliers=[1, 1])
    decoder = MapDecoder(SHAPE, in_channels=2, width=8, multipliers=[1, 1])
    return VQVAE(
        SHAPE, 0, encoder=encoder, decoder=decoder, likelihood=Gaussian(SHAPE), codebook=Codebook(16, 2)
    )


def latent(autoencoder: Latent, *, num_classes: int = 0, process: Process | None = None) -> LatentDiffusion:
    return LatentDiffusion(
        SHAPE,
        num_classes,
        autoencoder=autoencoder,
        network=partial(UNet, num_classes=num_classes, width=8, blocks=1, patch=1, multipliers=[1]),
        prior=partial(Diffusion, process=process or toy_process(sampler=DDIM(5, clip_x0=False))),
        share=0.25,
    )


def of_texts() -> LatentDiffusion:
    """A latent diffusion of texts, which has latents too."""
    process = toy_process(sampler=DDIM(5, clip_x0=False))
    return LatentDiffusion(
        SHAPE,
        0,
        autoencoder=kl(),
        network=partial(UNet, width=8, blocks=1, patch=1, multipliers=[1], context=8),
        prior=partial(Diffusion, process=process, text=SmallEncoder(width=8, layers=1, heads=2)),
    )


def images(n: int = 16) -> Tensor:
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_the_stages_follow_the_budget_and_each_trains_its_own() -> None:
    model = latent(kl())
    first_stage, second_stage = model.stages
    assert model.stage(0.0) == (first_stage, 0.0)
    assert model.stage(0.24) == (first_stage, 0.0)
    assert model.stage(0.25) == (second_stage, 0.25)
    assert model.stage(1.5) == (second_stage, 0.25)
    assert [stage.phases for stage in model.stages] == [("autoencoder",), ("net",)]
    first, second = (set(map(id, model.phase_parameters(phase))) for phase in model.phases)
    assert first.isdisjoint(second)
    assert first == set(map(id, model.autoencoder.parameters()))


def reflow() -> FlowMatching:
    return FlowMatching(
        coupling=Reflow(solver=Euler(1), share=0.5),
        times=StratifiedPathTimes(),
        solver=Euler(1),
        guidance=Unguided(),
    )


def test_a_prior_with_stages_of_its_own_has_them_in_what_the_autoencoder_leaves() -> None:
    learning = [Stage(0.25, ("autoencoder",)), Stage(0.375, ("net",)), Stage(0.375, ("reflow",))]
    assert list(latent(kl(), process=reflow()).stages) == learning
    trained = latent(kl().requires_grad_(False), process=reflow())
    assert [(stage.share, stage.phases) for stage in trained.stages] == [(0.5, ("net",)), (0.5, ("reflow",))]
    assert trained.phases == ("net", "reflow")


@pytest.mark.parametrize(("frozen", "expected"), [(False, [0, 0, 0.2, 1]), (True, [0, 0.25, 0.4, 1])])
def test_the_prior_is_given_what_is_spent_of_its_own_budget(frozen: bool, expected: list[float]) -> None:
    model, given = latent(kl().requires_grad_(not frozen)), list[float]()  # a share of 0.25
    model.prior_model.begin_step = given.append
    for spent in (0.0, 0.25, 0.4, 1.0):
        model.begin_step(spent)
    assert given == pytest.approx(expected)


@pytest.mark.parametrize("make", [kl, vq])
def test_latents_reach_the_prior_with_mean_0_and_deviation_1(make: type[Latent]) -> None:
    torch.manual_seed(0)
    model, x = latent(make()), images(256)
    model.train()
    for start in range(0, 256, 64):
        model.update_moments(x[start : start + 64])
    z = model.encode(x)
    u = (z - model.mean) / model.scale()
    # The first batches are averaged as they are, so the moments are those of all that was seen.
    assert torch.allclose(u.mean(dim=(0, 2, 3)), torch.zeros(2), atol=1e-4)
    assert torch.allclose(u.square().mean(dim=(0, 2, 3)), torch.ones(2), atol=1e-3)


def test_what_a_prior_has_fitted_is_fitted_to_latents_as_it_sees_them() -> None:
    """Their variance is 1, so an untrained network, which answers v = 0, is off by about 1 - alpha_bar."""
    unbounded = {"sampler": Ancestral(5, clip_x0=False), "density": Bound(5, clip_x0=False)}
    process = toy_process(variance=Fitted(50, samples=True), **unbounded)
    model = latent(kl(), process=process)
    for _ in range(20):
        model.loss(images(64), phase="autoencoder")
    model.eval().fit((images(64), None) for _ in range(8))
    m = model.state_dict()["prior_model.process.variance.m"]
    # x0_hat = alpha xt: m = (1 - alpha_bar)^2 + alpha_bar (1 - alpha_bar); means over groups of images
    assert torch.allclose(m[1:], 1 - process.schedule.table[2:], rtol=0.2)


def test_a_prior_without_anything_to_fit_takes_no_image() -> None:
    latent(kl(), process=reflow()).fit(iter([]))
    latent(kl()).fit(iter([]))


def test_samples_are_the_priors_brought_back_and_decoded() -> None:
    model = latent(kl()).eval()
    model.mean.fill_(0.5)
    model.square.fill_(4.25)  # a deviation of 2
    z = 0.5 + 2 * model.prior_model.sample(3, rng=torch.Generator().manual_seed(1))
    assert torch.allclose(model.prior(3, rng=torch.Generator().manual_seed(1)), z)
    expected = model.autoencoder.decode(z.flatten(1))
    assert torch.allclose(model.sample(3, rng=torch.Generator().manual_seed(1)), expected)


def test_passes_are_counted_over_both() -> None:
    model = latent(kl()).eval()
    with PassCounter(model.networks()) as counter:
        model.sample(3, rng=torch.Generator().manual_seed(0))
    assert counter.passes(3) == 5 + 1


def test_a_trained_autoencoder_leaves_the_budget_to_the_prior() -> None:
    autoencoder = kl().requires_grad_(False)
    model = latent(autoencoder)
    assert model.phases == ("net",)
    assert model.stages == ()
    before = [p.clone() for p in autoencoder.parameters()]
    model.train().loss(images()).total.backward()
    u = (model.encode(images()) - model.mean) / model.scale()
    assert torch.allclose(u.square().mean(dim=(0, 2, 3)), torch.ones(2), atol=1e-3)
    assert not autoencoder.training
    assert all(torch.equal(a, b) for a, b in zip(before, autoencoder.parameters(), strict=True))


@pytest.mark.parametrize("phase", ["autoencoder", "net"])
def test_moments_are_those_of_the_whole_batch_before_its_parts_are_scaled(phase: str) -> None:
    """The second phase follows them where the autoencoder was trained before."""
    whole = latent(kl().requires_grad_(phase == "autoencoder")).train()
    parts, x = copy.deepcopy(whole), images()
    whole.loss(x, phase=phase)
    parts.prepare(x, phase=phase)
    for index in range(2):
        with at_work(Part(index, 2, last=index == 1)):
            parts.loss(x.chunk(2)[index], phase=phase)
    for name in ("mean", "square", "batches"):
        assert torch.equal(getattr(parts, name), getattr(whole, name))


def test_measuring_moves_no_moments() -> None:
    model = latent(kl()).eval()
    model.loss(images(), phase="autoencoder")
    assert float(model.batches) == 0


def test_rebuilding_goes_through_the_latents_as_they_are() -> None:
    for make in (kl, vq):
        model, x = latent(make()).eval(), images(4)
        assert torch.allclose(model.reconstruct(x), model.autoencoder.reconstruct(x), atol=1e-6)


def test_a_vector_is_a_map_of_one_pixel() -> None:
    assert latent(kl()).latent_shape == (2, 4, 4)
    assert latent(vq()).latent_shape == (2, 4, 4)
    model = Unmapped(SHAPE)
    model.latent_shape = (7,)
    assert model.latent_map() == (7, 1, 1)
    model.latent_shape = (3, 4)
    with pytest.raises(ValueError, match=r"latents have shape \(3, 4\)"):
        model.latent_map()


def test_the_latents_of_a_ladder_are_a_map_of_one_pixel() -> None:
    ladder = Ladder(SHAPE, width=8, latent_top=4)
    model = latent(VAE(SHAPE, 0, network=ladder, likelihood=Gaussian(SHAPE))).eval()
    assert model.latent_shape == (ladder.latent, 1, 1)
    assert model.sample(2).shape == (2, *SHAPE)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: latent(kl(), process=toy_process()), "sampler.clip_x0=false"),
        (
            lambda: latent(kl(), process=toy_process(objective=VLB(), sampler=DDIM(5, clip_x0=False))),
            "loss=vlb counts the bits of 8-bit images",
        ),
        (lambda: LatentDiffusion((1, 4, 4), 0, autoencoder=kl(), network=UNet, prior=Diffusion), "same data"),
        (lambda: latent(of_texts()), "LatentDiffusion of texts, which go to the prior alone"),
        (lambda: latent(latent(kl())), "with a prior of its own, .* use autoencoder=run"),
        (lambda: latent(vq_with_prior()), "VQVAE with a prior of its own, .* use autoencoder=run"),
    ],
)
def test_what_latents_do_not_bear_is_refused(make: Callable[[], LatentDiffusion], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_that_leaves_a_stage_nothing_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"model.share is"):
        LatentDiffusion(SHAPE, 0, autoencoder=kl(), network=UNet, prior=Diffusion, share=share)


def vq_with_prior() -> VQVAE:
    """A codebook whose maps have a prior, and a discriminator that divides the first stage."""
    encoder = MapEncoder(SHAPE, out_channels=2, width=8, multipliers=[1, 1])
    decoder = MapDecoder(SHAPE, in_channels=2, width=8, multipliers=[1, 1])
    adversary = Adversary(PatchDiscriminator(SHAPE, width=8), Hinge(), start=0.5)
    return VQVAE(
        SHAPE,
        0,
        encoder=encoder,
        decoder=decoder,
        likelihood=Gaussian(SHAPE),
        codebook=Codebook(16, 2),
        prior_network=partial(PixelCNN, width=8),
        prior=Autoregressive,
        adversarial=adversary,
    )


def test_a_codebook_with_a_prior_that_was_trained_before_is_an_autoencoder() -> None:
    model = latent(vq_with_prior().requires_grad_(False))
    assert model.phases == ("net",)
    assert model.frozen


def gan_of(autoencoder: str, *, start: float) -> Latent:
    """An autoencoder with a discriminator, whose phases a model of latents must take over."""
    adversary = Adversary(PatchDiscriminator(SHAPE, width=8), Hinge(), start=start)
    if autoencoder == "kl":
        return VAE(SHAPE, 0, network=map_layer(SHAPE), likelihood=Gaussian(SHAPE), adversarial=adversary)
    encoder = MapEncoder(SHAPE, out_channels=2, width=8, multipliers=[1, 1])
    decoder = MapDecoder(SHAPE, in_channels=2, width=8, multipliers=[1, 1])
    parts = {"encoder": encoder, "decoder": decoder, "codebook": Codebook(16, 2)}
    return VQVAE(SHAPE, 0, **parts, likelihood=Gaussian(SHAPE), adversarial=adversary)


@pytest.mark.parametrize("kind", ["kl", "vq"])
def test_a_discriminator_shares_the_first_stage_and_has_a_phase_of_its_own(kind: str) -> None:
    model = latent(gan_of(kind, start=0.25))
    assert model.phases == ("autoencoder", "disc", "net")
    assert [phases for _, phases in model.stages] == [("autoencoder",), ("autoencoder", "disc"), ("net",)]
    assert [share for share, _ in model.stages] == pytest.approx([0.0625, 0.1875, 0.75])
    adversary = model.autoencoder.realism.adversary
    active = []
    for spent in (0.0, 0.05, 0.07, 0.5):
        model.begin_step(spent)
        active.append(adversary.is_active)
    assert active == [False, False, True, True]
    learned = {phase: {id(p) for p in model.phase_parameters(phase)} for phase in model.phases}
    assert learned["disc"] == {id(p) for p in adversary.parameters()}
    assert sum(map(len, learned.values())) == len(set.union(*learned.values()))


@pytest.mark.parametrize("kind", ["kl", "vq"])
def test_each_phase_of_an_adversarial_autoencoder_moves_its_own_weights_alone(kind: str) -> None:
    model = latent(gan_of(kind, start=0.0)).train()
    learned = {phase: model.phase_parameters(phase) for phase in model.phases}
    for phase in ("autoencoder", "disc"):
        model.loss(images(), phase="autoencoder").total  # noqa: B018 (the first step balances the second)
        model.zero_grad()
        with only(learned, phase):
            model.loss(images(), phase=phase).total.backward()
        moved = {id(p) for p in model.parameters() if p.grad is not None}
        assert moved == {id(p) for p in learned[phase]}


def test_a_frozen_autoencoder_takes_no_discriminator_along() -> None:
    model = latent(gan_of("kl", start=0.5).requires_grad_(False))
    assert model.phases == ("net",)
    assert model.stages == ()
