"""What every family is held to, whatever it is; families are found by their YAML in conf/model."""

import copy
from functools import cache, partial
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from genbench import app
from genbench.data import Split
from genbench.generator import (
    Decodes,
    FitsAfterTraining,
    ForwardProcess,
    Generator,
    Latent,
    Likelihood,
    Noising,
    Trajectory,
)
from genbench.runtime.global_batch import Part, at_work
from tests.toys import trained_here
from tests.training.test_loop import run, same

ROOT = Path(__file__).resolve().parents[1]
MODELS = trained_here()
VARIANTS: list[tuple[str, ...]] = [
    ("model=ddpm", "loss=hybrid"),
    ("model=ddpm", "loss=vlb", "schedule=learned", "schedule.width=16", "times=importance"),
    ("model=ddpm", "parameterization=edm", "schedule=edm", "times=lognormal", "sampler=heun"),
    ("model=ddpm", "conditional=true", "guidance=classifier_free", "sampler=dpm_solver"),
    ("model=ddpm", "conditional=true", "guidance=classifier", "sampler=unipc"),
    ("model=ddpm", "density=ode", "weighting=min_snr", "schedule=zero_terminal"),
    ("model=flow_matching", "pairing=reflow", "pairing.solver.steps=2"),
    ("model=vae", "network=ladder"),
    *(("model=vae", f"likelihood={name}") for name in ("logistic", "bernoulli", "pointwise")),
    ("model=vae", "model.importance_samples=3", "model.free_nats=0.1", "model.warmup_steps=5"),
    ("model=flow", "flow=realnvp", "network=coupling_resnet", "pixels=plain"),
    ("model=flow", "flow.patch=1", "flow.levels=2", "flow.steps=2", "coupling=additive"),
    ("model=flow", "flow.steps=2", "dequantization=variational", "base=student"),
    *(("model=gan", f"criterion={name}") for name in ("non_saturating", "least_squares", "hinge")),
    ("model=gan", "criterion=wasserstein", "penalty=gradient", "model.critic_steps=2"),
    ("model=gan", "network=resnet_gan", "network.discriminator.spectral_norm=true", "penalty=none"),
    # At full strength it would hide the fall of the loss within the few steps of a test.
    ("model=gan", "augmentation=diffaugment", "augmentation.cutout=0.0", "augmentation.brightness=0.1"),
    ("model=gan", "network.discriminator.minibatch_std=true"),
    ("model=vqvae", "prior_network=pixelcnn"),
    ("model=latent_diffusion", "autoencoder=vq"),
    ("model=latent_diffusion", "variance=fitted", "sampler=ancestral", "sampler.clip_x0=false"),
    ("model=autoregressive", "network=image_gpt", "pixel_law=palette"),
    ("model=autoregressive", "network=pixelcnn", "pixel_law=palette"),
]
"""Choices beside the defaults that change a family's own code."""
FOUR = ("ddpm", "flow", "gan", "vae")
CASES = [
    *((f"model={model}", "conditional=false") for model in MODELS),
    *((f"model={model}", "conditional=true") for model in FOUR),
    *(
        pytest.param((f"model={model}", "conditional=true"), marks=pytest.mark.slow)
        for model in MODELS
        if model not in FOUR
    ),
    *(pytest.param(variant, marks=pytest.mark.slow) for variant in VARIANTS),
]
SHAPE, CLASSES, BATCH, WIDTH = (1, 8, 8), 10, 6, 16


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
    network = cfg.get("network", {})
    for node in (network, *network.values()):
        if isinstance(node, DictConfig) and "width" in node:
            node.width = min(node.width, WIDTH)
    OmegaConf.update(cfg, "image.shape", list(SHAPE))
    OmegaConf.update(cfg, "image.num_classes", CLASSES if cfg.conditional else 0)
    return app.seeded_model(cfg)


def batch(model: Generator, n: int = BATCH) -> tuple[torch.Tensor, torch.Tensor | None]:
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(n, *SHAPE, generator=rng) * 2 - 1
    return x, torch.randint(CLASSES, (n,), generator=rng) if model.num_classes else None


