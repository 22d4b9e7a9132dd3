"""The normalizing flow as a family."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from genbench.diffusion.guidance import ClassifierFree, Unguided
from genbench.families.flow import NormalizingFlow
from genbench.flows.architectures import Glow
from genbench.flows.autoregressive import TarFlow
from genbench.flows.base_distribution import StandardNormal
from genbench.flows.coupling import Affine
from genbench.flows.dequantization import (
    Dequantization,
    GaussianDequantization,
    UniformDequantization,
    VariationalDequantization,
)
from genbench.flows.pixels import Logit, Plain
from genbench.flows.transform import Composed, Flatten, Transform
from genbench.metrics.cost import PassCounter
from genbench.nn.causal_transformer import CausalTransformers
from genbench.nn.coupling import ConvNets
from genbench.probability.buckets import LEVELS
from tests.flows.laws import shaken, small_glow, small_realnvp

SHAPE = (1, 4, 4)
D = math.prod(SHAPE)


def images(n: int, shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> Tensor:
    """Bytes in [-1, 1]."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, *shape), generator=rng) / 127.5 - 1


def model(
    num_classes: int = 0,
    *,
    flow: Transform | None = None,
    noise: Dequantization | None = None,
    temperature: float = 1.0,
    guidance: Unguided | ClassifierFree | None = None,
) -> NormalizingFlow:
    torch.manual_seed(0)
    return NormalizingFlow(
        SHAPE,
        num_classes,
        flow=flow or small_glow(SHAPE, num_classes),
        dequantization=noise or UniformDequantization(),
        base=StandardNormal(),
        temperature=temperature,
        guidance=guidance,
    )


def tarflow(num_classes: int = 0) -> TarFlow:
    """Two layers of four tokens."""
    torch.manual_seed(0)
    nets = CausalTransformers(num_classes, width=8, blocks=1, heads=2)
    return TarFlow(SHAPE, pixels=Plain(), coupling=Affine(), networks=nets, layers=2)


def trained(of: NormalizingFlow, steps: int = 5) -> NormalizingFlow:
    optimizer = torch.optim.Adam(of.parameters(), lr=3e-3)
    y = torch.arange(16) % of.num_classes if of.num_classes else None
    for step in range(steps):
        of.loss(images(16), y, step=step).total.backward()
        optimizer.step()
        of.zero_grad()
    return of.eval()


