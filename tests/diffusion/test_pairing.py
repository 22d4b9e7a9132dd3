"""Pairings of noise with images: which pairs are made, and that their marginals are unchanged."""

import torch
from torch import nn

from genbench.diffusion.pairing import Independent, OptimalTransport


def test_optimal_transport_pairs_by_the_shortest_paths_and_loses_no_noise() -> None:
    rng = torch.Generator().manual_seed(0)
    x0, eps = torch.randn(2, 6, 1, 1, 1, generator=rng)
    images, paired = OptimalTransport().pairs(x0, eps, network=nn.Identity(), y=None, phase="net")
    assert torch.equal(images, x0)
    # On a line the shortest paths do not cross.
    assert torch.equal(paired.flatten()[x0.flatten().argsort()], eps.flatten().sort().values)


def test_independent_pairs_are_those_that_were_drawn() -> None:
    x0, eps = torch.zeros(3, 1, 2, 2), torch.ones(3, 1, 2, 2)
    assert Independent().pairs(x0, eps, network=nn.Identity(), y=None, phase="net") == (x0, eps)
