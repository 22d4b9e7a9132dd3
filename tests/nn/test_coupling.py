"""The networks of coupling layers."""

import pytest
import torch

from genbench.nn.coupling import ConvNets, CouplingNets, ResNets

FACTORIES = [ConvNets(3, width=8), ConvNets(3, width=8, kernel=1), ResNets(3, width=8, blocks=2)]


@pytest.mark.parametrize("nets", FACTORIES, ids=["conv", "conv 1x1", "resnet"])
@pytest.mark.parametrize("size", [(4, 4), (7, 5), (1, 1)], ids=str)
def test_maps_of_any_size_come_out_zero_at_first(nets: CouplingNets, size: tuple[int, int]) -> None:
    out = nets.build(3, 5)(torch.randn(2, 3, *size), torch.tensor([0, 2]))
    assert torch.equal(out, torch.zeros(2, 5, *size))


@pytest.mark.parametrize("nets", FACTORIES, ids=["conv", "conv 1x1", "resnet"])
def test_the_answer_depends_on_the_label(nets: CouplingNets) -> None:
    torch.manual_seed(0)
    network = nets.build(2, 2)
    torch.nn.init.normal_(network.leave.weight)
    x = torch.randn(1, 2, 4, 4)
    assert not torch.allclose(network(x, torch.tensor([0])), network(x, torch.tensor([1])))


def test_each_network_has_its_own_weights() -> None:
    nets = ConvNets(width=8)
    first, second = nets.build(2, 2), nets.build(2, 2)
    assert not torch.equal(first.enter.weight, second.enter.weight)


@pytest.mark.parametrize("width", [0, 3])
def test_widths_that_cannot_be_are_refused(width: int) -> None:
    with pytest.raises(ValueError, match=f"network.width is {width}"):
        ConvNets(width=width)


def test_kernels_and_blocks_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match=r"network.kernel is 2"):
        ConvNets(kernel=2)
    with pytest.raises(ValueError, match=r"network.blocks is 0"):
        ResNets(blocks=0)
