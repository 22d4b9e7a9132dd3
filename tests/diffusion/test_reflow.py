"""Reflow against Gaussian flows, whose pairs and straight velocities are known, and a learned mixture."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from genbench.diffusion.flow_matching import FlowMatching
from genbench.diffusion.guidance import ClassifierFree, Guidance, Unguided
from genbench.diffusion.ode import Euler, Heun, Solver
from genbench.diffusion.path_times import StratifiedPathTimes
from genbench.diffusion.process import Process
from genbench.diffusion.reflow import Reflow
from genbench.families.diffusion import Diffusion
from genbench.generator import Stage
from tests.toys import toy_model
from tests.training.test_loop import run, same

MEAN, STD = 0.3, 0.5


class Blend(nn.Module):
    """The velocity to N(mean + y, std^2): of independent pairs at straight = 0, of the flow's own at 1.

    The flow's own are z0 = mean + y + std z1, so that z1 = (zt - (1 - t) (mean + y)) / ((1 - t) std + t).
    """

    def __init__(self) -> None:
        super().__init__()
        self.straight = nn.Parameter(torch.zeros(()))
        self.scale = nn.Parameter(torch.ones(2, 3))  # weights of another shape: all 1

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        t = t[:, None, None, None].to(x.dtype)
        mean = MEAN + (0 if y is None else y[:, None, None, None])
        centred, variance = x - (1 - t) * mean, (1 - t) ** 2 * STD**2 + t**2
        curved = mean + ((1 - t) * STD**2 - t) / variance * centred
        straight = mean + (STD - 1) * centred / ((1 - t) * STD + t)
        return self.scale.mean() * torch.lerp(curved, straight, self.straight)


def process(
    *, steps: int = 1, teacher: Solver | None = None, guidance: Guidance | None = None
) -> FlowMatching:
    return FlowMatching(
        coupling=Reflow(solver=teacher or Heun(40)),
        times=StratifiedPathTimes(),
        solver=Euler(steps),
        guidance=guidance or Unguided(),
    )


def taught() -> tuple[FlowMatching, Blend]:
    """A process at the start of its second stage, with the network that the first has left."""
    reflow, network = process(), Blend()
    reflow.adopt(network)
    x = torch.zeros(2, 1, 1, 1)
    for phase in ("net", "reflow"):
        reflow.losses(network, x, None, phase=phase)
    return reflow, network


def noise(n: int = 64) -> Tensor:
    return torch.linspace(-2.5, 2.5, n)[:, None, None, None]


def straightness(flow: FlowMatching, network: nn.Module, z1: Tensor, steps: int = 100) -> float:
    """S = int_0^1 E|(z0 - z1) - v(z_t, t)|^2 dt on the flow's own paths. Source: Liu et al. 2023, Eq. 7."""
    with torch.no_grad():
        states = [z1, *copy.copy(flow).path(network, z1, None, None)]
        times = torch.linspace(1, 0, len(states))[:-1]
        gaps = [
            (states[-1] - z1 - network(z, t.expand(len(z)))).square().mean()
            for z, t in zip(states[:-1], times, strict=True)
        ]
    return float(torch.stack(gaps).mean())


def with_steps(flow: FlowMatching, steps: int) -> FlowMatching:
    other = copy.deepcopy(flow)
    other.solver = Euler(steps)
    return other


def test_the_second_stage_learns_the_pairs_of_the_first_ones_flow() -> None:
    """Of Gaussians, z0 = mean + std z1, whatever image the batch holds; labels are the batch's."""
    reflow, network = taught()
    with torch.no_grad():
        network.straight.fill_(7.0)  # what the network becomes later must not matter
    z1, x0 = noise(), torch.full((64, 1, 1, 1), 9.0)
    for y, mean in ((None, MEAN), (torch.full((64,), 2), MEAN + 2)):
        z0, eps = reflow.coupling.pairs(x0, z1, network=network, y=y, phase="reflow")
        assert torch.equal(eps, z1)
        assert torch.allclose(z0, mean + STD * z1, atol=2e-3)  # 40 steps of a method of order 2
    assert torch.equal(reflow.coupling.pairs(x0, z1, network=network, y=None, phase="net")[0], x0)


def test_straight_paths_cost_nothing_and_one_step_of_theirs_is_exact() -> None:
    reflow, network = taught()
    x0, z1 = MEAN + STD * torch.randn(256, 1, 1, 1), noise()
    curved = reflow.losses(network, x0, None, phase="reflow").total.detach()
    bent = straightness(with_steps(reflow, 100), network, z1)
    with torch.no_grad():
        network.straight.fill_(1.0)
    straight = reflow.losses(network, x0, None, phase="reflow").total.detach()
    assert float(straight) < 1e-5 < 1e-2 < float(curved)
    assert straightness(with_steps(reflow, 100), network, z1) < 1e-9 < 1e-2 < bent
    for steps in (1, 2, 7):
        *_, z0 = with_steps(reflow, steps).path(network, z1, None, None)
        assert torch.allclose(z0, MEAN + STD * z1, atol=1e-5)


