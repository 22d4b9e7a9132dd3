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
        (
            {"samples": BYTES / 255},
            r"dtype float64 with numbers from 0 to 1; it must be uint8: scale to 0 \.\. 255 and round",
        ),
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
        (None, r"x\.png cannot be read \(it is not an image\)"),
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
    with pytest.raises(ValueError, match=r"x\.png cannot be read \(it has more than 20 pixels"):
        read(tmp_path, shape=COLOUR, num_classes=0)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (BYTES / 127.5 - 1, r"scale from -1 .. 1 to 0 .. 255 and round"),
        (
            (BYTES / 255).astype(np.float32),
            r"float32 with numbers from 0 to 1; .* 255 and round",
        ),
        (BYTES.astype(np.float64), r"its numbers are levels already, samples.round"),
        (BYTES.astype(np.int64), r"int64 with numbers from \d+ to \d+; .*its numbers are levels already"),
        (BYTES.astype(np.int64) * 3, r"scale to 0 .. 255 and round first"),
        (BYTES.astype(np.uint16) * 257, r"scale 16 bits to 8, \(samples / 257\).round"),
        ((BYTES > 9).astype(int), r"use 255 for 1, samples.astype"),
        ((BYTES.astype(">u2") * 257), r"scale 16 bits to 8"),
        (BYTES > 9, r"dtype bool; it must be uint8: use 255 for true"),
        (BYTES.astype(complex), r"dtype complex128; it must be uint8: save levels from 0 to 255"),
        (np.array(["a"] * 4), r"dtype <U1; it must be uint8: save levels"),
        (
            np.where(BYTES > 9, np.inf, 0.5),
            r"of its numbers not finite; .* 255 and round first",
        ),
        (BYTES.transpose(0, 3, 1, 2), r"move the channels to the end, samples.transpose\(0, 2, 3, 1\)"),
        (BYTES[0], r"put the one image into an array of images, samples\[None\]"),
        (BYTES[0, ..., 0], r"put the one image into an array of images"),
        (BYTES[:0], r"it holds no image"),
        (np.concatenate([BYTES, BYTES[..., :1]], axis=3), r"shape \[4, 6, 5, 4\]; images of this data are"),
        (np.uint8(3), r"shape \[\]; images of this data are"),
    ],
)
def test_arrays_that_are_not_images_get_the_way_to_images(
    samples: np.ndarray, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        read(save(tmp_path / "x.npz", samples=samples), shape=COLOUR, num_classes=0)


def test_the_ending_of_arrays_may_be_written_in_capitals(tmp_path: Path) -> None:
    save(tmp_path / "x.npz", samples=BYTES).rename(tmp_path / "x.NPZ")
    assert len(read(tmp_path / "x.NPZ", shape=COLOUR, num_classes=0).images) == 4


def test_numbers_in_names_sort_by_value(tmp_path: Path) -> None:
    many = RNG.integers(0, 256, (12, 6, 5, 3), dtype=np.uint8)
    for number, image in enumerate(many):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    found = read(tmp_path, shape=COLOUR, num_classes=0).images
    assert torch.equal(found, torch.from_numpy(many).permute(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (("cat", "dog", "dog", "cat"), [0, 0, 1, 1]),
        (("cat", "dog", "dog", "bird"), None),  # of a class that the data lack
        (("", "dog", "dog", "cat"), None),
        (("cat/x", "dog", "dog", "cat"), None),
    ],
)
def test_folders_named_as_the_classes_of_the_data_are_labels(
    folders: tuple[str, ...], expected: list[int] | None, tmp_path: Path
) -> None:
    for number, (folder, image) in enumerate(zip(folders, BYTES, strict=True)):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / folder / f"{number}.png")
    labels = read(tmp_path, shape=COLOUR, num_classes=2, class_names=("cat", "dog")).labels
    assert (labels if labels is None else labels.tolist()) == expected


