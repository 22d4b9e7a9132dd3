"""The nearest of some centres."""

import torch

from genbench.probability.nearest import nearest


def test_the_nearest_centre_has_the_least_distance() -> None:
    rng = torch.Generator().manual_seed(0)
    points, centres = torch.randn(4, 5, 3, generator=rng).double(), torch.randn(7, 3, generator=rng).double()
    found = nearest(points, centres)
    assert found.shape == (4, 5)
    assert torch.equal(found, torch.cdist(points.flatten(0, 1), centres).argmin(1).view(4, 5))


def test_a_centre_is_nearest_to_itself() -> None:
    centres = torch.randn(9, 2, generator=torch.Generator().manual_seed(0))
    assert nearest(centres, centres).tolist() == list(range(9))
