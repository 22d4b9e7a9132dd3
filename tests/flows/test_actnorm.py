"""ActNorm takes the statistics of the first batch, once."""

import copy

import pytest
import torch
from torch import Tensor

from genbench.families.flow import NormalizingFlow
from genbench.flows.actnorm import ActNorm
from genbench.flows.base_distribution import StandardNormal
from genbench.flows.conv1x1 import Conv1x1
from genbench.flows.dequantization import UniformDequantization
from genbench.flows.transform import Composed
from genbench.training.ema import Ema
from tests.flows.laws import small_glow


def data(seed: int = 0) -> Tensor:
    """Channels of different means and deviations."""
    x = torch.randn(16, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return x * torch.tensor([0.1, 1.0, 30.0])[:, None, None] + torch.tensor([5.0, 0.0, -2.0])[:, None, None]


def moments(z: Tensor) -> tuple[Tensor, Tensor]:
    std, mean = torch.std_mean(z.detach(), dim=(0, 2, 3), correction=0)
    return mean, std


def test_the_first_batch_comes_out_with_mean_zero_and_variance_one() -> None:
    mean, std = moments(ActNorm(3)(data())[0])
    assert torch.allclose(mean, torch.zeros(3), atol=1e-4)
    assert torch.allclose(std, torch.ones(3), atol=1e-4)


def test_statistics_are_taken_once() -> None:
    norm = ActNorm(3)
    first = norm(data())[0]
    norm(100 * data(1))
    assert torch.equal(norm(data())[0], first)


@pytest.mark.parametrize("fresh", [True, False], ids=["into a fresh one", "into one with other statistics"])
def test_statistics_come_back_with_the_state_and_stay(fresh: bool) -> None:
    norm, twin = ActNorm(3), ActNorm(3)
    norm(data())
    if not fresh:
        twin(data(1) - 50)
    twin.load_state_dict(norm.state_dict())
    twin(100 * data(1))
    assert torch.equal(twin(data())[0], norm(data())[0])


def test_a_state_without_statistics_asks_for_them_again() -> None:
    norm = ActNorm(3)
    norm(100 * data(1))
    norm.load_state_dict(ActNorm(3).state_dict())
    mean, _ = moments(norm(data())[0])
    assert torch.allclose(mean, torch.zeros(3), atol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_the_first_step_after_a_resume_rounds_as_without_one(seed: int) -> None:
    """ActNorm and the 1x1 convolution are one product from the second batch on, also of a loaded state."""
    flow, resumed = (Composed([ActNorm(3), Conv1x1(3)]) for _ in range(2))
    flow(data())
    resumed.load_state_dict(flow.state_dict())
    x = data(seed)
    for found, wanted in zip(resumed(x), flow(x), strict=True):
        assert torch.equal(found, wanted)


def test_measuring_and_sampling_take_no_statistics() -> None:
    norm = ActNorm(3)
    with torch.no_grad():
        norm(data())
    norm.eval()(data())
    norm.train().inverse(data())
    assert not bool(norm.initialised)


def test_a_constant_channel_stays_finite() -> None:
    z, log_det = ActNorm(2)(torch.full((4, 2, 3, 3), 7.0))
    assert bool(z.isfinite().all() & log_det.isfinite().all())


def test_a_copy_made_before_the_first_batch_catches_up_with_it() -> None:
    """The moving average begins before the statistics are known; it must not drag its start along."""
    flow = small_glow((1, 4, 4))
    model = NormalizingFlow(
        (1, 4, 4), 0, flow=flow, dequantization=UniformDequantization(), base=StandardNormal()
    )
    model.train()
    ema = Ema(model, halflife_images=1e9, rampup=None)  # parameters all but stand still
    x = torch.rand(16, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.manual_seed(0)
    model.loss(x).total.backward()
    ema.update(images=16, images_seen=16)
    norms = [module for module in ema.model.modules() if isinstance(module, ActNorm)]
    assert all(bool(norm.initialised) for norm in norms)
    torch.manual_seed(0)
    expected = copy.deepcopy(model).eval().log_prob(x)
    torch.manual_seed(0)
    assert torch.allclose(ema.model.log_prob(x), expected, atol=1e-4)
