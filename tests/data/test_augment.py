"""Augmentations."""

import torch

from genbench.data import mirrored, shifted


def test_flips_mirror_about_half_of_the_images_left_to_right() -> None:
    x = torch.arange(3.0).expand(1000, 1, 2, 3)
    y = mirrored(x, rng=torch.Generator().manual_seed(0))
    turned = (y == x.flip(3)).flatten(1).all(1)
    assert torch.equal(turned, ~(y == x).flatten(1).all(1))
    assert abs(int(turned.sum()) - 500) < 80  # five standard deviations of 1000 coins


def test_shifts_move_each_image_by_any_amount_up_to_the_most_and_fill_with_black() -> None:
    x = torch.full((2000, 1, 5, 7), -1.0)
    x[:, :, 2, 3] = 1.0
    y = shifted(x, 2, rng=torch.Generator().manual_seed(0))
    assert y.shape == x.shape
    _, _, rows, columns = (y == 1.0).nonzero(as_tuple=True)
    assert len(rows) == 2000  # no pixel is lost: it stays within the image
    assert float(y.sum()) == float(x.sum())
    counts = torch.bincount((rows * 7 + columns), minlength=35).reshape(5, 7)[:, 1:6]
    assert int(counts.sum()) == 2000
    assert float((counts - 80).abs().max()) < 44  # five standard deviations of 2,000 draws among 25 places
