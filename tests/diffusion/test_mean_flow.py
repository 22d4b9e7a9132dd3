"""Mean flows against the average velocities of a single image and of Gaussian data, which are known."""

import math

import pytest
import torch
from torch import Tensor, nn

from genbench.diffusion.consistency import Consistency
from genbench.diffusion.flow_matching import FlowMatching
from genbench.diffusion.guidance import Unguided
from genbench.diffusion.mean_flow import MeanFlow
from genbench.diffusion.ode import Euler
from genbench.diffusion.pairing import Independent
from genbench.diffusion.path_times import LogitNormal, PathTimes, StratifiedPathTimes
from genbench.diffusion.timed_network import TimedNetwork
from genbench.families.diffusion import Denoising
from genbench.generator import BoundTerms, Likelihood
from genbench.metrics import PassCounter
from genbench.nn.unet import UNet
from genbench.runtime.global_batch import Part, at_work, every

MEAN, STD, IMAGE = 0.3, 0.5, 0.25


class Toy(TimedNetwork):
    """A network of two times, whose parameter is added to its answer."""

    times = 2

    def __init__(self, off: float = 0.0) -> None:
        super().__init__()
        self.off = nn.Parameter(torch.tensor(off))

    def forward(self, x: Tensor, times: Tensor, y: Tensor | None = None) -> Tensor:
        t, span = times.to(x.dtype)[:, :, None, None, None].unbind(1)
        return self.average(x, t, span, y) + self.off


class Target(Toy):
    """The way from xt to the image of its class over the time, whatever the step; nothing is a 0."""

    scale = 1.0

    def average(self, x: Tensor, t: Tensor, span: Tensor, y: Tensor | None) -> Tensor:
        image = IMAGE if y is None else self.scale * IMAGE * (y[:, None, None, None] == 0)
        return (image - x) / t


class Gaussian(Toy):
    """(x_r - xt) / (t - r) of the flow to N(mean, std^2), which keeps the place (xt - m_t) / s_t.

    m_t = (1 - t) mean, s_t^2 = (1 - t)^2 std^2 + t^2, so that s_t^2 - s_r^2 is a multiple of t - r.
    """

    def average(self, x: Tensor, t: Tensor, span: Tensor, y: Tensor | None) -> Tensor:
        r = t - span
        s_t, s_r = (((1 - a) ** 2 * STD**2 + a**2).sqrt() for a in (t, r))
        widening = ((t + r) * (1 + STD**2) - 2 * STD**2) / (s_t * (s_t + s_r))
        return MEAN - widening * (x - (1 - t) * MEAN)


