"""Images of other tools: taken as they are, or refused with what is wrong."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genbench.evaluation.given_images import read

GREY, COLOUR = (1, 6, 5), (3, 6, 5)
RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (4, 6, 5, 3), dtype=np.uint8)


def save(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


def test_arrays_come_back_as_maps_of_channels(tmp_path: Path) -> None:
    labels = np.array([0, 2, 1, 0], dtype=np.int32)
    colour = read(save(tmp_path / "c.npz", samples=BYTES, labels=labels), shape=COLOUR, num_classes=3)
    assert torch.equal(colour.images, torch.from_numpy(BYTES).permute(0, 3, 1, 2))
    assert colour.labels is not None
    assert colour.labels.tolist() == [0, 2, 1, 0]
    for samples in (BYTES[..., 0], BYTES[..., :1]):  # with and without the axis of channels
        grey = read(save(tmp_path / "g.npz", samples=samples), shape=GREY, num_classes=0)
        assert torch.equal(grey.images[:, 0], torch.from_numpy(BYTES[..., 0]))
        assert grey.labels is None


def test_the_folder_of_genbench_sample_is_read_by_its_arrays(tmp_path: Path) -> None:
    Image.new("L", (99, 99)).save(tmp_path / "grid.png")
    save(tmp_path / "samples.npz", samples=BYTES[..., 0], labels=np.array([0, 1, 1, 0]))
    found = read(tmp_path, shape=GREY, num_classes=2)
    assert torch.equal(found.images[:, 0], torch.from_numpy(BYTES[..., 0]))
    assert found.labels is not None


@pytest.mark.parametrize("channels", [1, 3])
def test_a_folder_gives_its_images_byte_for_byte_in_order(channels: int, tmp_path: Path) -> None:
    for k, image in enumerate(BYTES):
        Image.fromarray(image if channels == 3 else image[..., 0]).save(tmp_path / f"{k}.png")
    (tmp_path / "notes.txt").write_text("no image")
    found = read(tmp_path, shape=(channels, 6, 5), num_classes=0).images
    assert torch.equal(found, torch.from_numpy(BYTES[..., :channels]).permute(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": BYTES}, "no array `samples`"),
        ({"samples": BYTES / 255}, "dtype float64; it must be uint8"),
        ({"samples": np.full((2, 6, 5, 3), np.nan)}, "180 of its numbers not finite"),
        ({"samples": BYTES[:, :5]}, r"shape \[4, 5, 5, 3\]; images of this data are \[N, 6, 5, 3\]"),
        ({"samples": BYTES[..., 0]}, r"shape \[4, 6, 5\]"),
        ({"samples": BYTES[:0]}, r"shape \[0, 6, 5, 3\]"),
        ({"samples": BYTES, "labels": np.zeros(3, dtype=int)}, "must be 4 integers"),
        ({"samples": BYTES, "labels": np.zeros(4)}, "must be 4 integers"),
        ({"samples": BYTES, "labels": np.array([0, 1, 2, 3])}, "range from 0 to 3; they must be from 0 to 2"),
    ],
)
def test_arrays_of_another_kind_are_refused(
    arrays: dict[str, np.ndarray], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        read(save(tmp_path / "x.npz", **arrays), shape=COLOUR, num_classes=3)


def test_arrays_of_objects_are_not_unpickled(tmp_path: Path) -> None:
    path = save(tmp_path / "x.npz", samples=np.array([{}, {}], dtype=object))
    with pytest.raises(ValueError, match="samples holds Python objects"):
        read(path, shape=COLOUR, num_classes=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Image.new("L", (5, 6)), r"x\.png is 5x6 in mode L; the data has 5x6 in mode RGB"),
        (Image.new("RGB", (6, 6)), r"x\.png is 6x6 in mode RGB"),
        (None, r"x\.png is no image that can be read"),
    ],
)
def test_an_image_file_of_another_kind_is_named(
    content: Image.Image | None, message: str, tmp_path: Path
) -> None:
    if content is None:
        (tmp_path / "x.png").write_bytes(b"no image")
    else:
        content.save(tmp_path / "x.png")
    with pytest.raises(ValueError, match=message):
        read(tmp_path, shape=COLOUR, num_classes=0)


def test_what_is_neither_is_refused(tmp_path: Path) -> None:
    for path, message in ((tmp_path, "holds no images"), (tmp_path / "none.npz", "neither a run, nor")):
        with pytest.raises(ValueError, match=message):
            read(path, shape=COLOUR, num_classes=0)
    (tmp_path / "torn.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match="can be read"):
        read(tmp_path / "torn.npz", shape=COLOUR, num_classes=0)


def test_an_image_too_large_to_decode_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (5, 6)).save(tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # twice as many are called a bomb
    with pytest.raises(ValueError, match=r"x\.png is no image that can be read"):
        read(tmp_path, shape=COLOUR, num_classes=0)
