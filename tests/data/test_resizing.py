from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from genbench.data import ImageFolder, prepare
from genbench.data.resizing import adm, box, crop_resized, lanczos
from genbench.runtime.progress import Progress

QUIET = Progress(None)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_box_gives_the_means_of_the_blocks_of_the_whole_image() -> None:
    image = noise(128, 96)
    rows = np.floor(image.reshape(128, 32, 3, 3).mean(2, dtype=np.float64) + 0.5)  # along a row first
    means = np.floor(rows.reshape(32, 4, 32, 3).mean(1) + 0.5)  # 4 x 3 pixels each: squeezed
    found = np.asarray(box(Image.fromarray(image), (32, 32)))
    assert np.array_equal(found, means)


def test_adm_of_a_square_of_a_power_of_two_is_a_mean_of_blocks() -> None:
    """256 -> 64 takes two halvings, and no bicubic step moves a pixel after that."""
    image = noise(256, 256)
    expected = np.asarray(halved(halved(Image.fromarray(image))))
    assert np.array_equal(np.asarray(adm(Image.fromarray(image), (64, 64))), expected)


@pytest.mark.parametrize("shape", [(100, 80), (376, 504), (64, 64), (20, 33), (484, 132)])
def test_adm_cuts_the_centre_out_after_the_bicubic_step(shape: tuple[int, int]) -> None:
    """Against torch's filter, on one bicubic step; more halvings before only make the image smaller."""
    image = Image.fromarray(noise(*shape) // 2 + 64)  # so that no step leaves the range of bytes
    found = np.asarray(adm(image, (32, 32)))
    assert found.shape == (32, 32, 3)
    while min(image.size) >= 64:
        image = halved(image)
    scale = 32 / min(image.size)
    height, width = round(image.height * scale), round(image.width * scale)
    x = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None].float()
    # Pillow's bicubic filter has a = -0.5, as torch's antialiased one.
    resized = F.interpolate(x, (height, width), mode="bicubic", antialias=True).clamp(0, 255)
    top, left = (height - 32) // 2, (width - 32) // 2
    expected = resized[0, :, top : top + 32, left : left + 32].permute(1, 2, 0).numpy()
    assert np.abs(found - expected).max() <= 2.5  # Pillow rounds after each direction


def halved(image: Image.Image) -> Image.Image:
    """Half the sides, which are even: means of two pixels along the rows, then of two along the columns."""
    x = np.asarray(image)
    rows = np.floor(x.reshape(image.height, image.width // 2, 2, 3).mean(2) + 0.5)
    means = np.floor(rows.reshape(image.height // 2, 2, image.width // 2, 3).mean(1) + 0.5)
    return Image.fromarray(means.astype(np.uint8))


def test_the_crop_of_faces_equals_torchs_antialiased_bilinear_filter() -> None:
    image = noise(218, 178)
    found = np.asarray(crop_resized(Image.fromarray(image), 140, 64))
    x = torch.from_numpy(image[39:179, 19:159].copy()).permute(2, 0, 1)[None].float()
    expected = F.interpolate(x, (64, 64), mode="bilinear", antialias=True)[0].permute(1, 2, 0)
    assert np.abs(found - expected.numpy()).max() <= 1.01


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(4):
        (path := tmp_path / "images" / f"{i % 2}" / f"{i}.png").parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(70, 90, seed=i)).save(path)
    return tmp_path


def test_a_folder_is_resized_as_its_option_says(folder: Path) -> None:
    found = {}
    for name, way in (("lanczos", lanczos), ("box", box), ("adm", adm)):
        source = ImageFolder(str(folder / "images"), size=32, resize=name, test_fraction=0.25)
        data = prepare(source, progress=QUIET, cache=folder / "cache")
        first = Image.open(folder / "images" / source.files["train"][0])
        expected = torch.from_numpy(np.asarray(way(first, (32, 32))).copy()).permute(2, 0, 1)
        assert torch.equal(data.train.images[0], expected)
        found[name] = source.key()
    assert len(set(found.values())) == 3
    with pytest.raises(ValueError, match=r"data\.resize is 'nearest'; choose from lanczos .* box .* adm"):
        ImageFolder(str(folder), size=32, resize="nearest")
