"""Files that somebody sent, changed at any place, are read or refused in one message; see `fuzzing`."""

import io
import os
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from genbench.data.folder import ImageFolder
from genbench.errors import Damaged
from genbench.evaluation.given_images import read
from tests.attack.fuzzing import CANARY, SECONDS, in_memory, tried
from tests.attack.hurt import cut_or_flipped
from tests.attack.verbs import not_waiting

LONGEST = 900  # letters of a message
SHAPE = (1, 8, 8)
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I", "F", "CMYK")
FORMATS = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "BMP": ".bmp", "TIFF": ".tif", "GIF": ".gif"}


def reads(work: Callable[[Path], object], given: Callable[[Path], object]) -> None:
    """Check the law for a reader: it returns, or raises ValueError or OSError with one short message."""
    with TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder, here = Path(name), Path.cwd()
        given(folder)
        before, message = sorted(folder.rglob("*")), "read"
        os.chdir(folder)
        try:
            with not_waiting(SECONDS), in_memory():
                work(folder)
        except (ValueError, OSError, Damaged) as error:
            message = str(error)
        finally:
            os.chdir(here)
        assert 0 < len(message) < LONGEST, message
        assert sorted(folder.rglob("*")) == before
        assert not (folder / CANARY).exists()


@st.composite
def image_bytes(draw: st.DrawFn) -> tuple[str, bytes]:
    """The ending and the bytes of an image file of any mode and format, valid or damaged somewhere."""
    kind, mode = draw(st.sampled_from([*FORMATS])), draw(st.sampled_from(MODES))
    size = draw(st.sampled_from([(8, 8), (8, 8), (1, 1), (1, 900), (9, 7)]))
    rng, file = np.random.default_rng(draw(st.integers(0, 9))), io.BytesIO()
    image = Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), np.uint8))
    try:
        image.convert("I").convert(mode).save(file, kind)
    except (OSError, ValueError):  # the format has no such mode
        image.convert("L").save(file, kind)
    ending = draw(st.sampled_from([FORMATS[kind]] * 5 + [*FORMATS.values(), ".PNG", ".npz"]))
    content = file.getvalue()
    return ending, draw(cut_or_flipped(content)) if draw(st.integers(0, 4)) else content


def images(files: list[tuple[str, bytes]]) -> Callable[[Path], None]:
    """Write image files into a folder `images`."""

    def write(folder: Path) -> None:
        (folder / "images").mkdir()
        for number, (ending, content) in enumerate(files):
            (folder / "images" / f"{number}{ending}").write_bytes(content)

    return write


def decoded(folder: Path, channels: int) -> None:
    """Read a folder of images as the data of a run."""
    source = ImageFolder(str(folder / "images"), size=8, channels=channels)
    source.check()
    source.remarks(), source.key(), source.counts(), source.num_classes
    for split in ("train", "test"):
        for image, _ in source.decode(split):
            assert image.shape == (8, 8, channels)
            assert image.dtype == np.uint8


FOLDERS = given(files=st.lists(image_bytes(), min_size=1, max_size=3), channels=st.sampled_from([1, 3]))


def check_images(files: list[tuple[str, bytes]], channels: int) -> None:
    """Read a folder of images as data, and as images to be scored."""
    reads(lambda folder: decoded(folder, channels), images(files))
    shape = (channels, 8, 8)
    reads(lambda folder: read(folder / "images", shape=shape, num_classes=0), images(files))


@pytest.mark.slow
@tried(3000)
@FOLDERS
def test_any_images_are_read_or_refused(files: list[tuple[str, bytes]], channels: int) -> None:
    check_images(files, channels)


@tried(30)
@FOLDERS
def test_some_images_are_read_or_refused(files: list[tuple[str, bytes]], channels: int) -> None:
    check_images(files, channels)


def array_header(descr: str, order: str, shape: str) -> bytes:
    """The header of an array in the format of numpy, version 1."""
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) & 0xFFFF) + text


