"""Augmentations: what they do to an image, and that gradient flows back through them."""

import pytest
import torch

from genbench.gans.augment import DiffAugment, NoAugmentation

OFF = {"brightness": 0.0, "saturation": 0.0, "contrast": 0.0, "translation": 0.0, "cutout": 0.0}
SHAPES = [(64, 3, 8, 8), (64, 1, 5, 12), (64, 3, 9, 4)]


def images(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) * 1.8 - 0.9


def only(name: str, strength: float) -> DiffAugment:
    return DiffAugment(**{**OFF, name: strength})


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("shape", SHAPES)
def test_strength_zero_is_the_identity(shape: tuple[int, ...]) -> None:
    x = images(*shape)
    assert torch.equal(DiffAugment(**OFF)(x), x)
    assert torch.equal(NoAugmentation()(x), x)


@pytest.mark.parametrize("shape", SHAPES)
def test_images_change_keep_their_shape_and_follow_the_default_generator(shape: tuple[int, ...]) -> None:
    x, augment = images(*shape), DiffAugment()
    torch.manual_seed(1)
    first = augment(x)
    second = augment(x)
    torch.manual_seed(1)
    assert torch.equal(augment(x), first)
    assert first.shape == x.shape
    assert not torch.equal(first, second)
    assert not torch.equal(first, x)


@pytest.mark.parametrize("name", [*OFF])
def test_each_part_is_linear_or_affine_and_differentiable_twice(name: str) -> None:
    x = images(1, 2, 3, 2).double().requires_grad_()

    def augmented(x: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(2)
        return only(name, 0.5)(x)

    assert torch.autograd.gradcheck(augmented, x)
    assert torch.autograd.gradgradcheck(augmented, x)


@pytest.mark.parametrize("shape", SHAPES)
def test_translation_moves_by_whole_pixels_and_pads_zeros(shape: tuple[int, ...]) -> None:
    x = images(*shape)
    moved = only("translation", 0.25)(x)
    n, _, height, width = shape
    rows, columns = int(height * 0.25 + 0.5), int(width * 0.25 + 0.5)
    padded = torch.nn.functional.pad(x, (columns, columns, rows, rows))
    for k in range(n):
        candidates = [
            padded[k, :, i : i + height, j : j + width]
            for i in range(2 * rows + 1)
            for j in range(2 * columns + 1)
        ]
        assert any(torch.equal(moved[k], candidate) for candidate in candidates)


def test_translation_reaches_every_distance_equally_often() -> None:
    """40,000 draws of 5 distances: each within 6 standard deviations of 8,000 (80)."""
    x = torch.zeros(40_000, 1, 1, 16)
    x[..., 8] = 1
    found = only("translation", 0.125)(x).sum((0, 1, 2))
    assert found[[6, 7, 8, 9, 10]].sub(8000).abs().max() < 480
    assert float(found.sum()) == 40_000


@pytest.mark.parametrize("shape", SHAPES)
def test_cutout_hides_one_rectangle(shape: tuple[int, ...]) -> None:
    hidden = only("cutout", 0.5)(torch.ones(shape)) == 0
    _, _, height, width = shape
    rows, columns = hidden.any(3), hidden.any(2)
    assert torch.equal(hidden, rows[..., None] & columns[:, :, None])
    assert int(rows.sum(2).max()) <= int(height * 0.5 + 0.5)
    assert int(columns.sum(2).max()) <= int(width * 0.5 + 0.5)
    assert bool(hidden.flatten(1).any(1).all())


def test_brightness_shifts_an_image_as_a_whole() -> None:
    x = images(64, 3, 4, 4)
    shift = only("brightness", 1.0)(x) - x
    torch.testing.assert_close(shift, shift[:, :1, :1, :1].expand_as(x))
    assert float(shift.abs().max()) <= 0.5 + 1e-6


def test_contrast_keeps_the_mean_and_saturation_the_grey_image() -> None:
    x = images(64, 3, 4, 4)
    torch.testing.assert_close(only("contrast", 0.5)(x).mean((1, 2, 3)), x.mean((1, 2, 3)))
    torch.testing.assert_close(only("saturation", 1.0)(x).mean(1), x.mean(1))


def test_grey_images_have_no_saturation() -> None:
    x = images(8, 1, 4, 4)
    torch.testing.assert_close(only("saturation", 1.0)(x), x)


@pytest.mark.parametrize("name", [*OFF])
def test_strengths_out_of_range_are_refused(name: str) -> None:
    for strength in (-0.1, 2.5):
        with pytest.raises(ValueError, match=rf"augmentation\.{name} is {strength}; it must be from 0"):
            only(name, strength)
