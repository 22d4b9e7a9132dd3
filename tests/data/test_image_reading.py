"""Image files of all kinds: the pixels that a computation by hand gives, or a refusal that names the file."""

import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genbench.data.image_reading import ImageFileError, large_images, load

RNG = np.random.default_rng(0)
LEVELS = RNG.integers(0, 65536, (4, 4), dtype=np.uint16)
LEVELS.flat[:6] = [0, 128, 129, 385, 65406, 65535]  # 128 is just below half of 257, and 129 just above
BYTES = RNG.integers(0, 256, (4, 4, 3), dtype=np.uint8)
SCALED = np.array([[round(int(v) / 257) for v in row] for row in LEVELS], np.uint8)

Write = Callable[[Path], object]


def png(channels: int, kind: int) -> Write:
    """A PNG of 4 x 4 pixels with 16 bits a channel, of a colour type that Pillow reads and does not write."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    levels = RNG.integers(0, 65536, (4, 4, channels)).astype(">u2")
    head = struct.pack(">IIBBBBB", 4, 4, 16, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in levels)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def saved(image: Image.Image, **options: object) -> Write:
    """A function that saves an image under a path."""
    return lambda path: image.save(path, **options)


def frames(count: int = 3) -> Write:
    """A function that saves so many frames in one file."""
    first, *others = [Image.new("RGB", (4, 4), (50 * number, 0, 0)) for number in range(count)]
    return saved(first, save_all=True, append_images=others)


@pytest.mark.parametrize(
    ("name", "dtype"), [("a.png", "<u2"), ("a.PNG", "<u2"), ("a.tif", "<u2"), ("a.tiff", ">u2")]
)
def test_grey_levels_of_16_bits_are_divided_by_257_and_rounded(tmp_path: Path, name: str, dtype: str) -> None:
    Image.fromarray(LEVELS.astype(dtype)).save(tmp_path / name)
    assert np.array_equal(load(tmp_path / name, (1, 4, 4))[..., 0], SCALED)
    assert np.array_equal(load(tmp_path / name, (3, 4, 4)), SCALED[..., None].repeat(3, axis=2))


@pytest.mark.parametrize("name", ["a.png", "b.bmp", "c.tif", "d.tiff", "e.BMP", "wrong-ending.jpg"])
def test_formats_without_a_loss_give_their_pixels(tmp_path: Path, name: str) -> None:
    form = "PNG" if name.endswith("jpg") else None  # by its content, whatever the ending
    Image.fromarray(BYTES).save(tmp_path / name, format=form)
    assert np.array_equal(load(tmp_path / name, (3, 4, 4)), BYTES)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("1", (4, 4), 1), (255, 255, 255)),
        (Image.new("L", (4, 4), 77), (77, 77, 77)),
        (Image.new("LA", (4, 4), (40, 51)), (212, 212, 212)),  # 40 * 0.2 + 255 * 0.8
        (Image.new("RGBA", (4, 4), (0, 100, 255, 51)), (204, 224, 255)),
        (Image.new("RGBA", (4, 4), (9, 9, 9, 0)), (255, 255, 255)),
        (Image.new("RGB", (4, 4), (3, 200, 77)).quantize(2), (3, 200, 77)),
    ],
)
def test_modes_become_rgb_as_computed_by_hand(
    tmp_path: Path, image: Image.Image, expected: tuple[int, int, int]
) -> None:
    image.save(tmp_path / "a.png")
    found = load(tmp_path / "a.png", (3, 4, 4)).reshape(-1, 3).tolist()
    assert {tuple(pixel) for pixel in found} == {expected}


def test_the_transparent_colour_of_a_palette_becomes_white(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1]] * 2, np.uint8), mode="L").convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.save(tmp_path / "a.png", transparency=0)
    assert load(tmp_path / "a.png", (3, 2, 2))[0].tolist() == [[255, 255, 255], [40, 50, 60]]


def test_cmyk_photographs_become_rgb(tmp_path: Path) -> None:
    """R = 255 - C - K (clamped), to the few levels that JPEG is off."""
    Image.new("CMYK", (8, 8), (100, 0, 200, 20)).save(tmp_path / "a.jpg", quality=100)
    found = load(tmp_path / "a.jpg", (3, 8, 8)).reshape(-1, 3).astype(int)
    expected = [(255 - ink) * (255 - 20) / 255 for ink in (100, 0, 200)]
    assert np.abs(found - expected).max() <= 4


def test_a_strip_of_one_pixel_becomes_a_square_of_its_centre(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0] * 20 + [9] * 9 + [0] * 20], np.uint8)).save(tmp_path / "a.png")
    assert set(load(tmp_path / "a.png", (1, 4, 4)).flat) == {9}


def test_the_photograph_of_a_telephone_is_its_first_image(tmp_path: Path) -> None:
    frames(2)(tmp_path / "a.mpo")
    (tmp_path / "a.mpo").rename(tmp_path / "a.jpg")
    assert load(tmp_path / "a.jpg", (3, 4, 4)).max() <= 2


@pytest.mark.parametrize(
    ("name", "write", "reason"),
    [
        ("a.png", lambda path: path.write_bytes(b""), "it is empty"),
        ("a.png", lambda path: path.write_text("text"), "it is not an image"),
        ("a.png", lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n"), "it is"),
        ("a.jpg", lambda path: path.symlink_to("nowhere"), "No such file"),
        ("a.png", lambda path: path.symlink_to("/dev/zero"), "is a device, not a regular file"),
        ("a.png", png(3, 2), "a colour image of 16 bits a channel: save it with 8 bits"),
        ("a.png", png(4, 6), "a colour image of 16 bits a channel"),
        ("a.png", png(2, 4), "a colour image of 16 bits a channel"),
        ("a.png", frames(), "it has 3 frames: save each as an image of its own"),
        ("a.webp", frames(), "it has 3 frames"),
        ("a.tif", frames(), "it has 3 frames"),
        ("a.tif", saved(Image.fromarray(np.ones((4, 4), np.float32))), "of mode F: scale them to 0 .. 255"),
        ("a.tif", saved(Image.fromarray(np.ones((4, 4), np.int32))), "of mode I: scale them to 0 .. 255"),
        ("a.tif", saved(Image.new("LAB", (4, 4))), "of mode LAB"),
    ],
)
def test_a_file_that_would_be_read_with_a_loss_or_not_at_all_is_named(
    tmp_path: Path, name: str, write: Write, reason: str
) -> None:
    write(tmp_path / name)
    with pytest.raises(ImageFileError) as error:
        load(tmp_path / name, (3, 4, 4))
    assert str(error.value).startswith(f"{tmp_path / name} cannot be read (")
    assert reason in str(error.value)
    assert str(error.value).endswith("repair it, or remove it from the folder")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.bmp", "a.tif"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_file_that_was_cut_is_refused_in_our_words(tmp_path: Path, name: str, share: float) -> None:
    Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ImageFileError, match=r"\((it is incomplete or damaged|it is not an image)\)"):
        load(tmp_path / name, (3, 8, 8))


def test_the_size_of_large_photographs_makes_no_warning_and_bombs_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (10, 10), 7).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with large_images():
            assert load(tmp_path / "a.png", (1, 4, 4)).max() == 7
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    with pytest.raises(ImageFileError, match=r"it has more than 80 pixels"):
        load(tmp_path / "a.png", (1, 4, 4))
