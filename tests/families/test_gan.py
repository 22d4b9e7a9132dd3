"""GANs: who learns what in which phase, and that the game finds its equilibrium."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from genbench.data import Split
from genbench.families.gan import GAN
from genbench.gans.augment import Augmentation, DiffAugment, NoAugmentation
from genbench.gans.criterion import Criterion, Hinge, NonSaturating, Relativistic, Wasserstein
from genbench.gans.penalty import Penalties
from genbench.generator import Decodes, Likelihood
from genbench.metrics import PassCounter
from genbench.nn.dcgan import DCGANDiscriminator, DCGANGenerator
from genbench.runtime.precision import BFloat16, Float32
from genbench.training.ema import Ema
from genbench.training.flops import training_flops
from genbench.training.step import only
from tests.training.test_loop import run

SHAPE = (1, 6, 4)


class Affine(nn.Module):
    """x = a z + b: what a Gaussian needs, and no more."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.ones(1)), nn.Parameter(torch.zeros(1))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return (self.a * z + self.b).reshape(-1, 1, 1, 1)


class Quadratic(nn.Module):
    """A logit from x and x^2: it sees mean and variance, and no more."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1)
        self.scale = scale

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        x = x.flatten(1)
        return self.scale * self.linear(torch.cat([x, x.square()], dim=1)).squeeze(1)


def gan(
    num_classes: int = 0,
    *,
    criterion: Criterion | None = None,
    penalties: Penalties | None = None,
    augmentation: Augmentation | None = None,
    critic_steps: int = 1,
    spectral_norm: bool = False,
) -> GAN:
    torch.manual_seed(0)
    return GAN(
        SHAPE,
        num_classes,
        generator=DCGANGenerator(SHAPE, num_classes, latent_size=5, width=4),
        discriminator=DCGANDiscriminator(SHAPE, num_classes, width=4, spectral_norm=spectral_norm),
        criterion=criterion or Relativistic(),
        penalties=penalties or Penalties(),
        augmentation=augmentation or NoAugmentation(),
        latent_size=5,
        critic_steps=critic_steps,
    )


def toy(criterion: Criterion, penalties: Penalties, *, divergence: float = 1e4) -> GAN:
    torch.manual_seed(0)
    return GAN(
        (1, 1, 1),
        0,
        generator=Affine(),
        discriminator=Quadratic(),
        criterion=criterion,
        penalties=penalties,
        augmentation=NoAugmentation(),
        latent_size=1,
        divergence=divergence,
    )


def learned(model: GAN) -> dict[str, list[torch.nn.Parameter]]:
    return {phase: model.phase_parameters(phase) for phase in model.phases}


def play(model: GAN, steps: int, *, rate: float, mean: float, deviation: float) -> Ema:
    """Train on N(mean, deviation^2) as the loop would."""
    optimizers = {
        phase: torch.optim.Adam(model.phase_parameters(phase), lr=rate, betas=(0.0, 0.9))
        for phase in model.phases
    }
    ema = Ema(model, halflife_images=60.0, rampup=None)
    for step in range(steps):
        for phase in model.phases:
            with only(learned(model), phase):
                x = mean + deviation * torch.randn(64, 1, 1, 1)
                model.loss(x, phase=phase, step=step).total.backward()
            optimizers[phase].step()
            optimizers[phase].zero_grad()
        ema.update(images=1, images_seen=step + 1)
    return ema


def test_the_game_finds_the_moments_of_a_gaussian() -> None:
    model = toy(Relativistic(), Penalties(r1=0.2, r2=0.2))
    x = play(model, 300, rate=0.03, mean=0.6, deviation=0.3).model.sample(20_000)
    assert float(x.mean()) == pytest.approx(0.6, abs=0.1)
    assert float(x.std()) == pytest.approx(0.3, abs=0.1)


def test_a_critic_of_slope_1_measures_the_distance_of_two_laws() -> None:
    """Wasserstein-1 between N(0, 1) and N(3, 1) is 3; the penalty keeps the slope near 1."""
    model = toy(Wasserstein(), Penalties(gradient=10.0))
    optimizer = torch.optim.Adam(model.phase_parameters("disc"), lr=0.02, betas=(0.0, 0.9))
    for _ in range(200):
        optimizer.zero_grad()
        model.loss(3 + torch.randn(64, 1, 1, 1), phase="disc").total.backward()
        optimizer.step()
    distance = -model.loss(3 + torch.randn(20_000, 1, 1, 1), phase="disc").terms["adversarial"]
    assert float(distance) == pytest.approx(3, rel=0.25)


@pytest.mark.parametrize("num_classes", [0, 3])
def test_each_phase_moves_its_own_network(num_classes: int) -> None:
    model = gan(num_classes, penalties=Penalties(r1=1.0, r2=1.0, gradient=1.0), augmentation=DiffAugment())
    x, y = torch.rand(4, *SHAPE), torch.arange(4) % 3 if num_classes else None
    networks = {"disc": model.discriminator, "gen": model.generator}
    for phase, mine in networks.items():
        model.zero_grad()
        with only(learned(model), phase):
            model.loss(x, y, phase=phase).total.backward()
        moved = [name for name, p in model.named_parameters() if p.grad is not None]
        prefix = "discriminator." if phase == "disc" else "generator."
        assert all(name.startswith(prefix) for name in moved)
        assert {id(p) for p in model.phase_parameters(phase)} == {id(p) for p in mine.parameters()}


def test_the_discriminators_phase_leaves_the_generator_out_even_outside_the_loop() -> None:
    model = gan()
    model.loss(torch.rand(4, *SHAPE), phase="disc").total.backward()
    assert all(p.grad is None for p in model.generator.parameters())


def test_generated_images_get_the_labels_of_the_batch_in_both_phases() -> None:
    """Fakes are asked for the labels of the batch: another label is another loss."""
    model, x = gan(3, criterion=Hinge()), torch.rand(4, *SHAPE)
    for phase in ("disc", "gen"):
        losses = []
        for label in (0, 1):
            torch.manual_seed(0)
            losses.append(float(model.loss(x, torch.full((4,), label), phase=phase).total.detach()))
        assert losses[0] != losses[1]


def test_critic_steps_are_phases() -> None:
    assert gan().phases == ("disc", "gen")
    assert gan(critic_steps=3).phases == ("disc", "disc", "disc", "gen")


def test_terms_say_how_the_game_stands() -> None:
    model = toy(Hinge(), Penalties(r1=1.0))
    with torch.no_grad():  # real images of 1 get the logit 2, generated ones of 0 get -1
        model.discriminator.linear.weight.copy_(torch.tensor([[3.0, 0.0]]))
        model.discriminator.linear.bias.fill_(-1.0)
        model.generator.a.fill_(0.0)
    loss = model.loss(torch.ones(4, 1, 1, 1), phase="disc")
    assert {name: float(term) for name, term in loss.terms.items()} == {
        "adversarial": 0,
        "real_logits": 2,
        "fake_logits": -1,
        "real_accuracy": 1,
        "fake_accuracy": 1,
        "pair_accuracy": 1,
        "r1": 9,
    }
    assert float(loss.total.detach()) == 4.5
    generated = model.loss(torch.ones(4, 1, 1, 1), phase="gen")
    assert {name: float(term) for name, term in generated.terms.items()} == {"fake_logits": -1}
    assert float(generated.total.detach()) == 1


@pytest.mark.parametrize("phase", ["disc", "gen"])
@pytest.mark.parametrize("value", [20.0, float("nan")])
def test_logits_beyond_the_bound_make_loss_and_gradient_not_finite(phase: str, value: float) -> None:
    model = toy(NonSaturating(), Penalties(), divergence=10.0)
    x = torch.zeros(4, 1, 1, 1)
    assert bool(model.loss(x, phase=phase).total.isfinite())
    with torch.no_grad():
        model.discriminator.linear.bias.fill_(value)
    total = model.loss(x, phase=phase).total
    total.backward()
    gradients = torch.cat([p.grad.flatten() for p in model.phase_parameters(phase)])
    assert not bool(total.isfinite())
    assert not bool(gradients.norm().isfinite())


def test_real_and_generated_images_pass_the_same_augmentation() -> None:
    class Recorded(Augmentation):
        def __init__(self) -> None:
            self.seen: list[Tensor] = []

        def __call__(self, x: Tensor) -> Tensor:
            self.seen.append(x.detach())
            return x

    augmentation = Recorded()
    model, x = gan(augmentation=augmentation), torch.rand(4, *SHAPE)
    model.loss(x, phase="disc")
    real, fake = augmentation.seen
    assert torch.equal(real, x)
    assert fake.shape == x.shape
    model.loss(x, phase="gen")
    assert len(augmentation.seen) == 4
    assert torch.equal(augmentation.seen[3], x)  # the relativistic generator is compared with real images


def test_only_criteria_that_compare_pay_for_real_images_in_the_generators_phase() -> None:
    for criterion, passes in ((Hinge(), 1), (Relativistic(), 2)):
        model = gan(criterion=criterion)
        with PassCounter([model.discriminator]) as counter:
            model.loss(torch.rand(4, *SHAPE), phase="gen")
        assert counter.passes(4) == passes


def test_a_sample_is_one_pass_of_the_generator() -> None:
    model = gan().eval()
    with PassCounter(model.networks()) as counter:
        model.sample(6)
    assert counter.passes(6) == 1


def test_samples_are_decoded_draws_of_the_prior() -> None:
    model, y = gan(3).eval(), torch.tensor([0, 1, 2])
    z = model.prior(3, y, rng=torch.Generator().manual_seed(1))
    assert z.shape == (3, *model.latent_shape)
    assert torch.equal(model.sample(3, y, rng=torch.Generator().manual_seed(1)), model.decode(z, y).detach())
    assert isinstance(model, Decodes)
    assert not isinstance(model, Likelihood)


def test_state_and_average_hold_the_vectors_of_spectral_norm() -> None:
    model = gan(spectral_norm=True)
    ema = Ema(model, halflife_images=10.0)
    x = torch.rand(4, *SHAPE)
    model.loss(x, phase="disc")
    ema.update(images=4, images_seen=4)
    mine, theirs = dict(model.named_buffers()), dict(ema.model.named_buffers())
    assert mine
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    twin = copy.deepcopy(model)
    twin.load_state_dict(model.state_dict())
    torch.manual_seed(1)
    expected = model.loss(x, phase="disc").total
    torch.manual_seed(1)
    assert torch.equal(twin.loss(x, phase="disc").total, expected)


@pytest.mark.parametrize(
    ("name", "value"), [("latent_size", 0), ("critic_steps", 0), ("divergence", 0.0), ("divergence", -1.0)]
)
def test_impossible_settings_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"model\.{name} is {value}; it must be"):
        GAN(
            SHAPE,
            0,
            generator=nn.Identity(),
            discriminator=nn.Identity(),
            criterion=Hinge(),
            penalties=Penalties(),
            augmentation=NoAugmentation(),
            **{name: value},
        )


def test_a_game_that_runs_away_stops_the_loop_naming_phase_step_and_terms(tmp_path: Path) -> None:
    model = gan()
    model.divergence = 1e-9  # any logit is beyond it
    split = Split(torch.randint(0, 256, (8, *SHAPE), dtype=torch.uint8), None)
    with pytest.raises(FloatingPointError, match=r"phase 'disc' at step 0: loss=inf, .*real_logits="):
        run(tmp_path, model=model, split=split)


def test_a_penalty_now_and_then_counts_as_that_share_of_its_operations() -> None:
    x = torch.zeros(4, *SHAPE)
    always, never, lazy = (
        training_flops(gan(penalties=penalties), x, None)
        for penalties in (Penalties(r1=1.0), Penalties(), Penalties(r1=1.0, every=4))
    )
    assert always > never
    assert lazy == pytest.approx((always + 3 * never) / 4)


def test_the_discriminator_computes_in_bfloat16_only_where_nothing_bounds_its_slope() -> None:
    free, penalised = gan(), gan(penalties=Penalties(r1=1.0, every=16))
    assert free.autocast_networks() == [free.generator, free.discriminator]
    assert free.networks() == [free.generator]  # sampling calls no other
    assert penalised.autocast_networks() == [penalised.generator]
    normalised = gan(spectral_norm=True)
    assert normalised.autocast_networks() == [normalised.generator]


def test_weights_that_are_parametrized_otherwise_bound_no_slope() -> None:
    model = gan()
    weight_norm(next(module for module in model.discriminator.modules() if isinstance(module, nn.Conv2d)))
    assert model.autocast_networks() == [model.generator, model.discriminator]
    with pytest.raises(ValueError, match="nothing bounds it"):
        Wasserstein().check(model.discriminator, Penalties())


@pytest.mark.parametrize("phase", ["disc", "gen"])
def test_losses_and_gradients_of_both_networks_in_bfloat16_are_near_those_of_float32(phase: str) -> None:
    """8 bits of mantissa round each product by 0.4 percent; a leaky unit that flips moves the gradient."""
    found = []
    for precision in (Float32(), BFloat16()):
        model = gan(criterion=NonSaturating())
        precision.apply(model.autocast_networks(), torch.device("cpu"))
        torch.manual_seed(1)
        loss = model.loss(torch.rand(16, *SHAPE) * 2 - 1, phase=phase).total
        loss.backward()
        assert loss.dtype == torch.float32
        slopes = [p.grad for p in model.phase_parameters(phase) if p.grad is not None]
        found.append((float(loss.detach()), torch.cat([slope.flatten() for slope in slopes])))
    (exact, slope), (rounded, near) = found
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=0.02)
    assert float((near - slope).norm()) < 0.1 * float(slope.norm())
