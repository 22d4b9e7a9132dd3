"""A cascade: its stages, the law of its samples, and the bound on its likelihood."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genbench.diffusion.flow_matching import FlowMatching
from genbench.diffusion.gaussian import GaussianDiffusion
from genbench.diffusion.guidance import Classifier, ClassifierFree, Unguided
from genbench.diffusion.low_resolution import LowResolution, eight_bit
from genbench.diffusion.ode import Euler
from genbench.diffusion.parameterization import X0
from genbench.diffusion.path_times import StratifiedPathTimes
from genbench.diffusion.reflow import Reflow
from genbench.diffusion.sampler import DDIM
from genbench.diffusion.schedule import CosineSchedule, Schedule
from genbench.diffusion.variance import Fitted
from genbench.families.cascade import Cascade, LikelihoodCascade, cascade
from genbench.families.diffusion import Diffusion
from genbench.generator import Generator, Likelihood, Loss, Rng, Stage
from genbench.metrics import PassCounter
from genbench.nn.unet import UNet
from tests.test_contract import build
from tests.toys import toy_model, toy_process, toy_text_model

SHAPE = (1, 8, 8)


def enlarging(base: Generator | None = None, **settings: Any) -> Cascade:
    """A cascade of 8x8 over the 4x4 images of a toy, with one layer of maps in its second stage."""
    classes = 0 if base is None else base.num_classes
    return cascade(
        SHAPE,
        settings.get("num_classes", classes),
        base=base or toy_model(),
        network=partial(UNet, num_classes=classes, width=8, blocks=1, patch=1, multipliers=[1]),
        process=settings.get("process") or toy_process(),
        condition=settings.get("condition") or LowResolution(),
        share=settings.get("share", 0.25),
    )


def moved(model: Cascade) -> Cascade:
    """The same with random weights where networks begin at zero, so that all inputs matter."""
    with torch.no_grad():
        for number, p in enumerate(model.parameters()):
            p += 0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(number))
    return model.eval()


def images(n: int = 16) -> Tensor:
    return eight_bit(torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(0)) * 2 - 1)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(1)


# The law of the samples, where all is Gaussian.

MEAN, SHARED, OWN = 0.1, 0.15, 0.2
"""A pixel is MEAN + SHARED g + OWN e, with one g for the four of an image and an e of its own."""


def gaussian_images(n: int, rng: torch.Generator | None) -> Tensor:
    g, e = torch.randn(n, 1, 1, 1, generator=rng), torch.randn(n, 1, 2, 2, generator=rng)
    return MEAN + SHARED * g + OWN * e


class TrueBase(Generator):
    """Small images of the true law: those of images that are drawn anew."""

    def __init__(self) -> None:
        super().__init__((1, 1, 1))
        self.weight = nn.Parameter(torch.zeros(()))

    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> Loss:
        raise NotImplementedError

    def sample(self, n: int, y: Tensor | None = None, *, rng: Rng | None = None) -> Tensor:
        return LowResolution().low(gaussian_images(n, rng))


class TrueDenoiser(nn.Module):
    """E[x | xt, z] in closed form, z the noised small image.

    Given z the mean of the pixels is N(m, v), so that its direction has the variance 4 v; the others have
    OWN^2, whatever z is.
    """

    def __init__(self, schedule: Schedule) -> None:
        super().__init__()
        self.schedule, self.weight = schedule, nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None, level: Tensor) -> Tensor:
        xt, z, s2 = x[:, :1], x[:, 1:, :1, :1], level.square()[:, None, None, None]
        at = self.schedule.level(t.double())
        tau2 = SHARED**2 + OWN**2 / 4
        seen = (1 - s2).sqrt()
        gain = seen * tau2 / ((1 - s2) * tau2 + s2)
        mean, v = MEAN + gain * (z - seen * MEAN), tau2 * (1 - gain * seen)
        rest = xt - at.alpha * mean
        common = rest.mean(dim=(2, 3), keepdim=True)

        def regressed(part: Tensor, variance: Tensor | float) -> Tensor:
            return part * at.alpha * variance / (at.alpha**2 * variance + at.sigma**2)

        return (mean + regressed(common, 4 * v) + regressed(rest - common, OWN**2)).float()


@pytest.mark.parametrize("augmentation", [0.0, 0.3])
def test_with_an_exact_base_and_an_exact_denoiser_samples_have_the_law_of_the_images(
    augmentation: float,
) -> None:
    """The covariance is SHARED^2 between all pixels and OWN^2 more of each; 20,000 images."""
    n, schedule = 20_000, CosineSchedule(200)
    process = toy_process(
        schedule=schedule, parameterization=X0(), sampler=DDIM(100, clip_x0=False), variance=None
    )
    model = cascade(
        (1, 2, 2),
        0,
        base=TrueBase(),
        network=lambda shape, inputs: TrueDenoiser(schedule),
        process=process,
        condition=LowResolution(augmentation=augmentation),
    )
    x = model.sample(n, rng=seeded()).flatten(1).double()
    expected = SHARED**2 + OWN**2 * torch.eye(4, dtype=torch.float64)
    assert torch.allclose(x.mean(0), torch.full((4,), MEAN, dtype=torch.float64), atol=0.01)
    # A standard error of a variance is below 0.0007; the steps of the sampler add as much.
    assert torch.allclose(torch.cov(x.T), expected, atol=0.004)


# The stages.


def test_the_stages_follow_the_budget_and_each_trains_its_own() -> None:
    model = enlarging()
    assert model.stages == (Stage(0.25, ("base_net",)), Stage(0.75, ("net",)))
    first, second = (set(map(id, model.phase_parameters(phase))) for phase in model.phases)
    assert first.isdisjoint(second)
    assert first | second == set(map(id, model.parameters()))


def test_no_gradient_of_a_stage_reaches_the_other() -> None:
    for phase, other in (("base_net", "net"), ("net", "base_net")):
        model = moved(enlarging()).train()
        model.loss(images(), phase=phase).total.backward()
        assert all(p.grad is not None for p in model.phase_parameters(phase))
        assert all(p.grad is None for p in model.phase_parameters(other))


def test_a_base_with_stages_or_phases_of_its_own_has_them_in_its_share() -> None:
    process = FlowMatching(
        coupling=Reflow(solver=Euler(1), share=0.5),
        times=StratifiedPathTimes(),
        solver=Euler(1),
        guidance=Unguided(),
    )
    of_reflow = enlarging(toy_model(process=process)).stages
    wanted = [Stage(0.125, ("base_net",)), Stage(0.125, ("base_reflow",)), Stage(0.75, ("net",))]
    assert list(of_reflow) == wanted
    gan = build("model=cascade", "base_model=gan")
    assert gan.stages[0].phases == ("base_disc", "base_gen")


@pytest.mark.parametrize(
    ("frozen", "of_base", "of_second"),
    [(False, [0, 0.4, 1, 1], [0, 0, 0, 1]), (True, [], [0, 0.1, 0.25, 1])],
)
def test_each_stage_is_given_what_is_spent_of_its_own_part(
    frozen: bool, of_base: list[float], of_second: list[float]
) -> None:
    model = enlarging(toy_model().requires_grad_(not frozen))
    found, first = list[float](), list[float]()
    model.process.begin_step = found.append
    model.base.begin_step = first.append
    for spent in (0.0, 0.1, 0.25, 1.0):
        model.begin_step(spent)
    assert found == pytest.approx(of_second)
    assert first == pytest.approx(of_base)


def test_a_trained_base_leaves_the_budget_to_the_second_stage() -> None:
    base = toy_model().requires_grad_(False)
    model = enlarging(base)
    assert (model.phases, model.stages) == (("net",), ())
    before = [p.clone() for p in base.parameters()]
    model.loss(images()).total.backward()
    assert all(torch.equal(a, b) for a, b in zip(before, base.parameters(), strict=True))


def test_the_base_learns_small_images_and_the_second_stage_is_told_the_level() -> None:
    model, x = moved(enlarging()), images()
    torch.manual_seed(0)
    of_cascade = model.loss(x, phase="base_net").total
    torch.manual_seed(0)
    assert torch.equal(of_cascade, model.base.loss(model.low_resolution.low(x)).total)
    xt = torch.cat([x, x], dim=1)
    with torch.no_grad():
        answers = [model.network(xt, torch.full((16,), 0.5), None, torch.full((16,), s)) for s in (0.0, 0.5)]
    assert not torch.allclose(*answers)


def test_both_stages_are_fitted_from_one_pass_over_the_images() -> None:
    process, base = toy_process(variance=Fitted(50)), toy_model(process=toy_process(variance=Fitted(50)))
    model = moved(enlarging(base, process=process))
    model.fit(iter([(images(64), None)] * 4))
    fitted = [name for name in model.state_dict() if name.endswith("variance.m")]
    assert fitted == ["base.process.variance.m", "process.variance.m"]
    assert all(bool((model.state_dict()[name][1:] > 0).all()) for name in fitted)


# Samples.


def test_passes_are_counted_over_both_stages() -> None:
    model = enlarging().eval()
    with PassCounter(model.networks()) as counter:
        model.sample(3, rng=seeded())
    assert counter.passes(3) == 5 + 5


def test_states_on_the_way_are_those_of_the_base_enlarged_then_those_of_the_second_stage() -> None:
    model = moved(enlarging())
    states = model.trajectory(2, rng=seeded(), frames=6)
    of_base = model.base.trajectory(2, rng=seeded(), frames=3)
    assert torch.equal(states[:3], torch.stack([*map(model.low_resolution.enlarged, of_base)]))
    assert torch.equal(states[-1], model.sample(2, rng=seeded()))
    gan = build("model=cascade", "base_model=gan").eval()
    first = gan.trajectory(2, rng=seeded(), frames=6)[0]
    assert not torch.equal(first, gan.low_resolution.enlarged(gan.low_resolution.low(first)))  # pure noise


def test_labels_reach_both_stages_and_guide_them() -> None:
    guidance = ClassifierFree(3, scale=3.0)
    model = moved(
        enlarging(
            toy_model(3, process=toy_process(guidance=guidance)), process=toy_process(guidance=guidance)
        )
    )
    one, two = (model.sample(2, torch.full((2,), k), rng=seeded()) for k in (0, 1))
    assert not torch.allclose(one, two)
    with PassCounter(model.networks()) as counter:
        model.sample(2, torch.tensor([0, 1]), rng=seeded())
    assert counter.passes(2) == 2 * (5 + 5)


# Likelihoods.


def test_the_bound_is_the_sum_of_that_of_the_small_image_and_that_of_the_image_given_it() -> None:
    model, x = moved(enlarging(condition=LowResolution(augmentation=0.0))), images(4)
    assert isinstance(model, LikelihoodCascade)
    assert isinstance(model.base, Likelihood)
    torch.manual_seed(0)
    with torch.no_grad():
        whole = model.log_prob(x)
    torch.manual_seed(0)
    with torch.no_grad():
        small = model.base.log_prob(model.low_resolution.low(x))
        torch.randn(4, 1, 4, 4)  # the augmentation's noise, which level 0 does not use
        fixed = partial(beside, model.network, model.low_resolution.enlarged(model.low_resolution.low(x)))
        rest = model.process.log_prob(Called(fixed), x, None)
    assert torch.allclose(whole, small + rest, rtol=1e-5)


def beside(network: nn.Module, low: Tensor, xt: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
    answer: Tensor = network(torch.cat([xt, low], dim=1), t, y, torch.zeros(len(xt)))
    return answer


class Called(nn.Module):
    """A function as a network."""

    def __init__(self, function: Callable[[Tensor, Tensor, Tensor | None], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        return self.function(x, t, y)


@pytest.mark.parametrize(
    ("base", "bound"),
    [
        ("ddpm", "lower"),
        ("flow_matching", "estimate"),
        ("gan", None),
    ],
)
def test_the_kind_of_the_likelihood_follows_from_the_base(base: str, bound: str | None) -> None:
    model = build("model=cascade", f"base_model={base}")
    assert isinstance(model, Likelihood) == (bound is not None)
    assert bound is None or (isinstance(model, Likelihood) and model.bound == bound)


# What has no meaning.


def classifier() -> GaussianDiffusion:
    return toy_process(guidance=Classifier(3, nn.Linear(1, 1)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: enlarging(share=0.0), r"model\.share is 0\.0; it must be between 0 and 1"),
        (lambda: enlarging(share=1.0), r"model\.share is 1\.0"),
        (lambda: enlarging(condition=LowResolution(factor=3)), "use 2 or 4 or 8"),
        (lambda: enlarging(condition=LowResolution(factor=4)), r"base model has shape \(1, 4, 4\)"),
        (lambda: enlarging(toy_model(3), num_classes=0), "3 classes"),
        (lambda: enlarging(toy_text_model()), "Diffusion of texts, and a cascade takes none"),
        (lambda: enlarging(toy_model(3), process=classifier()), "use guidance=classifier_free"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_remedy(make: Callable[[], Cascade], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_diffusion_of_the_base_may_have_a_process_of_its_own() -> None:
    base = toy_model(process=toy_process(sampler=DDIM(3)))
    assert isinstance(base, Diffusion)
    with PassCounter((model := enlarging(base).eval()).networks()) as counter:
        model.sample(2, rng=seeded())
    assert counter.passes(2) == 3 + 5