class Uniformly(Transform):
    """[0, 256)^D uniform by way of the normal law's distribution function."""

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z = torch.special.ndtri(x.double() / LEVELS)
        log_slope = 0.5 * z.square() + 0.5 * math.log(2 * math.pi) - math.log(LEVELS)
        return z, log_slope.flatten(1).sum(dim=1)

    def inverse(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return torch.special.ndtr(z.double()) * LEVELS


class Stretched(Transform):
    """z = scale x, whose density at v is known."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.scale * x, (x[0].numel() * self.scale.abs().log()).expand(len(x))

    def inverse(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return z / self.scale


class Centred(Transform):
    """z = 2 (v - 127.5): pixels of standard deviation 1/2 about the middle of a bucket."""

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return 2 * (x - 127.5), torch.full((len(x),), x[0].numel() * math.log(2))

    def inverse(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return z / 2 + 127.5


def test_a_uniform_flow_has_eight_bits_a_dimension() -> None:
    flow = model(flow=Composed([Uniformly(), Flatten(SHAPE)]))
    bits = -flow.log_prob(images(8)) / (D * math.log(2))
    assert torch.allclose(bits, torch.full_like(bits, 8.0), atol=1e-5)


def test_a_wide_gaussian_gives_each_byte_its_density_at_the_bucket() -> None:
    """The density hardly changes within a bucket, so log p(k) is log N(k + 1/2; 0, 1000^2)."""
    flow = model(flow=Composed([Stretched(1e-3), Flatten(SHAPE)]))
    x = images(8)
    centres = (x + 1) * 127.5 + 0.5
    expected = torch.distributions.Normal(0.0, 1000.0).log_prob(centres).flatten(1).sum(dim=1)
    assert torch.allclose(flow.log_prob(x), expected, atol=4e-3)  # half a level of slope 3e-4, 16 times


def test_the_loss_is_minus_log_p_in_nats_a_dimension_and_the_sum_of_its_terms() -> None:
    flow, x = trained(model()), images(6)
    torch.manual_seed(1)
    log_prob = flow.log_prob(x)
    torch.manual_seed(1)
    loss = flow.loss(x, step=1)
    assert float(loss.total.detach()) == pytest.approx(float(-log_prob.detach().mean() / D), abs=1e-5)
    of = {name: float(value) for name, value in loss.terms.items()}
    assert of["nll"] == pytest.approx(-(of["prior"] + of["log_det"] - of["log_q"]), abs=1e-5)


def test_bounds_carry_the_names_of_their_noise() -> None:
    learned = model(noise=VariationalDequantization(SHAPE, networks=ConvNets(width=4)))
    several = model(noise=UniformDequantization(draws=4))
    assert {of.bound for of in (model(), learned, several)} == {"lower"}
    assert model().method == "one draw of uniform dequantization"
    assert learned.method == "one draw of variational dequantization"
    assert several.method == "4 draws of uniform dequantization"
    assert GaussianDequantization().method == "one draw of Gaussian (sigma=0.05) dequantization"


def test_one_draw_lies_below_the_likelihood_and_more_draws_nearer_to_it() -> None:
    """Pixels of standard deviation 1/2 level about the middle of bucket 127, whose mass is known.

    E log N(v) = -log(sqrt(2 pi) / 2) - E (v - 127.5)^2 / (2 / 4) = -0.226 - 1/6 nats a pixel, and
    log P(127) = log(Phi(1) - Phi(-1)) = -0.382.
    """
    x, one = torch.full((4000, *SHAPE), 127 / 127.5 - 1), math.prod(SHAPE)
    bits = []
    for draws in (1, 4, 64):
        flow = model(flow=Composed([Centred(), Flatten(SHAPE)]), noise=UniformDequantization(draws=draws))
        bits.append(float(flow.log_prob(x).mean()) / one)
    # Sixteen pixels of deviation 0.149 nats each: the mean of 4,000 images is off by 0.0006 a pixel.
    assert bits[0] == pytest.approx(math.log(2) - math.log(2 * math.pi) / 2 - 1 / 6, abs=0.003)
    assert bits[0] < bits[1] - 0.002 < bits[2] - 0.004
    assert bits[2] == pytest.approx(math.log(0.6826895), abs=0.002)


def test_no_draw_is_refused() -> None:
    with pytest.raises(ValueError, match=r"dequantization.draws is 0; it must be from 1"):
        UniformDequantization(draws=0)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 16, 16), (2, 7, 5)], ids=str)
@pytest.mark.parametrize("build", [small_glow, small_realnvp])
def test_images_come_back_from_their_latents(
    build: Callable[..., Transform], shape: tuple[int, int, int]
) -> None:
    torch.manual_seed(0)
    flow = NormalizingFlow(
        shape, 0, flow=build(shape), dequantization=UniformDequantization(), base=StandardNormal()
    )
    x = images(4, shape)
    flow.loss(x).total.backward()
    flow.eval()
    z = flow.encode(x)
    assert z.shape == (4, math.prod(shape))
    assert torch.allclose(flow.decode(z), x, atol=1e-4)
    assert torch.equal(flow.encode(x), z)


def test_latents_of_samples_are_what_they_were_drawn_from() -> None:
    flow = trained(model())
    z = flow.prior(3, rng=torch.Generator().manual_seed(0))
    v, _ = flow.flow(z, None, reverse=True)
    assert torch.allclose(flow.flow(v, None)[0], z, atol=1e-3)


def test_temperature_scales_the_base_and_zero_is_its_mode() -> None:
    draws = {
        t: model(temperature=t).prior(2000, rng=torch.Generator().manual_seed(0)) for t in (0.0, 0.5, 1.0)
    }
    assert torch.equal(draws[0.0], torch.zeros(2000, D))
    assert torch.allclose(draws[0.5], 0.5 * draws[1.0])
    assert float(draws[0.5].std()) == pytest.approx(0.5, abs=0.02)
    cold = trained(model(temperature=0.0)).sample(2)
    assert torch.equal(cold[0], cold[1])
    with pytest.raises(ValueError, match=r"model.temperature is -1"):
        model(temperature=-1)


def test_learned_noise_is_trained_with_the_flow() -> None:
    flow = trained(model(noise=VariationalDequantization(SHAPE, networks=ConvNets(width=4), steps=2)))
    flow.loss(images(8)).total.backward()
    grads = [p.grad for p in flow.dequantization.parameters()]
    assert grads
    assert all(g is not None and bool(g.abs().sum() > 0) for g in grads)


def test_the_error_of_the_inverse_is_measured_now_and_then_and_kept_between() -> None:
    flow = model()
    first = flow.loss(images(8), step=0).terms["inverse_error"]
    between = flow.loss(images(8), step=1).terms["inverse_error"]
    assert 0 < float(first) < 0.1
    assert torch.equal(first, between)
    assert "inverse_error" in flow.state_dict()


def test_dropout_does_not_count_as_a_lost_inverse() -> None:
    nets = ConvNets(width=8, dropout=0.5)
    flow = model(flow=Glow(SHAPE, pixels=Plain(), coupling=Affine(), networks=nets, levels=1, steps=2))
    trained(flow).train()
    assert float(flow.loss(images(8), step=0).terms["inverse_error"]) < 0.1
    assert flow.flow.training


def test_a_flow_without_an_inverse_stops_the_training() -> None:
    class Broken(Stretched):
        def inverse(self, z: Tensor, y: Tensor | None = None) -> Tensor:
            return z / self.scale + 1

    flow = model(flow=Composed([Broken(0.01), Flatten(SHAPE)]))
    with pytest.raises(
        FloatingPointError, match=r"in phase 'net' at step 200: .* inverse_error=1 grey levels"
    ):
        flow.loss(images(4), step=200)
    flow.loss(images(4), step=201)  # not looked at


def test_latents_and_images_that_are_not_finite_are_refused() -> None:
    flow = model()
    with pytest.raises(FloatingPointError, match="images of 1 of 2 are not finite"):
        flow.decode(torch.stack([torch.zeros(D), torch.full((D,), math.inf)]))


def test_labels_change_likelihood_and_samples() -> None:
    flow = trained(model(2), steps=20)
    values = []
    for label in (0, 1):
        torch.manual_seed(0)
        values.append(flow.log_prob(images(1), torch.tensor([label])))
    assert not torch.allclose(*values)


def test_a_flow_of_tokens_takes_a_pass_of_each_layer_for_each_token() -> None:
    """Denoising takes one more pass of each layer, for all tokens at once; guidance two rows a pass."""
    clean, free = GaussianDequantization(), ClassifierFree(2)
    of = {
        2 * 4: model(flow=tarflow()),
        2 * 4 + 2: model(flow=tarflow(), noise=clean),
        2 * 2 * 4: model(2, flow=tarflow(2), guidance=free),
        2 * 2 * 4 + 2: model(2, flow=tarflow(2), noise=clean, guidance=free),
        1: model(),
    }
    for passes, flow in of.items():
        y = torch.tensor([0, 1, 0]) if flow.num_classes else None
        with PassCounter(flow.networks()) as counter:
            flow.sample(3, y)
        assert counter.passes(3) == passes


def test_gaussian_data_under_gaussian_noise_have_the_mass_of_their_bucket() -> None:
    """v is N(127.5, (1/2)^2) by the flow; the pixel is N(127.5, (1/2)^2 + s^2), rounded.

    With s of a grey level and 500 draws; the mean log weight of one draw is below it.
    """
    shape, sigma = (1, 1, 1), 1 / 127.5
    x = torch.tensor([126.0, 127.0, 128.0]).reshape(3, *shape) / 127.5 - 1
    found = []
    for draws in (1, 500):
        flow = NormalizingFlow(
            shape,
            0,
            flow=Composed([Centred(), Flatten(shape)]),
            dequantization=GaussianDequantization(sigma=sigma, draws=draws),
            base=StandardNormal(),
        )
        torch.manual_seed(0)
        found.append(flow.log_prob(x.repeat_interleave(100, dim=0)).view(3, 100).mean(1))
    pixel = torch.distributions.Normal(127.5, math.hypot(0.5, 1.0))
    k = torch.tensor([126.0, 127.0, 128.0])
    expected = (pixel.cdf(k + 1) - pixel.cdf(k)).log()
    # A weight has a deviation of about its mean: 100 x 500 of them are off by 0.005.
    assert torch.allclose(found[1], expected, atol=0.025)
    assert bool((found[0] < expected - 0.1).all())
    assert flow.bound == "lower"
    assert flow.method == f"500 draws of Gaussian (sigma={sigma:g}) dequantization"


def test_samples_are_denoised_towards_what_the_flow_makes_likely() -> None:
    noisy, clean = (
        trained(model(flow=tarflow(), noise=GaussianDequantization(sigma=0.1, denoise=denoise)))
        for denoise in (False, True)
    )
    clean.load_state_dict(noisy.state_dict())
    (x, better) = (of.sample(4, rng=torch.Generator().manual_seed(0)) for of in (noisy, clean))
    v = ((x + 1) * 127.5 + 0.5).requires_grad_()
    (score,) = torch.autograd.grad(torch.stack(clean.density(v, None)).sum(), v)
    assert torch.allclose(better, x + 12.75**2 * score / 127.5, atol=1e-4)
    assert noisy.inverts
    assert not clean.inverts


def test_guidance_changes_samples_and_no_likelihood() -> None:
    flows = {
        scale: model(2, flow=shaken(tarflow(2)).float(), guidance=ClassifierFree(2, scale=scale))  # type: ignore[arg-type]
        for scale in (0.0, 1.0, 3.0)
    }
    y = torch.tensor([0, 1, 1])
    rng = torch.Generator()
    x = {scale: flow.sample(3, y, rng=rng.manual_seed(0)) for scale, flow in flows.items()}
    free = model(2, flow=flows[1.0].flow.transform)
    assert torch.equal(x[1.0], free.sample(3, y, rng=rng.manual_seed(0)))
    assert torch.equal(x[0.0], flows[0.0].sample(3, 1 - y, rng=rng.manual_seed(0)))
    assert not torch.allclose(x[3.0], x[1.0], atol=1e-3)
    bits = []
    for flow in flows.values():
        torch.manual_seed(0)
        bits.append(flow.log_prob(images(3), y))
    assert torch.allclose(bits[0], bits[2])


def test_labels_are_dropped_in_the_training_of_guidance_alone() -> None:
    for guidance, drops in (ClassifierFree(2, p_uncond=0.5), True), (Unguided(), False):
        flow = model(2, flow=shaken(tarflow(2)).float(), guidance=guidance)  # type: ignore[arg-type]
        flow.loss(images(16), torch.arange(16) % 2).total.backward()
        tables = [m.weight.grad for m in flow.modules() if isinstance(m, nn.Embedding)]
        assert all(bool((grad[2] != 0).any()) == drops for grad in tables if grad is not None)


def test_learned_noise_is_given_the_labels_of_the_data_in_the_training_of_guidance() -> None:
    """The null class K is a label of the flow alone: the networks of the noise have K labels."""
    noise = VariationalDequantization(SHAPE, networks=ConvNets(2, width=4), steps=2)
    flow = model(2, flow=shaken(tarflow(2)).float(), noise=noise, guidance=ClassifierFree(2, p_uncond=0.9))  # type: ignore[arg-type]
    flow.loss(images(16), torch.arange(16) % 2).total.backward()
    assert all(bool(p.grad.isfinite().all()) for p in noise.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"flow": "logit", "noise": "gaussian"}, "which pixels=logit cannot take: use pixels=plain"),
        ({"guidance": ClassifierFree(2)}, "which Glow cannot have: use guidance=none, or model=tarflow"),
        (
            {"flow": "tarflow", "guidance": ClassifierFree(2, interval=(0.2, 1.0))},
            r"guidance.interval is \[0.2, 1.0\], a range of times, and a flow has none",
        ),
    ],
    ids=["noise beyond black", "guidance of Glow", "times of guidance"],
)
def test_parts_that_do_not_fit_are_refused(wrong: dict[str, object], message: str) -> None:
    flow: Transform | None = {"logit": Composed([Logit(), Flatten(SHAPE)]), "tarflow": tarflow(2)}.get(
        str(wrong.get("flow"))
    )
    guidance = wrong.get("guidance")
    assert guidance is None or isinstance(guidance, ClassifierFree)
    with pytest.raises(ValueError, match=message):
        model(2, flow=flow, noise=GaussianDequantization() if "noise" in wrong else None, guidance=guidance)
