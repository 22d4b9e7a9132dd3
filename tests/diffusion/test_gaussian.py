"""The Gaussian process: every composition that means something runs, every other is refused with a reason."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from genbench.diffusion.density import ProbabilityFlow
from genbench.diffusion.fast_samplers import DPMSolver, DPMSolverSDE, HeunSampler, UniPC
from genbench.diffusion.gaussian import GaussianDiffusion
from genbench.diffusion.guidance import Classifier
from genbench.diffusion.langevin import Langevin, PredictorCorrector
from genbench.diffusion.learned_schedule import LearnedSchedule
from genbench.diffusion.objective import L1, L2, VLB, Huber, Hybrid, Objective
from genbench.diffusion.parameterization import (
    X0,
    EDMPreconditioning,
    Eps,
    Parameterization,
    PosteriorMean,
    Score,
    V,
)
from genbench.diffusion.sampler import DDIM, Ancestral, Sampler
from genbench.diffusion.schedule import (
    CosineSchedule,
    EDMSchedule,
    GeometricSchedule,
    LinearSchedule,
    Schedule,
    SigmoidSchedule,
    ZeroTerminalSchedule,
)
from genbench.diffusion.times import Importance, LogNormal
from genbench.diffusion.variance import Beta, BetaTilde, LearnedVariance
from genbench.diffusion.variance_exploding import VarianceExplodingSchedule
from genbench.diffusion.weighting import MinSNR, OfNoise, TrueBound
from tests.toys import toy_model, toy_process

T = 50
SCHEDULES: list[Callable[[], Schedule]] = [
    lambda: LinearSchedule(T),
    lambda: CosineSchedule(T),
    lambda: GeometricSchedule(T, beta_T=0.04),
    lambda: SigmoidSchedule(T),
    lambda: EDMSchedule(T),
    lambda: ZeroTerminalSchedule(T, LinearSchedule),
    lambda: LearnedSchedule(T, width=8),
    lambda: VarianceExplodingSchedule(T, sigma_max=10.0),
]
ALIKE = (1, 2, 3)
"""Schedules whose compositions are those of the first, with other numbers."""
OBJECTIVES = [L1(), L2(), Huber(), Hybrid(), VLB()]
PARAMETERIZATIONS = [Eps(), X0(), V(), EDMPreconditioning(), Score(), PosteriorMean()]
SAMPLERS = [
    *(Ancestral(3), DDIM(3), DPMSolver(3), DPMSolverSDE(3), HeunSampler(3), UniPC(3)),
    *(Langevin(3, corrector_steps=1), PredictorCorrector(3)),
]
REFUSED = "use|set"  # every refusal says what to use instead


def compose(
    schedule: Schedule, objective: Objective, parameterization: Parameterization, sampler: Sampler
) -> GaussianDiffusion:
    return toy_process(
        schedule=schedule,
        objective=objective,
        parameterization=parameterization,
        sampler=sampler,
        variance=LearnedVariance() if objective.learns_variance else BetaTilde(),
    )


def legal(schedule: Schedule, objective: Objective, parameterization: Parameterization) -> bool:
    """A learned schedule needs the bound; eps and the score say nothing where no signal is left."""
    if isinstance(schedule, LearnedSchedule) and not isinstance(objective, VLB):
        return False
    return not (isinstance(schedule, ZeroTerminalSchedule) and isinstance(parameterization, Eps | Score))


@pytest.mark.parametrize(
    "make",
    [pytest.param(k, marks=[pytest.mark.slow] if k in ALIKE else []) for k in range(len(SCHEDULES))],
)
def test_every_legal_composition_trains_and_samples_and_the_others_say_why(make: int) -> None:
    x = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for objective in OBJECTIVES:
        for parameterization in PARAMETERIZATIONS:
            schedule = SCHEDULES[make]()
            if not legal(schedule, objective, parameterization):
                with pytest.raises(ValueError, match=REFUSED):
                    compose(schedule, objective, parameterization, SAMPLERS[0])
                continue
            model = toy_model(process=compose(schedule, objective, parameterization, SAMPLERS[0]))
            loss = model.loss(x).total
            loss.backward()
            named = (type(schedule), type(objective), type(parameterization))
            assert bool(loss.isfinite()), named
            assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)
            # Samples depend on the loss by the variance alone, which l2 and vlb have of both kinds.
            for sampler in SAMPLERS if isinstance(objective, L2 | VLB) else SAMPLERS[:1]:
                model.process.sampler = sampler
                drawn = model.eval().sample(2, rng=torch.Generator().manual_seed(0))
                assert bool(drawn.isfinite().all()), (*named, type(sampler))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: toy_process(variance=LearnedVariance()),
            "variance=learned gets no gradient from loss=l2.*hybrid",
        ),
        (lambda: toy_process(objective=Hybrid()), "loss=hybrid adds the bound .*variance=learned"),
        (lambda: toy_process(objective=VLB(), weighting=MinSNR()), "loss=vlb is the bound.*weighting=none"),
        (lambda: toy_process(objective=VLB(), weighting=OfNoise()), "loss=vlb is the bound.*weighting=none"),
        (lambda: toy_process(schedule=LearnedSchedule(T, width=8)), "schedule=learned needs .*loss=vlb"),
        (
            lambda: toy_process(schedule=ZeroTerminalSchedule(T, LinearSchedule), parameterization=Eps()),
            "leaves no signal.*parameterization=v",
        ),
        (
            lambda: toy_process(
                schedule=ZeroTerminalSchedule(T, LinearSchedule), guidance=Classifier(3, nn.Identity())
            ),
            "divides by the signal.*classifier_free",
        ),
        (lambda: toy_process(sampler=DDIM(51)), "sampler.steps is 51"),
        (
            lambda: toy_process(objective=VLB(), times=LogNormal()),
            "loss=vlb is a sum over all steps.*times=importance",
        ),
        (
            lambda: toy_process(weighting=TrueBound(), variance=Beta()),
            "weighting=bound assumes the posterior.*variance=posterior",
        ),
        (lambda: toy_process(times=Importance(T + 1)), r"times.T is 51, and schedule.T is 50"),
        (lambda: toy_process(density=ProbabilityFlow(T + 1)), r"density.steps is 51; it must be at most"),
        (
            lambda: toy_process(schedule=LinearSchedule(1, beta_T=5e-4), sampler=DDIM(1)),
            r"schedule.T is 1; a bound needs at least 2",
        ),
    ],
)
def test_compositions_that_mean_nothing_are_refused_with_a_remedy(
    make: Callable[[], GaussianDiffusion], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_network_with_too_few_answers_is_refused() -> None:
    model = toy_model()
    model.process.variance = LearnedVariance()
    with pytest.raises(ValueError, match=r"answers 1 channels .* network.answers=2"):
        model.loss(torch.zeros(2, 1, 4, 4))


def test_weights_multiply_the_loss() -> None:
    """On one image at one time the weighted loss is the weight times the plain one."""
    x = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    losses = []
    for weighting in (None, TrueBound()):
        model = toy_model(process=toy_process(weighting=weighting))
        torch.manual_seed(3)
        t, _ = model.process.times(1, model.process.schedule, x.device)
        torch.manual_seed(3)
        losses.append(float(model.loss(x).total.detach()))
    weight = float(TrueBound()(t, CosineSchedule(T), V()))
    assert losses[1] == pytest.approx(weight * losses[0], rel=1e-5)


@pytest.mark.parametrize("times", [Importance(T, history=2), LogNormal()])
def test_other_laws_of_times_train(times: nn.Module) -> None:
    model = toy_model(process=toy_process(times=times))
    x = torch.rand(64, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for _ in range(5):
        assert bool(model.loss(x).total.isfinite())


def test_importance_learns_from_the_losses_of_training() -> None:
    times = Importance(T, history=2)
    model = toy_model(process=toy_process(times=times))
    before = {name: value.clone() for name, value in times.state_dict().items()}
    model.loss(torch.zeros(8, 1, 4, 4))
    assert any(not torch.equal(before[name], value) for name, value in times.state_dict().items())


@pytest.mark.parametrize(
    "sampler", [Langevin(3), PredictorCorrector(3), DDIM(3)], ids=lambda s: type(s).__name__
)
@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS, ids=lambda p: type(p).__name__)
def test_the_exploding_process_trains_and_samples(
    parameterization: Parameterization, sampler: Sampler
) -> None:
    """At sigma = 100 too, where x0 follows from eps with a hundredfold error."""
    schedule = VarianceExplodingSchedule(T)
    process = toy_process(
        schedule=schedule, parameterization=parameterization, sampler=sampler, density=ProbabilityFlow(5)
    )
    model = toy_model(process=process)
    x = torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    model.loss(x).total.backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)
    assert float(model.eval().sample(4, rng=torch.Generator().manual_seed(0)).abs().max()) <= 1
    assert bool(model.log_prob(x).isfinite().all())
