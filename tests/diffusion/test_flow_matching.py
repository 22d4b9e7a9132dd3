"""Flow matching against what is known in closed form."""

import math
from itertools import pairwise

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from genbench.diffusion.flow_matching import FlowMatching
from genbench.diffusion.guidance import Classifier, ClassifierFree, Guidance, Unguided
from genbench.diffusion.ode import Adaptive, Euler, FixedSteps, Heun, Midpoint, Solver
from genbench.diffusion.pairing import Independent
from genbench.diffusion.path_times import PathTimes, StratifiedPathTimes
from genbench.metrics import PassCounter
from genbench.probability.buckets import gaussian_log_prob
from tests.toys import toy_model

MEAN, STD = 0.3, 0.5
CPU = torch.device("cpu")


class Exact(nn.Module):
    """E[x0 - eps | xt] for x0 ~ N(mean, std^2), eps ~ N(0, 1), xt = (1 - t) x0 + t eps."""

    def __init__(self, mean: float = MEAN, std: float = STD) -> None:
        super().__init__()
        self.mean, self.std = mean, std
        self.unused = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        t = t[:, None, None, None].to(x.dtype)
        variance = (1 - t) ** 2 * self.std**2 + t**2
        slope = ((1 - t) * self.std**2 - t) / variance
        return self.mean + slope * (x - (1 - t) * self.mean)


def process(
    solver: Solver | None = None,
    *,
    guidance: Guidance | None = None,
    steps: int = 20,
    times: PathTimes | None = None,
) -> FlowMatching:
    return FlowMatching(
        coupling=Independent(),
        times=times or StratifiedPathTimes(),
        solver=solver or Euler(5),
        guidance=guidance or Unguided(),
        density_steps=steps,
    )


def ends(solver: Solver, x: Tensor) -> Tensor:
    *_, x = process(solver).path(Exact(), x, None, None)
    return x.detach()


