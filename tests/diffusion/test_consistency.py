"""Consistency against the flows of Gaussian data and of a single image, whose ends are known."""

import math
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from scipy import stats
from torch import Tensor, nn

from genbench.diffusion.consistency import Consistency
from genbench.diffusion.path_times import LogitNormal, PathTimes, StratifiedPathTimes
from genbench.families.diffusion import Denoising
from genbench.generator import BoundTerms, Likelihood
from genbench.metrics import PassCounter
from genbench.nn.unet import UNet
from tests.training.test_loop import run, same

MEAN, STD, IMAGE = 0.3, 0.5, 0.25
C = 0.0005


class Gaussian(nn.Module):
    """The way to N(mean, std^2) from xt, over t: the flow keeps the place in the law at t, (xt - m_t) / s_t.

    m_t = (1 - t) mean, s_t^2 = (1 - t)^2 std^2 + t^2; with `off` added, it is wrong.
    """

    def __init__(self, off: float = 0.0) -> None:
        super().__init__()
        self.off = nn.Parameter(torch.tensor(off))

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        t = t[:, None, None, None]
        s_t = ((1 - t) ** 2 * STD**2 + t**2).sqrt()
        # (std - s_t) / (t s_t) without 0 / 0
        narrowing = -(t * (1 + STD**2) - 2 * STD**2) / (s_t * (s_t + STD))
        return MEAN + narrowing * (x - (1 - t) * MEAN) + self.off