@pytest.fixture(params=CASES, ids=lambda case: "-".join(case))
def case(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return request.param


@pytest.fixture
def model(case: tuple[str, ...]) -> Generator:
    return build(*case)


@pytest.fixture
def sampler(case: tuple[str, ...]) -> Generator:
    """The model after a few steps, in evaluation mode."""
    return copy.deepcopy(trained_a_little(*case))


@cache
def trained_a_little(*overrides: str) -> Generator:
    return awake(build(*overrides)).eval()


def awake(model: Generator) -> Generator:
    """The model after a few steps, so that layers that start at zero pass gradient on."""
    for step in range(3):
        for phase in dict.fromkeys(model.phases):
            train_step(model, phase, step, torch.optim.Adam(model.phase_parameters(phase), lr=1e-3))
    return model


def train_step(model: Generator, phase: str, step: int, optimizer: torch.optim.Optimizer) -> float:
    x, y = batch(model)
    torch.manual_seed(step)
    loss = model.loss(x, y, phase=phase, step=step)
    loss.total.backward()
    optimizer.step()
    model.zero_grad()
    return float(loss.total.detach())


def test_each_phase_has_a_finite_scalar_float32_loss_with_detached_terms(model: Generator) -> None:
    x, y = batch(model)
    for phase in model.phases:
        torch.manual_seed(0)
        loss = model.loss(x, y, phase=phase)
        assert loss.total.shape == ()
        assert loss.total.dtype == torch.float32
        assert bool(loss.total.isfinite())
        assert all(term.shape == () and not term.requires_grad for term in loss.terms.values())


def test_gradient_reaches_every_parameter_of_its_phase_and_no_other(model: Generator) -> None:
    awake(model)
    x, y = batch(model, CLASSES)
    if model.num_classes:
        y = torch.arange(CLASSES)
    for phase in model.phases:
        model.zero_grad()
        torch.manual_seed(0)
        model.loss(x, y, phase=phase).total.backward()
        mine = {id(p) for p in model.phase_parameters(phase)}
        silent = [n for n, p in model.named_parameters() if id(p) in mine and p.grad is None]
        assert silent == []
        assert all(bool(p.grad.abs().sum() > 0) for p in model.phase_parameters(phase) if p.grad is not None)


BATCHWISE = ("optimal_transport", "minibatch_std", "free_nats")
"""Choices whose loss of an image depends on the other images of its part."""


def test_two_parts_of_a_batch_have_its_loss_and_its_gradients(
    model: Generator, case: tuple[str, ...]
) -> None:
    """What is drawn for a batch is drawn alike for its parts: accumulation and devices change nothing."""
    if any(word in choice for word in BATCHWISE for choice in case):
        pytest.skip("the loss of an image depends on the other images of its part")
    awake(model)  # what is set by the first batch is set
    for phase in dict.fromkeys(model.phases):
        whole, of_whole = gradients(model, phase, [Part(0, 1)])
        parts, of_parts = gradients(model, phase, [Part(0, 2), Part(1, 2)])
        assert parts == pytest.approx(whole, rel=1e-5, abs=1e-6), phase
        # float32 sums in another order, through as many layers as the deepest network has
        torch.testing.assert_close(of_parts, of_whole, rtol=2e-3, atol=1e-5 * float(of_whole.abs().max()))


def gradients(model: Generator, phase: str, parts: list[Part]) -> tuple[float, torch.Tensor]:
    """Mean loss of a batch in its parts, and the gradient of all weights of a phase, (P,)."""
    x, y = batch(model)
    found, model = 0.0, copy.deepcopy(model)
    for part in parts:
        once = copy.deepcopy(model)  # each part meets the state before the step, as in another process
        mine = slice(part.index * len(x) // part.of, (part.index + 1) * len(x) // part.of)
        torch.manual_seed(7)
        with at_work(part):
            loss = once.loss(x[mine], None if y is None else y[mine], phase=phase, step=5)
        (loss.total / part.of).backward()
        found += float(loss.total.detach()) / part.of
        for p, q in zip(model.phase_parameters(phase), once.phase_parameters(phase), strict=True):
            p.grad = q.grad if p.grad is None else p.grad + q.grad
    return found, torch.cat([p.grad.flatten() for p in model.phase_parameters(phase) if p.grad is not None])


@pytest.mark.parametrize("parts", [3, pytest.param(2, marks=pytest.mark.slow)])
def test_an_accumulated_training_is_that_of_whole_batches_buffers_and_all(
    model: Generator, case: tuple[str, ...], parts: int, tmp_path: Path
) -> None:
    """What is learned outside the gradient moves once a step: codebooks, moments, histories, statistics."""
    if any(word in choice for word in BATCHWISE for choice in case):
        pytest.skip("the loss of an image depends on the other images of its part")
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (20, *SHAPE), generator=generator, dtype=torch.uint8)
    split = Split(images, torch.arange(20) % CLASSES if model.num_classes else None)
    # Plain gradient steps: Adam would make whole steps of gradients that are 0 but for rounding.
    optim = partial(torch.optim.SGD, lr=0.01, fused=True)
    twin, folders = copy.deepcopy(model), (tmp_path / "whole", tmp_path / "parts")
    whole = run(folders[0], model=model, split=split, batch_size=12, budget=48, optim=optim)
    accumulated = run(
        folders[1], model=twin, split=split, batch_size=12, budget=48, optim=optim, accumulate=parts
    )
    found = accumulated.model.state_dict()
    # float32 sums in another order, over 2 to 4 steps: of the largest number of a tensor. A flow's error of
    # inversion is itself a rounding error.
    apart = {
        name: float(
            (found[name].double() - value.double()).abs().max() / value.double().abs().max().clamp(1e-3)
        )
        for name, value in whole.model.state_dict().items()
        if name != "inverse_error"
    }
    assert {name: value for name, value in apart.items() if not value < 1e-3} == {}


def test_the_loss_of_each_phase_falls_on_a_tiny_set(model: Generator) -> None:
    """Each by itself, since in a game one gains what the other loses; a stage goes on from the last one."""
    for phase in dict.fromkeys(model.phases):
        alone = (model if model.stages else copy.deepcopy(model)).train()
        optimizer = torch.optim.Adam(alone.phase_parameters(phase), lr=2e-3)
        losses = [train_step(alone, phase, step, optimizer) for step in range(60)]
        first, last = sum(losses[:10]), sum(losses[-10:])
        assert last < first - 0.03 * abs(first), phase


def test_samples_have_the_shape_and_follow_the_rng(sampler: Generator) -> None:
    _, y = batch(sampler, 5)
    first = sampler.sample(5, y, rng=torch.Generator().manual_seed(1))
    assert first.shape == (5, *SHAPE)
    assert first.dtype == torch.float32
    assert not first.requires_grad
    torch.rand(100)  # the default generator must not matter
    assert torch.equal(sampler.sample(5, y, rng=torch.Generator().manual_seed(1)), first)
    assert not torch.equal(sampler.sample(5, y, rng=torch.Generator().manual_seed(2)), first)


def test_sampling_leaves_the_default_generator_alone(sampler: Generator) -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    sampler.sample(2, batch(sampler, 2)[1], rng=torch.Generator().manual_seed(0))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_wrong_images_are_refused_with_the_shape_and_the_remedy(model: Generator) -> None:
    _, y = batch(model, 2)
    for wrong in (torch.zeros(2, 1, 4, 4), torch.zeros(2, 8, 8)):
        with pytest.raises(ValueError, match=r"images have shape .*this model takes \(B, "):
            model.loss(wrong, y, phase=model.phases[0])
    with pytest.raises(ValueError, match="to_float"):
        model.loss(torch.zeros(2, *SHAPE, dtype=torch.uint8), y, phase=model.phases[0])


def test_wrong_labels_are_refused_with_the_value_and_the_legal_set(model: Generator) -> None:
    x, _ = batch(model, 2)
    if model.num_classes == 0:
        with pytest.raises(ValueError, match="y=None"):
            model.loss(x, torch.zeros(2, dtype=torch.int64), phase=model.phases[0])
        return
    for wrong in (None, torch.tensor([0, CLASSES]), torch.tensor([-1, 0]), torch.tensor([0]), torch.zeros(2)):
        with pytest.raises(ValueError, match=f"from 0 to {CLASSES - 1}"):
            model.loss(x, wrong, phase=model.phases[0])
        with pytest.raises(ValueError, match=f"from 0 to {CLASSES - 1}"):
            model.sample(2, wrong)
        if isinstance(model, Latent):
            with pytest.raises(ValueError, match=f"from 0 to {CLASSES - 1}"):
                model.encode(x, wrong)
        if isinstance(model, Decodes):
            with pytest.raises(ValueError, match=f"from 0 to {CLASSES - 1}"):
                model.decode(torch.zeros(2, *model.latent_shape), wrong)


def test_an_unknown_phase_is_refused(model: Generator) -> None:
    with pytest.raises(ValueError, match="phase 'nonsense' is unknown"):
        model.loss(*batch(model), phase="nonsense")


def test_the_state_comes_back_with_identical_samples(sampler: Generator, case: tuple[str, ...]) -> None:
    twin = build(*case)
    twin.load_state_dict(sampler.state_dict())
    _, y = batch(sampler, 3)
    expected = sampler.sample(3, y, rng=torch.Generator().manual_seed(0))
    assert torch.equal(twin.eval().sample(3, y, rng=torch.Generator().manual_seed(0)), expected)


def test_a_training_in_two_parts_equals_one_bit_for_bit(model: Generator, tmp_path: Path) -> None:
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (20, *SHAPE), generator=rng, dtype=torch.uint8)
    split = Split(images, torch.arange(20) % CLASSES if model.num_classes else None)
    fresh = [copy.deepcopy(model) for _ in range(3)]
    straight = run(tmp_path / "straight", model=fresh[0], split=split, budget=128)
    half = run(tmp_path / "parts", model=fresh[1], split=split, budget=128, stop_at=64)
    assert not half.finished
    resumed = run(tmp_path / "parts", model=fresh[2], split=split, budget=128)
    assert same(straight, resumed)


