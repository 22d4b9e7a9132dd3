"""Guidance: its two ends are the plain models, its passes are counted, and it goes where it should."""

import pytest
import torch
from torch import Tensor, nn

from genbench.app.outside_classifier import outside_classifier
from genbench.diffusion.fast_samplers import DPMSolver
from genbench.diffusion.gaussian import GaussianDiffusion
from genbench.diffusion.guidance import Classifier, ClassifierFree, Extrapolation, Unguided
from genbench.diffusion.parameterization import X0
from genbench.diffusion.posterior import Interpolated
from genbench.diffusion.sampler import Denoised
from genbench.diffusion.schedule import CosineSchedule, LinearSchedule, Schedule
from genbench.families.diffusion import Diffusion
from genbench.metrics import PassCounter
from genbench.nn.classifier import NoisyClassifier
from genbench.text.condition import Encoded, Encoding
from tests.diffusion.laws import GAUSSIAN, TWO_HUMPS, Mixture, check_law
from tests.toys import toy_model, toy_process

Y = torch.tensor([0, 1, 2, 2])
EMPTY = Encoding(torch.zeros(1, 2, 3), torch.tensor([[True, False]]), torch.full((1, 3), -1.0))
TEXTS = Encoded(
    Encoding(torch.ones(2, 2, 3), torch.ones(2, 2, dtype=torch.bool), torch.tensor([[2.0] * 3, [5.0] * 3])),
    EMPTY,
)


def trained(process: GaussianDiffusion) -> Diffusion:
    """A conditional toy whose answers depend on the label."""
    model = toy_model(3, process=process)
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.network.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=rng))
    return model.eval()


def samples(model: Diffusion, y: Tensor = Y) -> Tensor:
    return model.sample(len(y), y, rng=torch.Generator().manual_seed(1))


def test_a_scale_of_one_is_the_conditional_model_bit_for_bit() -> None:
    plain = samples(trained(toy_process()))
    assert torch.equal(samples(trained(toy_process(guidance=ClassifierFree(3, scale=1.0)))), plain)


