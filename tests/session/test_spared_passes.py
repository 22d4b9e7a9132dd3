"""Passes that an estimate spares, on a network that counts its own."""

import torch
from torch import Tensor, nn

from genbench.session.spared_passes import SparedPasses

CPU = torch.device("cpu")
NEVER, AT_ONCE = 1e9, 0.0  # seconds of patience


class Counting(nn.Module):
    """x -> w x, and how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.calls = nn.Parameter(torch.tensor(2.0)), 0

    def forward(self, x: Tensor, t: float = 0.0) -> Tensor:
        self.calls += 1
        return self.weight * x


def test_of_many_passes_of_one_shape_the_first_is_made_and_the_others_are_counted_at_its_seconds() -> None:
    network = Counting()
    with SparedPasses([network], CPU, patience=AT_ONCE) as spared:
        found = [network(torch.ones(3), t=float(t)) for t in range(1000)]
    assert network.calls == 1
    assert spared.note == ", from 1 of 1,000 network evaluations"
    (spans,) = spared.spans.values()
    assert spared.seconds == spared.elapsed + 999 * spans[0]
    assert all(torch.equal(x, torch.full((3,), 2.0)) for x in found)
    network(torch.ones(3))
    assert network.calls == 2  # outside of the block every pass is made again


def test_each_shape_has_its_own_passes() -> None:
    network = Counting()
    with SparedPasses([network], CPU, patience=AT_ONCE) as spared:
        for _ in range(5):
            assert network(torch.ones(2)).shape == (2,)
            assert network(torch.ones(4)).shape == (4,)
    assert network.calls == 2
    assert spared.note == ", from 2 of 10 network evaluations"


def test_within_the_patience_every_pass_is_made_and_the_seconds_are_those_of_the_clock() -> None:
    network = Counting()
    with SparedPasses([network], CPU, patience=NEVER) as spared:
        for _ in range(20):
            network(torch.ones(2))
    assert network.calls == 20
    assert spared.note == ""
    assert spared.seconds == spared.elapsed


def test_a_spared_pass_can_be_differentiated_by_its_input() -> None:
    network = Counting()
    with SparedPasses([network], CPU, patience=AT_ONCE):
        for expected in (2.0, 0.0):  # the second pass is spared
            x = torch.ones(3, requires_grad=True)
            (slope,) = torch.autograd.grad(network(x).sum(), x)
            assert torch.equal(slope, torch.full((3,), expected))
    assert network.calls == 1