def test_labels_change_the_samples_of_a_conditional_model(sampler: Generator) -> None:
    if sampler.num_classes == 0:
        pytest.skip("unconditional")
    samples = [
        sampler.sample(2, torch.full((2,), label), rng=torch.Generator().manual_seed(0)) for label in (0, 1)
    ]
    assert not torch.equal(*samples)


def test_likelihoods_are_finite_and_name_their_bound(model: Generator) -> None:
    if not isinstance(model, Likelihood):
        pytest.skip("no likelihood")
    x, y = batch(awake(model).eval())
    assert model.bound in ("exact", "lower", "estimate")
    assert model.method
    with torch.no_grad():
        log_prob = model.log_prob(x, y)
    assert log_prob.shape == (BATCH,)
    assert bool(log_prob.isfinite().all())


def test_twice_the_steps_draw_what_once_the_steps_do(model: Generator) -> None:
    """Other draws of noise would move log p of these images by several nats."""
    if not isinstance(model, Likelihood) or not model.discretized:
        pytest.skip("no steps")
    x, y = batch(awake(model).eval())
    found = []
    with torch.no_grad():
        for log_prob in (model.log_prob, model.refined_log_prob, model.log_prob):
            torch.manual_seed(0)
            found.append(log_prob(x, y))
        torch.manual_seed(1)
        other = model.log_prob(x, y)
    assert torch.equal(found[0], found[2])
    assert 0 < float((found[0] - found[1]).abs().max()) < float((found[0] - other).abs().max()) / 4