def test_a_new_first_stage_takes_a_new_teacher() -> None:
    reflow, network = taught()
    with torch.no_grad():
        network.straight.fill_(0.5)
    for phase, expected in (("reflow", 0.0), ("net", 0.5), ("reflow", 0.5)):
        reflow.losses(network, torch.zeros(2, 1, 1, 1), None, phase=phase)
        # Once more begun, the average takes the weights whole; then the ramp-up leaves 2^-20 of older ones.
        assert float(reflow.coupling.weights(network)["straight"]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("rampup", [None, 0.2])
def test_the_teacher_is_the_average_of_the_first_stage_as_the_loop_has_it(
    tmp_path: Path, rampup: float | None
) -> None:
    """Up to the last step of the stage and no further: 64 images of 16 a step, each step counted once."""
    averaged = {"ema_halflife_images": 40.0, "ema_rampup": rampup}
    for accumulate in (1, 2):
        coupling = Reflow(solver=Euler(1), halflife_images=40.0, rampup=rampup)
        flow = FlowMatching(
            coupling=coupling, times=StratifiedPathTimes(), solver=Euler(1), guidance=Unguided()
        )
        halves = run(
            tmp_path / f"first-{accumulate}",
            model=toy_model(process=flow),
            budget=128,
            stop_at=64,
            **averaged,
        )
        assert halves.images_seen == 64
        average = torch.cat([p.flatten() for p in halves.ema.model.network.parameters()])
        whole = run(
            tmp_path / f"first-{accumulate}",
            model=halves.model,
            budget=128,
            accumulate=accumulate,
            **averaged,
        )
        teacher = whole.model.process.coupling.teacher
        raw = torch.cat([p.flatten() for p in whole.model.network.parameters()])
        # float32 of the share, over 4 steps
        assert torch.allclose(teacher, average, atol=1e-6)
        assert not torch.allclose(teacher, raw, atol=1e-3)


def test_nothing_trains_or_averages_the_teacher_and_it_is_no_cost_of_a_sample() -> None:
    model, plain = toy_model(process=process()), toy_model()
    assert [p.shape for p in model.parameters()] == [p.shape for p in plain.parameters()]
    assert model.stages == (Stage(0.5, ("net",)), Stage(0.5, ("reflow",)))
    assert model.networks() == [model.network]
    for phase in model.phases:
        assert len(model.phase_parameters(phase)) == len(list(model.network.parameters()))


def test_a_resume_in_either_stage_equals_a_straight_training_bit_for_bit(tmp_path: Path) -> None:
    def fresh() -> Diffusion:
        return toy_model(process=process(teacher=Heun(2)))

    straight = run(tmp_path / "straight", model=fresh(), budget=128)
    for stop_at in (64, 96):  # the second stage begins at 64
        parts = tmp_path / str(stop_at)
        assert run(parts, model=fresh(), budget=128, stop_at=stop_at).images_seen == stop_at
        assert same(straight, run(parts, model=fresh(), budget=128))
    teacher = straight.model.process.coupling.weights(straight.model.network)
    moved = [not torch.equal(p, teacher[name]) for name, p in straight.model.network.named_parameters()]
    assert all(moved)


def test_a_teacher_drops_nothing_and_leaves_the_learner_learning() -> None:
    reflow, network, seen = process(teacher=Euler(2)), Blend(), []
    network.register_forward_hook(lambda module, inputs, output: seen.append(module.training))
    reflow.adopt(network)
    reflow.losses(network, noise(), None, phase="reflow")
    assert seen == [False, False, True]


def test_guidance_drops_labels_of_the_teacher_too() -> None:
    """Noise and its image are a pair under the label that the network is then told."""
    reflow, told = process(guidance=ClassifierFree(3, p_uncond=0.5), teacher=Euler(1)), []
    network = Blend()
    network.register_forward_hook(lambda module, inputs, output: told.append(inputs[2]))
    reflow.adopt(network)
    reflow.losses(network, torch.zeros(64, 1, 1, 1), torch.zeros(64, dtype=torch.int64), phase="reflow")
    assert torch.equal(*told)
    assert told[0].unique().tolist() == [0, 3]


class Perceptron(nn.Module):
    """A velocity on a line."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1)
        )

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        return self.layers(torch.stack([x.flatten(), t], dim=1))[:, :, None, None]


def mixture(n: int) -> Tensor:
    """Half of N(-1, 0.1^2), half of N(1, 0.1^2), in order."""
    side = torch.where(torch.arange(n) < n // 2, -1.0, 1.0)
    return (side + 0.1 * torch.randn(n)).sort().values[:, None, None, None]


def learned(flow: Process, network: nn.Module, phase: str, steps: int = 500) -> None:
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        flow.losses(network, mixture(256)[torch.randperm(256)], None, phase=phase).total.backward()
        optimizer.step()
        optimizer.zero_grad()
        decay.step()


def test_reflow_straightens_a_learned_flow_and_keeps_its_images() -> None:
    torch.manual_seed(0)
    flow, network = process(teacher=Heun(5)), Perceptron()
    flow.adopt(network)
    z1, x0 = torch.randn(2000, 1, 1, 1), mixture(2000)

    def measured() -> tuple[float, float, float]:
        """Straightness, and the distance to the data (W1, by order) after one step and after 50."""
        distances = []
        for steps in (1, 50):
            *_, z0 = with_steps(flow, steps).path(network, z1, None, None)
            distances.append(float((z0.detach().flatten().sort().values - x0.flatten()).abs().mean()))
        return straightness(with_steps(flow, 50), network, z1), *distances

    learned(flow, network, "net")
    bent, coarse, fine = measured()
    learned(flow, network, "reflow")
    straight, one_step, many = measured()
    assert straight < bent / 5
    assert one_step < coarse / 3
    assert many < fine + 0.05  # the spread of 2,000 draws of a mixture: 0.03


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_that_leaves_a_stage_nothing_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"pairing.share is"):
        Reflow(solver=Euler(1), share=share)