descrs = st.sampled_from(
    [
        *(
            "'|u1'",
            "'|u1'",
            "'|u1'",
            "'<f4'",
            "'>i8'",
            "'|O'",
            "'|S3'",
            "'<U5'",
            "'|V7'",
            "'<M8[s]'",
            "'|b1'",
            "'<c8'",
        ),
        *(
            "[('a', '|u1')]",
            "[('a', '|O')]",
            "5",
            "None",
            "''",
            "'x'",
            "'<f2'",
            "('|u1', (3,))",
            "{}",
            "'|u1,|u1'",
        ),
        "__import__('os').mkdir('executed')",
        "'|S99999999999'",
    ]
)
shapes = st.one_of(
    st.sampled_from(
        [
            *(
                "(3, 8, 8)",
                "(3, 8, 8)",
                "(3, 8, 8, 1)",
                "(0, 8, 8)",
                "()",
                "(3,)",
                "(3, 8, -8)",
                "(3, 8.0, 8)",
            ),
            *("(99999999999, 8, 8)", "(18446744073709551617,)", "[3, 8, 8]", "'a'", "(True, 8, 24)", "None"),
            *(
                "(3, 8, 8, 1, 1, 1)",
                "(" + "1, " * 70 + ")",
                "(" * 200 + ")" * 200,
                "-" * 3000 + "1",
                "(1e9, 8)",
            ),
        ]
    ),
    st.text(max_size=12),
)


@st.composite
def array_bytes(draw: st.DrawFn) -> bytes:
    """An array in the format of numpy, with a header that may say anything."""
    order = draw(st.sampled_from(["False", "False", "True", "0", "None", "[]"]))
    head = array_header(draw(descrs), order, draw(shapes))
    body = bytes(draw(st.sampled_from([192, 192, 191, 0, 1, 5000])))
    found = head + body
    return draw(cut_or_flipped(found)) if draw(st.integers(0, 3)) == 0 else found


@st.composite
def archive_bytes(draw: st.DrawFn) -> bytes:
    """A zip of such arrays under names that fit or do not, as a whole damaged somewhere or not."""
    file = io.BytesIO()
    method = draw(
        st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
    )
    names = st.sampled_from(
        ["samples.npy", "samples.npy", "labels.npy", "samples", "../samples.npy", "x/", "é.npy", "/a.npy"]
    )
    with zipfile.ZipFile(file, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of two members with one name
        for name in ["samples.npy"] * draw(st.integers(0, 1)) + draw(st.lists(names, max_size=2)):
            archive.writestr(name, draw(array_bytes()))
    content = file.getvalue()
    if draw(st.integers(0, 2)) == 0:  # a flag, method, size or checksum of the first member's record
        place = content.find(b"PK\x01\x02") + draw(st.integers(6, 45))
        value = draw(st.sampled_from([b"\x00", b"\x01", b"\xff", b"\x63", b"\xff\xff\xff\xff"]))
        content = content[:place] + value + content[place + len(value) :]
    return draw(cut_or_flipped(content)) if draw(st.integers(0, 3)) == 0 else content


ARCHIVES = given(content=archive_bytes(), num_classes=st.sampled_from([0, 10]))


def check_arrays(content: bytes, num_classes: int) -> None:
    """Read the bytes of an .npz file as images to be scored."""
    reads(
        lambda folder: read(folder / "a.npz", shape=SHAPE, num_classes=num_classes),
        lambda folder: (folder / "a.npz").write_bytes(content),
    )


@pytest.mark.slow
@tried(5000)
@ARCHIVES
def test_any_arrays_are_read_or_refused(content: bytes, num_classes: int) -> None:
    check_arrays(content, num_classes)


@tried(50)
@ARCHIVES
def test_some_arrays_are_read_or_refused(content: bytes, num_classes: int) -> None:
    check_arrays(content, num_classes)


@tried(50)
@given(content=array_bytes())
def test_some_single_arrays_are_read_or_refused(content: bytes) -> None:
    reads(
        lambda folder: read(folder / "a.npy", shape=SHAPE, num_classes=0),
        lambda folder: (folder / "a.npy").write_bytes(content),
    )