def test_what_is_fitted_after_training_is_finite_and_leaves_the_parameters(model: Generator) -> None:
    """On fewer images than there are steps, in uneven batches; without any where there is nothing to fit."""
    if not isinstance(model, FitsAfterTraining):
        pytest.skip("nothing is found after training")
    awake(model).eval()
    weights = copy.deepcopy(list(model.parameters()))
    sizes = []
    for n in (BATCH, 1):
        model.fit(sizes.append(n) or batch(model, n) for _ in range(5))
    assert len(sizes) in (0, 10)
    assert all(bool(value.isfinite().all()) for value in model.state_dict().values())
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))


def test_samples_are_what_the_prior_decodes_to(sampler: Generator) -> None:
    if not isinstance(sampler, Decodes):
        pytest.skip("no latents")
    _, y = batch(sampler)
    with torch.no_grad():
        z = sampler.prior(BATCH, y, rng=torch.Generator().manual_seed(0))
        assert z.shape == (BATCH, *sampler.latent_shape)
        decoded = sampler.decode(z, y)
    assert torch.equal(decoded, sampler.sample(BATCH, y, rng=torch.Generator().manual_seed(0)))


def test_latents_have_their_shape_and_decode_to_images(model: Generator) -> None:
    if not isinstance(model, Latent):
        pytest.skip("no latents")
    x, y = batch(awake(model).eval())
    with torch.no_grad():
        z = model.encode(x, y)
        assert torch.equal(model.encode(x, y), z)
        rebuilt = model.decode(z, y)
    assert z.shape == (BATCH, *model.latent_shape)
    assert rebuilt.shape == x.shape
    if model.inverts:
        # Encoding takes bytes to the centres of their buckets; half a bucket is 1/255 of [-1, 1].
        assert float((rebuilt - x).abs().max()) < 1 / 255 + 1e-4