class Target(nn.Module):
    """The way to one image, over t."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Parameter(torch.tensor(IMAGE))

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        return (self.image - x) / t[:, None, None, None].clamp(min=1e-6)


def process(*, steps: int = 1, doublings: float = 8.0, times: PathTimes | None = None) -> Consistency:
    return Consistency(
        times=times or StratifiedPathTimes(), steps=steps, double_images=100, doublings=doublings, c=C
    )


def at_gap(doublings: float, times: PathTimes | None = None) -> Consistency:
    """A process whose gap is 2^-doublings, and stays so."""
    flow = process(doublings=doublings, times=times).eval()
    flow.images.fill_(1e9)
    return flow


def unet(dropout: float = 0.0) -> UNet:
    """A network of random weights."""
    network = UNet((1, 4, 4), width=8, blocks=1, patch=1, multipliers=[1], dropout=dropout)
    for p in network.parameters():
        nn.init.normal_(p, std=0.1)
    return network


def model(steps: int = 1) -> Denoising:
    return Denoising((1, 4, 4), 0, network=unet(), process=process(steps=steps)).eval()


def ends(network: nn.Module, eps: Tensor, steps: int) -> Tensor:
    with torch.no_grad():
        *_, x = process(steps=steps).path(network, eps, None, None)
    return x


@pytest.mark.parametrize("doublings", [0.0, 1.0, 3.5, 8.0])
def test_the_loss_is_the_distance_of_two_ends_over_the_time_between(doublings: float) -> None:
    flow, network, x0 = at_gap(doublings), unet().double(), torch.rand(16, 1, 4, 4, dtype=torch.float64)
    seen: list[tuple[Tensor, Tensor, Tensor]] = []
    network.register_forward_pre_hook(lambda module, inputs: (inputs[0].double(), inputs[1].double(), None))
    network.register_forward_hook(lambda module, inputs, output: seen.append((*inputs[:2], output.detach())))
    total = flow.losses(network, x0, None, phase="net").total.detach()
    (xs, s, at_s), (xt, t, at_t) = seen
    assert torch.allclose(s, (1 - 2**-doublings) * t, atol=1e-6)
    wide = t[:, None, None, None]
    between = ((xt + wide * at_t) - (xs + s[:, None, None, None] * at_s)).square().flatten(1).mean(1)
    expected = (((between + C**2).sqrt() - C) / (t - s)).mean()
    assert float(total) == pytest.approx(float(expected), rel=1e-4)  # times are seen in float32


def test_the_end_of_a_path_is_its_own_end() -> None:
    """f(x, 0) = x, whatever the network: a step that starts at almost 0 changes almost nothing."""
    x = torch.rand(3, 1, 4, 4)
    *_, end = process().path(unet(), x, None, None, start=1e-6)
    assert torch.allclose(end, x, atol=1e-4)


@pytest.mark.parametrize("times", [StratifiedPathTimes(), LogitNormal()], ids=["uniform", "logit_normal"])
@pytest.mark.parametrize("doublings", [0.0, 1.0, 8.0])
def test_the_ends_of_one_images_paths_cost_nothing(times: PathTimes, doublings: float) -> None:
    x0 = torch.full((200, 1, 2, 2), IMAGE)
    loss = at_gap(doublings, times).losses(Target(), x0, None, phase="net").total
    # (xt - image) / t loses digits where t is small, the more, the smaller the gap that it is divided by.
    assert float(loss.detach()) < 1e-3


def test_exact_ends_are_where_the_loss_has_no_slope_once_gaps_are_small() -> None:
    """An error of 0.2 is pushed back at every gap; the exact ends only by what is left of the gap."""

    def slope(doublings: float, off: float) -> float:
        network, x0 = Gaussian(off), MEAN + STD * torch.randn(100_000, 1, 1, 1)
        at_gap(doublings).losses(network, x0, None, phase="net").total.backward()
        return float(network.off.grad) * 2**-doublings

    # The mean of signs: five standard errors of 100,000 are 0.016, and the slope in `off` is about 0.8 of it.
    assert abs(slope(7.0, 0.0)) < 0.016
    assert slope(7.0, 0.2) > 0.08
    assert slope(0.0, 0.2) > 0.08


def test_one_step_is_exact() -> None:
    eps = torch.randn(64, 1, 1, 1)
    assert torch.allclose(ends(Gaussian(), eps, 1), MEAN + STD * eps, atol=1e-6)
    for steps in (1, 2, 7):
        assert torch.allclose(ends(Target(), eps, steps), torch.full_like(eps, IMAGE), atol=1e-5)


@pytest.mark.parametrize("steps", [2, 5])
def test_more_steps_keep_the_law(steps: int) -> None:
    found = ends(Gaussian(), torch.randn(20_000, 1, 1, 1), steps).flatten()
    assert stats.kstest(found.numpy(), stats.norm(MEAN, STD).cdf).pvalue > 1e-6


def test_gaps_halve_with_the_images_trained_on_down_to_the_last() -> None:
    flow, x0 = process(doublings=3.0), torch.zeros(50, 1, 2, 2)
    gaps = []
    for _ in range(8):
        gaps.append(float(flow.gap()))
        flow.losses(Gaussian(), x0, None, phase="net")
    assert gaps == pytest.approx([2 ** -min(k / 2, 3) for k in range(8)])
    flow.eval().losses(Gaussian(), x0, None, phase="net")
    assert float(flow.images) == 400


@pytest.mark.parametrize("images", [128, 640])
def test_by_default_the_doublings_fill_the_budget_whatever_it_is(tmp_path: Path, images: int) -> None:
    """A fixed number of images, 8,000, came to 2.5 doublings at the budget of data=gaussians."""
    flow = Consistency(times=StratifiedPathTimes(), doublings=8.0)
    gaps: list[float] = []
    model = Denoising((1, 4, 4), 0, network=unet(), process=flow)
    model.process.times = Noting(flow, gaps)
    run(tmp_path, model=model, budget=images)
    steps = len(gaps)
    assert gaps == pytest.approx([2 ** -(8 * k / steps) for k in range(steps)])


class Noting(StratifiedPathTimes):
    """Times, and the gap of each step that draws them."""

    def __init__(self, flow: Consistency, gaps: list[float]) -> None:
        self.flow, self.gaps = flow, gaps

    def draw(self, n: int, device: torch.device) -> Tensor:
        self.gaps.append(float(self.flow.gap()))
        return super().draw(n, device)


def test_the_shipped_process_leaves_the_doublings_to_the_budget() -> None:
    shipped = OmegaConf.load(Path(__file__).resolve().parents[2] / "conf" / "process" / "consistency.yaml")
    assert (shipped.double_images, shipped.doublings) == (None, 8.0)


def test_a_resume_takes_the_gap_up_where_it_was(tmp_path: Path) -> None:
    def fresh() -> Denoising:
        torch.manual_seed(0)
        return Denoising((1, 4, 4), 0, network=unet(), process=process())

    straight = run(tmp_path / "straight", model=fresh(), budget=96)
    run(tmp_path / "parts", model=fresh(), budget=96, stop_at=48)
    assert same(straight, run(tmp_path / "parts", model=fresh(), budget=96))
    assert float(straight.model.process.images) == 96


def test_both_ends_see_the_same_dropout() -> None:
    """So that of a network that says nothing but its dropout, both say the same."""

    class Masks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.said: list[Tensor] = []

        def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
            self.said.append(nn.functional.dropout(torch.ones_like(x)))
            return self.said[-1]

    network = Masks()
    process().losses(network, torch.zeros(4, 1, 4, 4), None, phase="net")
    assert torch.equal(*network.said)


@pytest.mark.parametrize("steps", [1, 2])
def test_a_sample_takes_a_pass_a_step(steps: int) -> None:
    few = model(steps)
    with PassCounter(few.networks()) as counter:
        few.sample(3, rng=torch.Generator().manual_seed(0))
    assert counter.passes(3) == steps


def test_it_claims_no_likelihood() -> None:
    assert not isinstance(model(), Likelihood | BoundTerms)


@pytest.mark.parametrize("steps", [1, 3])
def test_inpainting_keeps_what_is_given(steps: int) -> None:
    x = torch.rand(2, 1, 4, 4) * 2 - 1
    mask = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    mask[..., 2:] = True
    filled = model(steps).inpaint(x, mask, rng=torch.Generator().manual_seed(1))
    assert torch.equal(filled[..., :2], x[..., :2])
    assert not torch.allclose(filled[..., 2:], x[..., 2:], atol=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, r"process.steps is 0"),
        ({"double_images": 0}, r"process.double_images is 0"),
        ({"doublings": -1.0}, r"process.doublings is -1.0"),
        ({"doublings": math.nan}, r"process.doublings is nan"),
        ({"c": 0.0}, r"process.c is 0.0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Consistency(times=StratifiedPathTimes(), **arguments)


def test_a_network_that_answers_more_than_the_image_is_refused() -> None:
    network = UNet((1, 4, 4), width=8, blocks=1, patch=1, multipliers=[1], answers=2)
    with pytest.raises(ValueError, match=r"set network.answers=1"):
        Denoising((1, 4, 4), 0, network=network, process=process())


def test_a_first_halving_beyond_the_budget_is_refused() -> None:
    process = Consistency(times=StratifiedPathTimes(), double_images=1000)
    process.check_budget(1000)
    with pytest.raises(ValueError, match=r"double_images is 1000, and the budget is 999 images"):
        process.check_budget(999)
