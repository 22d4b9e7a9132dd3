"""The pictures of a run."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from genbench.data import ImageData, Split, to_uint8
from genbench.evaluation.gallery import Gallery
from genbench.evaluation.pictures import BORDER, save_grid
from genbench.generator import Latent, Loss
from genbench.metrics import Drawn, Moments, Reference
from genbench.runtime.context import Context
from genbench.tracking import JsonLines
from genbench.tracking.moving_picture import last_frame
from tests.toys import toy_model

CPU = torch.device("cpu")


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (70, 1, 4, 4), generator=rng, dtype=torch.uint8)
    split = Split(images, None)
    data = ImageData("toy", split, split, (), 0, False, "key", (1, 4, 4))
    return Gallery(tmp_path / "samples", JsonLines(tmp_path / "metrics.jsonl"), data, Context(CPU))


def test_grids_along_a_training_show_the_same_noise(gallery: Gallery) -> None:
    model = toy_model().eval()
    torch.manual_seed(0)
    first = gallery.samples(model, 100).read_bytes()
    torch.rand(10)
    second = gallery.samples(model, 200)
    assert second.name == "samples_000000200.png"
    assert second.read_bytes() == first


def test_pictures_leave_the_training_stream_untouched(gallery: Gallery) -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    gallery.samples(toy_model().eval(), 100)
    gallery.details(toy_model().eval(), 100)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_processes_are_drawn_of_models_that_have_one(gallery: Gallery) -> None:
    gallery.real()
    gallery.details(toy_model().eval(), 100)
    names = {path.name for path in gallery.folder.iterdir()}
    drawn = {"trajectory_000000100.png", "animation_000000100.webp", "forward_000000100.png"}
    assert names == {"real.png", *drawn}
    with Image.open(gallery.folder / "trajectory_000000100.png") as image:
        width, height = image.size
        assert width > height  # twelve states a row, six rows


def test_an_animation_shows_the_samples_of_the_trajectory(gallery: Gallery) -> None:
    model = toy_model().eval()
    gallery.details(model, 100)
    samples = to_uint8(model.sample(16, rng=gallery.rng()))
    shown = np.asarray(last_frame(gallery.folder / "animation_000000100.webp"))[..., 0]
    with Image.open(gallery.folder / "trajectory_000000100.png") as image:
        still = np.asarray(image)
    for row in range(6):
        top, left = row // 4 * (96 + BORDER) + BORDER, row % 4 * (96 + BORDER) + BORDER
        assert np.array_equal(shown[top : top + 96 : 24, left : left + 96 : 24], samples[row, 0])
        top, left = row * (48 + BORDER) + BORDER, 11 * (48 + BORDER) + BORDER
        assert np.array_equal(still[top : top + 48 : 12, left : left + 48 : 12], samples[row, 0])


@pytest.mark.parametrize(("chosen", "endings"), [(None, set()), ("gif", {".gif"}), ("mp4", {".webp"})])
def test_animations_have_the_chosen_format_and_a_program_that_fails_costs_the_video_alone(
    gallery: Gallery,
    chosen: Literal["gif", "mp4"] | None,
    endings: set[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(gallery.folder))  # without ffmpeg
    gallery.animation = chosen
    gallery.details(toy_model().eval(), 100)
    assert {path.suffix for path in gallery.folder.glob("animation_*")} == endings
    assert ("animation_000000100.mp4 is not written" in capsys.readouterr().err) == (chosen == "mp4")


def test_a_conditional_model_shows_a_row_a_class(gallery: Gallery) -> None:
    model = toy_model(num_classes=3)
    torch.manual_seed(0)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.2)  # an untrained network would not hear its labels
    shown = gallery.samples(model.eval(), 1).read_bytes()
    expected = model.sample(24, torch.arange(3).repeat_interleave(8), rng=gallery.rng())
    save_grid(to_uint8(expected), gallery.folder / "expected.png", columns=8)
    assert shown == (gallery.folder / "expected.png").read_bytes()
    other = model.sample(24, torch.zeros(24, dtype=torch.int64), rng=gallery.rng())
    assert not torch.equal(other, expected)


class Halves(Latent):
    """Its codes are the upper halves of images; it rebuilds the lower ones as black."""

    latent_shape = (1, 2, 4)

    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> Loss:
        raise AssertionError("pictures train nothing")

    def prior(self, n: int, y: Tensor | None = None, *, rng: torch.Generator | None = None) -> Tensor:
        return torch.randn(n, *self.latent_shape, generator=rng)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return x[:, :, :2]

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return torch.cat([z, torch.full_like(z, -1)], dim=2)


class Broken(Halves):
    """Its codes are not finite."""

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return x[:, :, :2] / 0


def test_rebuilt_images_stand_below_the_test_images(gallery: Gallery) -> None:
    gallery.details(Halves((1, 4, 4)).eval(), 100)
    with Image.open(gallery.folder / "reconstructions_000000100.png") as image:
        pixels = np.asarray(image)
    scale = 12  # 4x4 tiles are enlarged to 48x48, with a line between
    test = gallery.data.test.images[gallery.order[:32], 0].numpy()
    for k in (0, 7, 8, 31):
        top, left = (k // 8) * 2 * (48 + BORDER) + BORDER, (k % 8) * (48 + BORDER) + BORDER
        real = pixels[top : top + 48 : scale, left : left + 48 : scale]
        below = pixels[top + 48 + BORDER : top + 96 + BORDER : scale, left : left + 48 : scale]
        assert np.array_equal(real, test[k])
        assert np.array_equal(below[:2], test[k, :2])
        assert not below[2:].any()


def test_codes_of_test_images_are_drawn_of_models_that_encode(gallery: Gallery) -> None:
    torch.manual_seed(0)
    gallery.details(Halves((1, 4, 4)).eval(), 100)
    first = (gallery.folder / "codes_000000100.png").read_bytes()
    torch.rand(10)
    gallery.details(Halves((1, 4, 4)).eval(), 200)
    assert (gallery.folder / "codes_000000200.png").read_bytes() == first
    labels = torch.arange(70) % 3
    gallery.data = replace(
        gallery.data, test=Split(gallery.data.test.images, labels), class_names=("_a", "$b")
    )
    gallery.details(Halves((1, 4, 4)).eval(), 300)
    assert (gallery.folder / "codes_000000300.png").read_bytes() != first


def test_codes_that_are_not_finite_have_no_picture(gallery: Gallery) -> None:
    gallery.codes(Broken((1, 4, 4)).eval(), 100)
    assert not gallery.folder.exists()


def test_neighbours_show_the_likeliest_copies_first_above_what_they_resemble(gallery: Gallery) -> None:
    """Of samples of which one repeats a training image: that one, then the same image twice beneath."""
    real = gallery.data.train.images
    rng = torch.Generator().manual_seed(1)
    fake = torch.randint(0, 256, (20, 1, 4, 4), generator=rng, dtype=torch.uint8)
    fake[13] = real[42]
    samples, train = features_of(fake), features_of(real)
    drawn = Drawn("f", "ema", 0, 20, Moments.of(samples), samples, fake, None, samples)
    reference = Reference("train", "f", Moments.of(train), train, Split(real, None))
    gallery.neighbours(drawn, reference, 100)
    with Image.open(gallery.folder / "neighbours_000000100.png") as image:
        tiles = np.asarray(image)
    size = 4 * 12 + BORDER  # enlarged to 48 pixels, with a line before each
    assert tiles.shape == (6 * size + BORDER, 8 * size + BORDER)  # 16 samples, two rows beneath each row
    column = [tiles[row * size + BORDER : (row + 1) * size : 12, BORDER:size:12] for row in range(3)]
    assert all((tile == real[42, 0].numpy()).all() for tile in column)


def features_of(images: Tensor) -> Tensor:
    return images.flatten(1).float()


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9])
def test_few_test_images_are_shown_in_full_rows_or_in_one_row_of_all(tmp_path: Path, n: int) -> None:
    rng = torch.Generator().manual_seed(0)
    split = Split(torch.randint(0, 256, (n, 1, 4, 4), generator=rng, dtype=torch.uint8), None)
    data = ImageData("toy", split, split, (), 0, False, "key", (1, 4, 4))
    small = Gallery(tmp_path / "samples", JsonLines(tmp_path / "metrics.jsonl"), data, Context(CPU))
    model = Halves((1, 4, 4)).eval()
    shown = small.reconstructions(model)
    assert shown.columns == min(n, 8)
    above, below = shown.images.split(shown.columns)
    assert torch.equal(above, split.images[small.order[: len(above)]])
    assert torch.equal(below[:, :, :2], above[:, :, :2])
    assert bool((below[:, :, 2:] == 0).all())
    small.details(model, 100)  # interpolations too, between the images that there are
    assert (tmp_path / "samples" / "interpolation_000000100.png").is_file()