def test_a_scale_of_zero_is_the_unconditional_model_bit_for_bit() -> None:
    model = trained(toy_process(guidance=ClassifierFree(3, scale=0.0)))
    null = torch.full_like(Y, 3)
    x = torch.randn(4, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    schedule = model.process.schedule
    *_, free = model.process.sampler.path(
        # As in sampling, a single time for all images: others round differently.
        lambda xt, t: model.process.denoise(model.network, xt, t[:1], null),
        schedule,
        x,
        None,
    )
    assert torch.equal(samples(model), free.detach())
    assert not torch.equal(samples(trained(toy_process())), free)


@pytest.mark.parametrize(("scale", "passes"), [(0.0, 5), (1.0, 5), (2.0, 10), (0.5, 10)])
def test_guidance_takes_two_passes_a_step_unless_it_is_none(scale: float, passes: int) -> None:
    model = trained(toy_process(guidance=ClassifierFree(3, scale=scale)))
    with PassCounter(model.networks()) as counter:
        samples(model)
    assert counter.passes(len(Y)) == passes


def test_outside_of_its_interval_guidance_is_the_conditional_model() -> None:
    process = toy_process(guidance=ClassifierFree(3, scale=3.0, interval=[0.3, 0.7]))
    model = trained(process)
    with PassCounter(model.networks()) as counter:
        samples(model)
    assert counter.passes(len(Y)) == 5 + 2  # steps stand at t = 1, .8, .6, .4, .2


def test_the_guided_estimate_is_the_same_line_in_eps_and_in_x0() -> None:
    """eps_u + s (eps_c - eps_u), read back as x0."""
    schedule, s = CosineSchedule(50), 3.0
    t = torch.full((2,), 0.4, dtype=torch.float64)
    at = schedule.level(t)
    rng = torch.Generator().manual_seed(0)
    xt, free, own = torch.randn(3, 2, 1, 4, 4, generator=rng)
    v = Interpolated(torch.zeros(()))

    def denoise(xt: Tensor, t: Tensor, y: Tensor) -> Denoised:
        half = torch.arange(len(xt)) % 2  # of both estimates at once, first the one and then the other
        return Denoised(torch.where((y < 3)[:, None, None, None], own[half], free[half]), v)

    guided = ClassifierFree(3, scale=s).guide(denoise, xt, t, torch.tensor([0, 1]), at).x0
    eps_u, eps_c = ((xt - at.alpha * x0) / at.sigma for x0 in (free, own))
    eps = eps_u + s * (eps_c - eps_u)
    assert torch.allclose((xt - at.sigma * eps) / at.alpha, guided, atol=1e-5)


@pytest.mark.parametrize("y", [torch.tensor([0, 2]), TEXTS])
def test_both_estimates_in_one_pass_are_those_of_two(y: Tensor | Encoded) -> None:
    """x0_u + s (x0_c - x0_u), with the variance of the model's own estimate."""
    t, x = torch.tensor([0.4], dtype=torch.float64), torch.randn(2, 1, 4, 4)
    at, passes = CosineSchedule(50).level(t), list[int]()

    def denoise(xt: Tensor, t: Tensor, y: Tensor | Encoded) -> Denoised:
        passes.append(len(xt))
        number = (y.pooled[:, 0] if isinstance(y, Encoded) else y)[:, None, None, None]
        return Denoised(xt * number, Interpolated(number.expand_as(xt) / 10))

    guidance = ClassifierFree(3, scale=3.0)
    once = guidance.guide(denoise, x, t, y, at)
    twice = Extrapolation.guide(guidance, denoise, x, t, y, at)
    assert passes == [4, 2, 2]
    assert torch.equal(once.x0, twice.x0)
    assert isinstance(once.variance, Interpolated)
    assert isinstance(twice.variance, Interpolated)
    assert torch.equal(once.variance.v, twice.variance.v)


def test_labels_are_dropped_with_their_probability() -> None:
    torch.manual_seed(0)
    y = torch.zeros(20_000, dtype=torch.int64)
    share = float((ClassifierFree(3, p_uncond=0.2).labels(y) == 3).double().mean())
    assert share == pytest.approx(0.2, abs=5 * 0.0029)  # five standard errors
    assert torch.equal(Unguided().labels(y), y)


class Pull(nn.Module):
    """log p(y | x) = -|x - y|^2 / 2 up to a constant in y alone, by logits x . y - y^2 D / 2."""

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        targets = torch.arange(3.0)
        return x.flatten(1).sum(1)[:, None] * targets - targets**2 * x[0].numel() / 2


def test_classifier_guidance_adds_the_gradient_of_the_log_probability() -> None:
    """eps - s sigma grad, read as x0: x0 + s sigma^2 / alpha grad; grad of log softmax is y - E[y]."""
    schedule, s = CosineSchedule(50), 1.5
    t = torch.full((2,), 0.4, dtype=torch.float64)
    at, y = schedule.level(t), torch.tensor([0, 2])
    xt, own = torch.randn(2, 2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    classifier = Pull()
    guided = Classifier(3, classifier, scale=s).guide(
        lambda xt, t, y: Denoised(own, Interpolated(torch.zeros(()))), xt, t, y, at
    )
    expected = y - (classifier(xt, t).softmax(1) * torch.arange(3.0)).sum(1)
    eps = (xt - at.alpha * own) / at.sigma - s * at.sigma * expected[:, None, None, None]
    assert torch.allclose(guided.x0, (xt - at.sigma * eps) / at.alpha, atol=1e-5)


def test_a_guiding_classifier_has_a_phase_and_an_optimizer_of_its_own() -> None:
    torch.manual_seed(0)
    guidance = Classifier(3, NoisyClassifier((1, 4, 4), 3, width=8), scale=1.0)
    model = toy_model(3, process=toy_process(guidance=guidance))
    assert model.phases == ("net", "classifier")
    mine, others = (set(map(id, model.phase_parameters(phase))) for phase in model.phases)
    assert mine.isdisjoint(others)
    assert len(mine | others) == len(list(model.parameters()))
    with PassCounter(model.networks()) as counter:
        samples(model.eval())
    assert counter.passes(len(Y)) == 10


class Exact(nn.Module):
    """The denoiser of a law that knows no labels: (xt, t, y) -> x0_hat."""

    def __init__(self, law: Mixture, schedule: Schedule) -> None:
        super().__init__()
        self.denoise = law.denoiser(schedule)

    def forward(self, xt: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        return self.denoise(xt, t).x0


class Posterior(nn.Module):
    """log p(component, xt) of a mixture: (xt, t) -> logits (B, K)."""

    def __init__(self, law: Mixture, schedule: Schedule) -> None:
        super().__init__()
        self.parts = [torch.tensor(part) for part in law]
        self.schedule = schedule

    def forward(self, xt: Tensor, t: Tensor) -> Tensor:
        weights, means, stds = self.parts
        ab = self.schedule.alpha_bar(t)[:, None]
        variance = ab * stds**2 + 1 - ab
        return weights.log() - (xt.flatten(1) - ab.sqrt() * means) ** 2 / variance / 2 - variance.log() / 2


class Linear(nn.Module):
    """log p(0 | x0) = w x0 up to a constant: (x0) -> logits (B, 2), of which the second is far above."""

    def forward(self, x0: Tensor) -> Tensor:
        return torch.cat([x0.flatten(1) - 100, torch.zeros(len(x0), 1)], dim=1)


def guided(network: Exact, classifier: nn.Module, y: int, *, scale: float, noised: bool) -> Tensor:
    """4,000 samples of one pixel for the class y, guided by a classifier from outside."""
    guidance = outside_classifier(2, classifier, shape=(1, 1, 1), scale=scale, noised=noised)
    sampler = DPMSolver(60, clip_x0=False)
    process = toy_process(
        schedule=LinearSchedule(1000), parameterization=X0(), guidance=guidance, sampler=sampler
    )
    rng, n = torch.Generator().manual_seed(0), 4_000
    labels = torch.full((n,), y)
    with torch.no_grad():
        *_, x = process.path(network, torch.randn(n, 1, 1, 1, generator=rng), labels, rng)
    return x.flatten()


@pytest.mark.parametrize("y", [0, 1])
def test_the_exact_classifier_of_a_mixture_guides_to_the_exact_conditional(y: int) -> None:
    schedule = LinearSchedule(1000)
    x = guided(Exact(TWO_HUMPS, schedule), Posterior(TWO_HUMPS, schedule), y, scale=1.0, noised=True)
    check_law(x, Mixture([1.0], TWO_HUMPS.means[y : y + 1], TWO_HUMPS.stds[y : y + 1]))


def test_a_linear_classifier_of_clean_images_tilts_a_gaussian_exactly() -> None:
    """p(x) e^(s w x) of N(m, std^2) is N(m + s w std^2, std^2); without the denoiser's Jacobian it is not."""
    x = guided(Exact(GAUSSIAN, LinearSchedule(1000)), Linear(), 0, scale=2.0, noised=False)
    check_law(x, Mixture([1.0], [0.3 + 2.0 * 0.5**2], [0.5]))


def test_a_classifier_of_clean_images_is_asked_once_a_step_beside_one_pass_of_the_network() -> None:
    network = NoisyClassifier((1, 4, 4), 3, width=8)

    class Clean(nn.Module):
        def forward(self, x0: Tensor) -> Tensor:
            return network(x0, torch.zeros(len(x0)))

    guidance = outside_classifier(3, Clean(), shape=(1, 4, 4), scale=1.0, noised=False)
    model = trained(toy_process(guidance=guidance))
    with PassCounter(model.networks()) as counter:
        drawn = samples(model)
    assert counter.passes(len(Y)) == 10
    assert not drawn.requires_grad
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ClassifierFree(3, scale=-1.0), r"guidance.scale is -1"),
        (lambda: ClassifierFree(3, p_uncond=1.0), r"guidance.p_uncond is 1"),
        (lambda: ClassifierFree(3, interval=[0.5, 0.2]), r"guidance.interval is"),
        (lambda: Classifier(0, nn.Identity()), "conditional=true"),
        (lambda: Classifier(3, nn.Linear(1, 1), noised=False), r"guidance.noised=false .*freeze"),
        (lambda: outside_classifier(3, Pull(), shape=(1, 4, 4), noised=False), r"Pull, which cannot take"),
        (lambda: outside_classifier(3, Linear(), shape=(1, 4, 4)), r"Linear.*guidance.noised=false"),
        (lambda: outside_classifier(4, Pull(), shape=(1, 4, 4)), r"answers \(2, 3\) .* must be \(2, 4\)"),
    ],
)
def test_illegal_settings_are_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("condition", ["none", "labels", "texts"])
def test_guidance_is_refused_where_the_model_has_not_what_it_needs(condition: str) -> None:
    free, by_classes = ClassifierFree(3), Classifier(3, Pull())
    if condition == "none":
        with pytest.raises(ValueError, match=r"conditional=true, or text=small"):
            free.check(None)
        with pytest.raises(ValueError, match=r"conditional=true, or text=small"):
            toy_model(process=toy_process(guidance=free))
    elif condition == "labels":
        free.check(Y)
        by_classes.check(Y)
    else:
        free.check(TEXTS)
        with pytest.raises(ValueError, match=r"takes text: use guidance=classifier_free"):
            by_classes.check(TEXTS)


