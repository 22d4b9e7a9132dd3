"""The times of a network: one for each image, or one for all of them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from genbench.diffusion.timed_network import TimedNetwork, times_for
from genbench.nn.ddpm_pp import DDPMPlusPlus
from genbench.nn.dit import DiT
from genbench.nn.unet import UNet

SHAPE = (1, 8, 8)


@pytest.mark.parametrize("y", [None, torch.tensor([0, 2, 1])])
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(
    "make",
    [
        lambda times: UNet(SHAPE, 3, width=8, multipliers=[1, 2], blocks=1, times=times),
        lambda times: DiT(SHAPE, 3, width=16, blocks=2, heads=2, times=times),
        lambda times: DDPMPlusPlus(SHAPE, 3, width=8, multipliers=[1, 2], blocks=1, times=times),
    ],
)
def test_one_time_for_all_images_is_that_time_for_each(
    make: Callable[[int], TimedNetwork], times: int, y: Tensor | None
) -> None:
    torch.manual_seed(0)
    network = make(times).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    x, t = torch.randn(3, *SHAPE), torch.rand(1, times).squeeze(1) if times == 1 else torch.rand(1, times)
    with torch.no_grad():
        shared, each = network(x, t, y), network(x, t.expand(3, *t.shape[1:]), y)
    # Products of one row and of three round differently, in float32 by some 1e-7 of the answer.
    torch.testing.assert_close(shared, each, rtol=1e-4, atol=1e-4 * float(each.abs().max()))


def test_a_network_that_does_not_share_a_time_is_given_one_for_each_image() -> None:
    t = torch.tensor([0.5])
    assert torch.equal(times_for(nn.Identity(), t, 3), torch.full((3,), 0.5))
    assert times_for(TimedNetwork(), torch.rand(1, 2), 3).shape == (3, 2)
    assert times_for(UNet(SHAPE, width=8, multipliers=[1]), t, 3) is t
    each = torch.rand(3)
    assert times_for(nn.Identity(), each, 3) is each
