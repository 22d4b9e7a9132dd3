"""Augmentations."""

import torch

from genbench.data import mirrored


def test_flips_mirror_about_half_of_the_images_left_to_right() -> None:
    x = torch.arange(3.0).expand(1000, 1, 2, 3)
    y = mirrored(x, rng=torch.Generator().manual_seed(0))
    turned = (y == x.flip(3)).flatten(1).all(1)
    assert torch.equal(turned, ~(y == x).flatten(1).all(1))
    assert abs(int(turned.sum()) - 500) < 80  # five standard deviations of 1000 coins