def test_some_family_inverts_and_some_is_integrated_in_steps() -> None:
    """Else what is held only to these would be held to none."""
    models = [build(f"model={name}", "conditional=false") for name in MODELS]
    assert any(isinstance(model, Latent) and model.inverts for model in models)
    assert any(isinstance(model, Likelihood) and model.discretized for model in models)
    assert any(isinstance(model, Likelihood) and model.bound == "exact" for model in models)


@pytest.mark.parametrize("frames", [2, 4, 100])
def test_trajectories_end_in_the_samples(sampler: Generator, frames: int) -> None:
    if not isinstance(sampler, Trajectory):
        pytest.skip("no trajectory")
    _, y = batch(sampler)
    states = sampler.trajectory(BATCH, y, rng=torch.Generator().manual_seed(0), frames=frames)
    assert states.shape == (frames, BATCH, *SHAPE)
    assert torch.equal(states[-1], sampler.sample(BATCH, y, rng=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("frames", [2, 4, 100])
def test_forward_processes_start_from_the_data(model: Generator, frames: int) -> None:
    if not isinstance(model, ForwardProcess):
        pytest.skip("no forward process")
    x, _ = batch(model)
    noised = model.forward_process(x, rng=torch.Generator().manual_seed(0), frames=frames)
    assert noised.shape == (frames, BATCH, *SHAPE)
    assert torch.equal(noised[0], x)


def test_what_a_forward_process_leaves_of_the_data_is_what_its_states_show(model: Generator) -> None:
    if not isinstance(model, Noising):
        pytest.skip("no noise")
    t, left = model.noise_levels()
    assert t.shape == left.shape
    assert t.dtype == left.dtype == torch.float64
    assert (float(t[0]), float(t[-1]), float(left[0])) == (0, 1, 1)
    assert bool((t.diff() > 0).all() and (left.diff() < 0).all())
    if not isinstance(model, ForwardProcess):
        return
    ones = torch.ones(2048, *SHAPE)
    states = model.forward_process(ones, rng=torch.Generator().manual_seed(0), frames=3).double()
    mean, variance = states.flatten(1).mean(1), states.flatten(1).var(1)
    bits = bool((states.abs() == 1).all())
    seen = mean if bits else mean.square() / (mean.square() + variance)
    places = [int((t - time).abs().argmin()) for time in (0, 0.5, 1)]
    # 2048 x 64 numbers: a standard error below 0.005, and ten of these
    assert torch.allclose(seen, left[places], atol=0.05)