def test_unreadable_images_of_a_folder_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    for number in range(12):
        Image.fromarray(BYTES[0]).save(tmp_path / f"{number}.png")
    for number in (10, 2, 3):
        (tmp_path / f"{number}.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"/2\.png cannot be read \(it is empty\).*holds for 2 more"):
        read(tmp_path, shape=COLOUR, num_classes=0)


def test_an_image_that_its_exif_turns_is_refused(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (5, 6)).save(tmp_path / "x.jpg", exif=exif)
    with pytest.raises(ValueError, match="save it upright"):
        read(tmp_path, shape=COLOUR, num_classes=0)


def test_folders_of_which_some_are_classes_and_zeros_and_ones_are_warned_of(tmp_path: Path) -> None:
    for folder in ("cat", "other"):
        (tmp_path / folder).mkdir()
        Image.fromarray(BYTES[0]).save(tmp_path / folder / "x.png")
    with pytest.warns(UserWarning, match=r"without labels, since other/x\.png lies in no class"):
        assert read(tmp_path, shape=COLOUR, num_classes=2, class_names=("cat", "dog")).labels is None
    ones = save(tmp_path / "x.npz", samples=(BYTES > 99).astype(np.uint8))
    with pytest.warns(UserWarning, match="0 and 1 alone, the two darkest of 256 levels"):
        read(ones, shape=COLOUR, num_classes=0)


def test_captions_of_an_array_are_texts_of_its_images(tmp_path: Path) -> None:
    texts = ["a cat", " größer:  猫 ", "", "a dog"]
    for captions in (np.array(texts), np.array([text.encode() for text in texts])):
        found = read(save(tmp_path / "c.npz", samples=BYTES, captions=captions), shape=COLOUR, num_classes=3)
        assert found.captions == ["a cat", "größer: 猫", "", "a dog"]
        assert found.labels is None
        images, numbers = found.part(1, 2, torch.device("cpu"))
        assert numbers is not None
        assert numbers.tolist() == [1, 2]
        assert torch.equal(images, found.images[1:3])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"captions": np.array(["a"] * 3)}, r"captions has shape \[3\] and dtype <U1; it must be 4 texts"),
        (
            {"captions": np.arange(4)},
            r"dtype int64; it must be 4 texts: use numpy\.array\(captions, dtype=str",
        ),
        (
            {"captions": np.array(["a", "b\x1b[31m", "c", "d"])},
            r"captions\[1\]: the prompt holds a control char",
        ),
        ({"captions": np.array([b"a", b"b", b"caf\xe9", b"d"])}, r"captions\[2\] is not UTF-8 text"),
        ({"captions": np.array(["a", "b", "c", "d" * 10_001])}, r"captions\[3\]: the prompt has 10,001 char"),
        (
            {"captions": np.array(["a"] * 4), "labels": np.zeros(4, np.int64)},
            "holds labels and captions, and scores take one of them: keep one",
        ),
        ({"captions": np.array(["a", None, "b", "c"], dtype=object)}, "holds Python objects"),
    ],
)
def test_captions_that_cannot_be_are_refused(tmp_path: Path, arrays: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(save(tmp_path / "c.npz", samples=BYTES, **arrays), shape=COLOUR, num_classes=3)


def test_a_folder_may_have_captions_as_folders_of_data_do(tmp_path: Path) -> None:
    for k, image in enumerate(BYTES):
        Image.fromarray(image).save(tmp_path / f"{k}.png")
        (tmp_path / f"{k}.txt").write_text(f"image {k}\n")
    found = read(tmp_path, shape=COLOUR, num_classes=0)
    assert found.captions == [f"image {k}" for k in range(4)]
    (tmp_path / "2.txt").unlink()
    with pytest.warns(UserWarning, match=r"Captions are not read: .*2\.png has no caption"):
        assert read(tmp_path, shape=COLOUR, num_classes=0).captions is None