def test_texts_are_dropped_with_their_probability() -> None:
    torch.manual_seed(0)
    many = Encoded(Encoding(*(tensor.expand(20_000, *tensor.shape[1:]) for tensor in TEXTS[:1].own)), EMPTY)
    found = ClassifierFree(0, p_uncond=0.2).labels(many)
    assert isinstance(found, Encoded)
    share = float((found.pooled[:, 0] == EMPTY.pooled[0, 0]).double().mean())
    assert share == pytest.approx(0.2, abs=5 * 0.0029)  # five standard errors
    assert Unguided().labels(many) is many


@pytest.mark.parametrize("s", [0.0, 1.0, 3.0])
def test_texts_are_guided_as_labels_are(s: float) -> None:
    """eps_u + s (eps_c - eps_u), where eps_u is the answer to the empty text."""
    schedule, t = CosineSchedule(50), torch.full((2,), 0.4, dtype=torch.float64)
    xt = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    v = Interpolated(torch.zeros(()))

    def denoise(xt: Tensor, t: Tensor, y: Encoded) -> Denoised:
        return Denoised(xt + y.pooled[:, :1, None, None], v)

    found = ClassifierFree(0, scale=s).guide(denoise, xt, t, TEXTS, schedule.level(t)).x0
    free, own = EMPTY.pooled[0, 0], TEXTS.pooled[:, 0]
    assert torch.allclose(found - xt, (free + s * (own - free))[:, None, None, None].expand_as(xt), atol=1e-5)