@pytest.mark.parametrize("solver", [Euler(200), Heun(50), Midpoint(50), Adaptive(1e-3)])
def test_the_exact_velocity_returns_the_law_of_the_data(solver: Solver) -> None:
    x = torch.randn(20_000, 1, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = ends(solver, x).flatten()
    # Five standard errors of 20,000 draws; a fixed seed, a false alarm under 1e-6
    assert float(found.mean()) == pytest.approx(MEAN, abs=5 * 0.0035)
    assert float(found.std()) == pytest.approx(STD, abs=5 * 0.0025)
    assert stats.kstest(found.numpy(), stats.norm(MEAN, STD).cdf).pvalue > 1e-6


@pytest.mark.parametrize("make", [Euler, Heun, Midpoint])
def test_the_error_falls_with_the_solvers_order(make: type[FixedSteps]) -> None:
    """Gaussian to Gaussian the flow is the line x0 = mean + std x1."""
    x = torch.linspace(-2, 2, 41, dtype=torch.float64)[:, None, None, None]
    errors = [float((ends(make(steps), x) - (MEAN + STD * x)).abs().max()) for steps in (32, 64, 128, 256)]
    slopes = [math.log2(a / b) for a, b in pairwise(errors)]
    # The midpoint method gains an order on this problem, so no solver is held to more than at least its own.
    assert all(slope > make.order - 0.3 for slope in slopes), slopes


def test_one_euler_step_is_exact_for_a_single_image() -> None:
    """All paths lead to the image: the velocity at t = 1 is image - x."""

    class Target(nn.Module):
        def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
            return (0.25 - x) / t[:, None, None, None]

    x = torch.randn(4, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    for solver in (Euler(1), Euler(7)):
        *_, found = process(solver).path(Target(), x, None, None)
        assert torch.allclose(found, torch.full_like(x, 0.25), atol=1e-5)


def test_the_loss_is_least_at_the_exact_velocity() -> None:
    """E|v - (x0 - eps)|^2 of the exact v is E Var[x0 - eps | xt]; any other answer costs more."""
    x0 = MEAN + STD * torch.randn(50_000, 1, 1, 1, generator=torch.Generator().manual_seed(7))
    torch.manual_seed(0)
    best = float(process().losses(Exact(), x0, None, phase="net").total.detach())
    torch.manual_seed(0)
    off = float(process().losses(Exact(MEAN + 0.2), x0, None, phase="net").total.detach())
    t = (torch.arange(20_000) + 0.5) / 20_000
    variance = (1 - t) ** 2 * STD**2 + t**2
    # Var[x0 - eps] - Cov(x0 - eps, xt)^2 / Var[xt]
    left = 1 + STD**2 - ((1 - t) * STD**2 - t) ** 2 / variance
    assert best == pytest.approx(float(left.mean()), rel=0.03)  # five standard errors of 50,000 squares
    assert off > best


def test_the_likelihood_of_gaussian_images_is_exact() -> None:
    x = 0.1 + 0.2 * torch.randn(1000, 1, 2, 2, generator=torch.Generator().manual_seed(1))
    x = ((x + 1) * 127.5).round().clamp(0, 255) / 127.5 - 1
    truth = gaussian_log_prob(x, torch.tensor(0.1), torch.tensor(math.log(0.2))).flatten(1).sum(1)
    found = process(steps=200).log_prob(Exact(0.1, 0.2), x, None)
    bits = float((found - truth).mean()) / 4 / math.log(2)
    assert bits == pytest.approx(0, abs=0.01)  # dequantization at a deviation of 25 levels


@pytest.mark.parametrize(("solver", "passes"), [(Euler(5), 5), (Heun(5), 9), (Midpoint(5), 10)])
def test_passes_are_those_of_the_method(solver: Solver, passes: int) -> None:
    model = toy_model(process=process(solver)).eval()
    with PassCounter(model.networks()) as counter:
        model.sample(3, rng=torch.Generator().manual_seed(0))
    assert counter.passes(3) == passes


def test_a_tighter_tolerance_takes_more_steps_and_errs_less() -> None:
    x = torch.linspace(-2, 2, 41, dtype=torch.float64)[:, None, None, None]
    steps, errors = [], []
    for tolerance in (0.1, 0.01, 0.001):
        states = list(process(Adaptive(tolerance)).path(Exact(), x, None, None))
        steps.append(len(states))
        errors.append(float((states[-1] - (MEAN + STD * x)).detach().abs().max()))
    assert steps[0] < steps[1] < steps[2]
    assert errors[0] > errors[1] > errors[2]


def test_the_adaptive_solver_sees_a_bend_at_the_end() -> None:
    """A field that is 0 but for a bump below t = 0.4: the last step must not jump over it."""

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        return torch.full_like(x, 5.0 if float(t) < 0.4 else 0.0)

    *_, x = Adaptive(0.01).walk(velocity, torch.zeros(1, 1, 1, 1, dtype=torch.float64))
    assert float(x) == pytest.approx(2.0, abs=0.05)


def test_guidance_of_one_is_the_conditional_model() -> None:
    y = torch.tensor([0, 1, 2])
    plain, guided = (
        toy_model(3, process=process(guidance=guidance))
        .eval()
        .sample(3, y, rng=torch.Generator().manual_seed(0))
        for guidance in (Unguided(), ClassifierFree(3, scale=1.0))
    )
    assert torch.equal(plain, guided)


def test_inpainting_keeps_what_is_given() -> None:
    model = toy_model(process=process(Heun(5))).eval()
    x = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mask = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    mask[..., 2:] = True
    filled = model.inpaint(x, mask, rng=torch.Generator().manual_seed(1))
    assert torch.allclose(filled[..., :2], x[..., :2], atol=1e-5)


def test_a_classifier_cannot_guide_where_no_signal_is_left() -> None:
    with pytest.raises(ValueError, match="use guidance=classifier_free"):
        process(guidance=Classifier(3, nn.Identity()))


def test_settings_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match=r"solver.steps is 0"):
        Euler(0)
    with pytest.raises(ValueError, match=r"solver.tolerance=0"):
        Adaptive(0.0)
    with pytest.raises(FloatingPointError, match=r"solver.most=2"):
        list(process(Adaptive(1e-6, most=2)).path(Exact(), torch.randn(3, 1, 1, 1), None, None))


def test_density_steps_are_refused_by_the_key_that_sets_them() -> None:
    with pytest.raises(ValueError, match=r"^model\.process\.density_steps is 0; it must be from 1"):
        FlowMatching(
            coupling=Independent(),
            times=StratifiedPathTimes(),
            solver=Euler(1),
            guidance=Unguided(),
            density_steps=0,
        )
