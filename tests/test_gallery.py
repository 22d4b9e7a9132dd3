"""The pictures of a run."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from genbench.data import ImageData, Split, to_uint8
from genbench.gallery import Gallery
from genbench.pictures import save_grid
from genbench.tracking import JsonLines
from tests.toys import toy_model

CPU = torch.device("cpu")


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (70, 1, 4, 4), generator=rng, dtype=torch.uint8)
    split = Split(images, None)
    data = ImageData("toy", split, split, (), 0, False, "key", (1, 4, 4))
    return Gallery(tmp_path / "samples", JsonLines(tmp_path / "metrics.jsonl"), data, seed=0, device=CPU)


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
    gallery.processes(toy_model().eval(), 100)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_processes_are_drawn_of_models_that_have_one(gallery: Gallery) -> None:
    gallery.real()
    gallery.processes(toy_model().eval(), 100)
    names = {path.name for path in gallery.folder.iterdir()}
    assert names == {"real.png", "trajectory_000000100.png", "forward_000000100.png"}
    with Image.open(gallery.folder / "trajectory_000000100.png") as image:
        width, height = image.size
        assert width > height  # twelve states a row, six rows


def test_a_conditional_model_shows_its_classes_in_turn(gallery: Gallery) -> None:
    model = toy_model(num_classes=3)
    torch.manual_seed(0)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.2)  # an untrained network would not hear its labels
    shown = gallery.samples(model.eval(), 1).read_bytes()
    expected = model.sample(64, torch.arange(64) % 3, rng=gallery.rng())
    save_grid(to_uint8(expected), gallery.folder / "expected.png")
    assert shown == (gallery.folder / "expected.png").read_bytes()
    other = model.sample(64, torch.zeros(64, dtype=torch.int64), rng=gallery.rng())
    assert not torch.equal(other, expected)
