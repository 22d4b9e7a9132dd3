from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genbench.evaluation.pictures import BORDER, GREY, save_grid


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image)


def noise(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_every_pixel_of_a_grid_is_the_images_pixel_repeated(tmp_path: Path) -> None:
    images, scale = noise(5, 3, 4, 6), 3
    save_grid(images, tmp_path / "a.png", columns=2, scale=scale)
    got = pixels(tmp_path / "a.png")
    h, w = 4 * scale + BORDER, 6 * scale + BORDER
    assert got.shape == (3 * h + BORDER, 2 * w + BORDER, 3)
    for i in range(5):
        top, left = i // 2 * h + BORDER, i % 2 * w + BORDER
        shown = got[top : top + 4 * scale, left : left + 6 * scale]
        expected = images[i].permute(1, 2, 0).numpy().repeat(scale, 0).repeat(scale, 1)
        assert np.array_equal(shown, expected)
    assert (got[::h] == GREY).all()
    assert (got[:, ::w] == GREY).all()
    assert (got[2 * h :, w:] == GREY).all()  # the place without an image


def test_a_grey_grid_is_a_grey_png(tmp_path: Path) -> None:
    images = noise(1, 1, 8, 8)
    save_grid(images, tmp_path / "a.png", scale=1)
    got = pixels(tmp_path / "a.png")
    assert got.shape == (8 + 2 * BORDER,) * 2
    assert np.array_equal(got[BORDER:-BORDER, BORDER:-BORDER], images[0, 0].numpy())


@pytest.mark.parametrize(("size", "shown"), [(8, 48), (28, 56), (32, 64), (64, 64)])
def test_small_images_are_enlarged_until_they_can_be_seen(tmp_path: Path, size: int, shown: int) -> None:
    save_grid(noise(1, 1, size, size), tmp_path / "a.png")
    assert pixels(tmp_path / "a.png").shape == (shown + 2 * BORDER,) * 2


@pytest.mark.parametrize(("n", "columns"), [(1, 1), (2, 2), (4, 2), (5, 3), (16, 4), (17, 5), (100, 10)])
def test_a_grid_is_near_a_square(tmp_path: Path, n: int, columns: int) -> None:
    save_grid(noise(n, 1, 8, 8), tmp_path / "a.png", scale=1)
    rows = -(-n // columns)
    assert pixels(tmp_path / "a.png").shape == (rows * (8 + BORDER) + BORDER, columns * (8 + BORDER) + BORDER)


@pytest.mark.parametrize("shape", [(4, 2, 8, 8), (0, 1, 8, 8), (1, 8, 8)])
def test_shapes_that_are_no_images_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        save_grid(torch.zeros(shape, dtype=torch.uint8), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_floats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="to_uint8"):
        save_grid(torch.zeros(1, 1, 8, 8), tmp_path / "a.png")


@pytest.mark.parametrize(("columns", "scale"), [(0, 1), (1, 0), (-1, 1)])
def test_columns_and_scale_below_one_are_refused(tmp_path: Path, columns: int, scale: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        save_grid(noise(1, 1, 8, 8), tmp_path / "a.png", columns=columns, scale=scale)


def test_labels_stand_in_front_of_the_grid_and_leave_it_as_it_was(tmp_path: Path) -> None:
    images = noise(4, 1, 8, 8)
    save_grid(images, tmp_path / "plain.png", columns=2)
    save_grid(images, tmp_path / "labelled.png", columns=2, labels=["scale 0", "scale 10"])
    plain, labelled = pixels(tmp_path / "plain.png"), pixels(tmp_path / "labelled.png")
    margin = labelled.shape[1] - plain.shape[1]
    assert np.array_equal(labelled[:, margin:, 0], plain)
    halves = np.array_split(labelled[:, :margin], 2)
    assert [half.min() < 128 for half in halves] == [True, True]  # a text beside each row