class Flat(nn.Module):
    """A network of two times, asked for the velocity alone."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        return self.network(x, torch.stack([t, torch.zeros_like(t)], 1), y)


class Same(LogitNormal):
    """Times of which both are the same."""

    def draw_alone(self, n: int, device: torch.device) -> Tensor:
        return self.draw(n, device)

    def draw(self, n: int, device: torch.device) -> Tensor:
        torch.manual_seed(5)
        return super().draw(n, device)


def process(*, times: PathTimes | None = None, steps: int = 1, power: float = 0.0, **more: float) -> MeanFlow:
    return MeanFlow(2, times=times or StratifiedPathTimes(), steps=steps, power=power, **more)


def unet(times: int = 2, side: int = 4, width: int = 8) -> UNet:
    """A network of random weights, with attention."""
    torch.manual_seed(0)
    network = UNet((1, side, side), width=width, blocks=1, patch=1, multipliers=[1], times=times)
    for p in network.parameters():
        nn.init.normal_(p, std=0.1)
    return network


def ends(network: nn.Module, x: Tensor, steps: int, start: float = 1.0) -> Tensor:
    with torch.no_grad():
        *_, x = process(steps=steps).path(network, x, None, None, start=start)
    return x


@pytest.mark.parametrize("times", [StratifiedPathTimes(), LogitNormal(-0.4)], ids=["uniform", "logit_normal"])
def test_the_average_velocity_to_one_image_costs_nothing(times: PathTimes) -> None:
    torch.manual_seed(0)
    x0 = torch.full((400, 1, 2, 2), IMAGE, dtype=torch.float64)
    loss = process(times=times, every=1).losses(Target().double(), x0, None, phase="net").total
    assert float(loss.detach()) < 1e-5  # times are seen in float32


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("network", [Target(), Gaussian()], ids=["image", "gaussian"])
def test_steps_of_any_number_are_exact(network: Toy, steps: int) -> None:
    eps = torch.randn(64, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    expected = torch.full_like(eps, IMAGE) if isinstance(network, Target) else MEAN + STD * eps
    assert torch.allclose(ends(network, eps, steps), expected, atol=1e-5)


def test_at_equal_times_the_loss_and_its_gradient_are_those_of_flow_matching() -> None:
    network, x0 = unet(), torch.rand(32, 1, 4, 4)
    flow = FlowMatching(
        coupling=Independent(), times=LogitNormal(), solver=Euler(1), guidance=Unguided(), density_steps=1
    )
    found = []
    for each, called in ((process(times=Same(), every=1), network), (flow, Flat(network))):
        torch.manual_seed(5)
        loss = each.losses(called, x0, None, phase="net")
        gradient = torch.autograd.grad(loss.total, list(network.parameters()))
        found.append((loss.terms["velocity"], loss.total.detach(), *gradient))
    for mean_flow, flow_matching in zip(*found, strict=True):
        assert torch.allclose(mean_flow, flow_matching, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("side", [4, 64])  # maps on which layers written by hand are faster, too
def test_the_derivative_along_a_path_is_that_of_finite_differences(side: int) -> None:
    network, rng = unet(side=side), torch.Generator().manual_seed(0)
    x, v = torch.randn(2, 8, 1, side, side, generator=rng)
    times = torch.tensor([[0.9, 0.5], [0.2, 0.2], [0.5, 0.0], [1.0, 1.0]]).repeat(2, 1)
    single = process().slope(network, x, v, times, None)
    network, h = network.double(), 1e-6
    x, v, times = x.double(), v.double(), times.double()
    after, before = (network(x + sign * h * v, times + sign * h) for sign in (1, -1))
    expected = ((after - before) / (2 * h)).detach()
    found = process().slope(network, x, v, times, None)
    assert torch.allclose(found.detach(), expected, rtol=1e-5, atol=1e-5)
    assert torch.allclose(single.double(), expected, rtol=1e-2, atol=1e-2)


def test_exact_averages_are_where_the_loss_has_no_slope() -> None:
    def slope(off: float) -> float:
        torch.manual_seed(0)
        network, x0 = Gaussian(off), MEAN + STD * torch.randn(100_000, 1, 1, 1)
        process(every=1).losses(network, x0, None, phase="net").total.backward()
        return float(network.off.grad)

    # Five standard errors of 100,000 velocities of deviation about 1.2, times 2 for the square
    assert abs(slope(0.0)) < 0.04
    assert slope(0.2) == pytest.approx(0.4, abs=0.04)


def test_gradient_flows_through_the_answer_alone() -> None:
    """Of an answer a x + off, target and derivative depend on a, and the gradient takes them as they are."""
    network, x0 = Linear(), torch.rand(64, 1, 1, 1)
    torch.manual_seed(1)
    process(every=1).losses(network, x0, None, phase="net").total.backward()
    x, times, answer = network.seen
    velocity = (x0 - x) / times[:, :1, None, None]
    target = velocity - times[:, 1:, None, None] * 0.5 * -velocity
    expected = (2 * (answer - target) * x).mean()
    assert float(network.a.grad) == pytest.approx(float(expected.detach()), rel=1e-4)


class Linear(TimedNetwork):
    """An answer of 0.5 x, and what it was last asked for."""

    times = 2

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor, times: Tensor, y: Tensor | None = None) -> Tensor:
        answer = self.a * x
        self.seen = x, times, answer
        return answer


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_the_weight_divides_the_gradient_by_a_power_of_the_squared_error(power: float) -> None:
    flow, squared = process(power=power, c=0.1), torch.tensor([0.0, 0.3, 7.0], requires_grad=True)
    flow.weighted(squared).sum().backward()
    assert torch.allclose(squared.grad, (squared.detach() + 0.1) ** -power)
    assert float(flow.weighted(torch.zeros(()))) == 0


def test_guidance_is_part_of_the_flow_that_is_learned() -> None:
    """Between an image of 0 for nothing and one for its class, scale 2 leads to twice the image."""
    torch.manual_seed(0)
    network, x0 = Target().double(), torch.full((400, 1, 2, 2), IMAGE, dtype=torch.float64)
    network.scale = 2.0
    guided = process(every=1, scale=2.0, p_uncond=1e-9)
    y = torch.zeros(400, dtype=torch.int64)
    assert float(guided.losses(network, x0, y, phase="net").total.detach()) < 1e-5
    assert float(process(every=1).losses(network, x0, y, phase="net").total.detach()) > 0.01


def test_parts_of_a_batch_differentiate_the_images_that_the_whole_does() -> None:
    for parts, k in ((2, 4), (4, 3), (8, 5), (3, 100)):
        n = 24 // parts
        found = []
        for index in range(parts):
            with at_work(Part(index, parts)):
                found += [row + index * n for row in range(n)[every(n, k)]]
        assert found == list(range(24))[every(24, k)] == list(range(0, 24, k))


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_a_sample_takes_a_pass_a_step(steps: int) -> None:
    few = Denoising((1, 4, 4), 0, network=unet(), process=process(steps=steps)).eval()
    with PassCounter(few.networks()) as counter:
        few.sample(3, rng=torch.Generator().manual_seed(0))
    assert counter.passes(3) == steps
    assert not isinstance(few, Likelihood | BoundTerms)


def test_inpainting_keeps_what_is_given() -> None:
    x = torch.rand(2, 1, 4, 4) * 2 - 1
    mask = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    mask[..., 2:] = True
    filled = Denoising((1, 4, 4), 0, network=unet(), process=process(steps=3)).inpaint(x, mask)
    assert torch.equal(filled[..., :2], x[..., :2])
    assert not torch.allclose(filled[..., 2:], x[..., 2:], atol=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, r"process.steps is 0"),
        ({"every": 0}, r"process.every is 0"),
        ({"power": 1.5}, r"process.power is 1.5"),
        ({"c": 0.0}, r"process.c is 0.0"),
        ({"scale": math.nan}, r"process.scale is nan"),
        ({"p_uncond": 1.0}, r"process.p_uncond is 1.0"),
        ({"network_times": 1}, r"process.network_times is 1"),
    ],
)
def test_settings_that_mean_nothing_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        process(**arguments)


def test_networks_of_one_time_and_guidance_without_classes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"UNet takes 1: use network=unet or dit with network.times=2"):
        Denoising((1, 4, 4), 0, network=unet(times=1), process=process())
    with pytest.raises(ValueError, match=r"UNet takes 2: use network=unet or dit with network.times=1"):
        Denoising((1, 4, 4), 0, network=unet(), process=Consistency(times=StratifiedPathTimes()))
    with pytest.raises(ValueError, match=r"process.scale is 2.0, and guidance needs classes or text"):
        Denoising((1, 4, 4), 0, network=unet(), process=process(scale=2.0))
    with pytest.raises(ValueError, match=r"network.times is 3; it must be 1, or 2"):
        unet(times=3)
