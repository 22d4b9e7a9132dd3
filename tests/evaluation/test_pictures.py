from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFont

from genbench.evaluation.pictures import BORDER, GREY, LETTER, MARGIN, broken, enlarged, save_grid, untile


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


def test_labels_stand_in_a_margin_that_fits_them_and_the_grid_is_what_it_is_without(tmp_path: Path) -> None:
    images = noise(6, 1, 8, 8)
    save_grid(images, tmp_path / "a.png", columns=3)
    plain = pixels(tmp_path / "a.png")
    widths = []
    for labels in (["a", "b"], ["a longer label", "b"], ["x" * 5_000, "a red cat " * 500], ["", ""]):
        save_grid(images, tmp_path / "b.png", columns=3, labels=labels)
        shown = pixels(tmp_path / "b.png")
        margin = shown.shape[1] - plain.shape[1]
        assert np.array_equal(shown[:, margin:, 0], plain)
        assert (shown[:, :margin].min() < 128) == any(labels)
        widths.append(margin)
    assert widths[3] < widths[0] < widths[1] < widths[2] < 260


def test_a_long_label_is_broken_at_spaces_and_ends_in_dots() -> None:
    font = ImageFont.load_default(LETTER)
    text = "a handwritten seven above a small three and a two to the left of both of them"
    assert broken("a red cat", font, most=1) == ["a red cat"]
    whole = broken(text, font, most=9)
    assert " ".join(whole) == text
    assert len(whole) == 3
    assert all(font.getlength(line) <= MARGIN for line in whole)
    cut = broken(text, font, most=2)
    assert cut[0] == whole[0]
    assert cut[1].endswith(" ..")
    assert font.getlength(cut[1]) <= MARGIN
    assert broken("x" * 300, font, most=2)[0] == "x" * len(broken("x" * 300, font, most=2)[0])


def test_control_characters_in_labels_are_spelt_out(tmp_path: Path) -> None:
    for name, label in (("a", "\x1b[31m\u202ered"), ("b", r"\x1b[31m\u202ered")):
        save_grid(noise(1, 1, 8, 8), tmp_path / f"{name}.png", labels=[label])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(("shape", "labels"), [((7, 1, 8, 8), ()), ((6, 3, 20, 60), ("a", "some words"))])
def test_the_images_of_a_grid_come_back_from_its_file(
    tmp_path: Path, shape: tuple[int, ...], labels: tuple[str, ...]
) -> None:
    images = torch.randint(0, 256, shape, generator=torch.manual_seed(0)).to(torch.uint8)
    save_grid(images, tmp_path / "x.png", columns=3, labels=labels)
    canvas = np.asarray(Image.open(tmp_path / "x.png").convert("RGB"))
    assert np.array_equal(untile(canvas, *shape[-2:]), enlarged(images))
    assert len(untile(canvas, 9, 31)) == 0
