"""Files of arrays: read whatever legal way they were written in, refused by name where they are damaged."""

import os
import struct
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from genbench.evaluation.npz_file import read_npz

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 6, 5), dtype=np.uint8)


def array_bytes(values: np.ndarray) -> bytes:
    """The content of the .npy file of an array."""
    file = BytesIO()
    np.lib.format.write_array(file, values)
    return file.getvalue()


def zipped(path: Path, content: bytes, method: int = zipfile.ZIP_STORED, name: str = "samples.npy") -> Path:
    """An archive of one member."""
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(name, content)
    return path


def headed(header: str, data: bytes = b"") -> bytes:
    """The content of an .npy file with a header of any text."""
    text = f"{header}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def stating(shape: str, data: bytes = b"") -> bytes:
    """The content of an .npy file whose header states a shape of bytes."""
    return headed(f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}", data)


def with_comment(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = b"of another tool"
        archive.writestr("samples.npy", array_bytes(IMAGES))
        archive.writestr("unread.npy", b"no array")


def beyond_4_gib(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive, archive.open("samples.npy", "w", force_zip64=True) as file:
        file.write(array_bytes(IMAGES))


LEGAL: dict[str, Callable[[Path], object]] = {
    "stored": lambda path: np.savez(path, samples=IMAGES),
    "compressed": lambda path: np.savez_compressed(path, samples=IMAGES),
    "in the order of Fortran": lambda path: np.savez(path, samples=np.asfortranarray(IMAGES)),
    "by bzip2": lambda path: zipped(path, array_bytes(IMAGES), zipfile.ZIP_BZIP2),
    "by lzma": lambda path: zipped(path, array_bytes(IMAGES), zipfile.ZIP_LZMA),
    "under its bare name": lambda path: zipped(path, array_bytes(IMAGES), name="samples"),
    "with a comment": with_comment,
    "with sizes of 64 bits": beyond_4_gib,
}


@pytest.mark.parametrize("way", LEGAL)
def test_an_array_is_the_same_in_whatever_way_it_was_written(way: str, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    LEGAL[way](path)
    found = read_npz(path, ("samples", "labels"))
    assert found.keys() == {"samples"}
    assert np.array_equal(found["samples"], IMAGES)


def test_integers_of_the_other_byte_order_have_the_same_values(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", samples=np.arange(9, dtype=">i4"))
    assert read_npz(tmp_path / "x.npz", ["samples"])["samples"].tolist() == list(range(9))


DAMAGED = {
    "without its magic": array_bytes(IMAGES)[6:],
    "without a header": b"",
    "with a cut header": array_bytes(IMAGES)[:40],
    "with a long header": stating("(12, 6, 5)" + " " * 30_000, IMAGES.tobytes()),
    "with a deep header": stating("-" * 900 + "1"),
    "of another version": b"\x93NUMPY\x09\x00" + array_bytes(IMAGES)[8:],
    "with code as its header": headed("__import__('os').mkdir('executed')"),
    "of 80 axes": stating("(" + "1, " * 80 + ")", b"\0"),
    "of a shape of words": stating("(True, 6, 5)", bytes(30)),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_an_array_with_a_damaged_header_is_refused_by_name(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = zipped(tmp_path / "x.npz", DAMAGED[kind])
    with pytest.raises(
        ValueError, match=r"x\.npz: samples is damaged, or no array that numpy wrote: save it"
    ):
        read_npz(path, ["samples"])
    assert [found.name for found in tmp_path.iterdir()] == ["x.npz"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (array_bytes(IMAGES)[:-9], "states 360 bytes of numbers, and 351 bytes follow"),
        (array_bytes(IMAGES) + b"more", "states 360 bytes of numbers, and 364 bytes follow"),
        (stating("(-12, 6, 5)", IMAGES.tobytes()), "states -360 bytes"),
        (stating("(-12, -6, 5)", IMAGES.tobytes()), "it is damaged"),
        (stating("(1000000000000, 6, 5)"), "has 30,000,000,000,000 bytes, this machine has .* bytes"),
        (stating("(1000000000000000000, 6, 5)"), r"has more than 2\^63 bytes"),
    ],
)
def test_what_a_header_claims_is_compared_before_anything_is_read(
    content: bytes, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        read_npz(zipped(tmp_path / "x.npz", content), ["samples"])


def test_a_header_of_gigabytes_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand bytes of it stand for one of the file."""
    read, sizes = zipfile.ZipExtFile.read, []
    monkeypatch.setattr(zipfile.ZipExtFile, "read", lambda file, n=-1: sizes.append(n) or read(file, n))
    content = b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**25) + b" " * 2**25
    with pytest.raises(ValueError, match="samples is damaged"):
        read_npz(zipped(tmp_path / "x.npz", content, zipfile.ZIP_DEFLATED), ["samples"])
    assert max(sizes) <= 1024
    assert min(sizes) >= 0


def change(offset: int, value: bytes) -> Callable[[bytearray], None]:
    """Write bytes over those at an offset of a file."""

    def harm(content: bytearray) -> None:
        content[offset : offset + len(value)] = value

    return harm


def mark(flag: int, offset: int) -> Callable[[bytearray], None]:
    """Write a number where both headers of a member state its flags (6) or its method (8)."""

    def harm(content: bytearray) -> None:
        content[offset] = flag
        content[content.rfind(b"PK\x01\x02") + offset + 2] = flag

    return harm


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (change(200, b"\xff\xfe"), "samples is damaged"),
        (change(0, b"XX"), "samples is damaged"),
        (mark(1, 6), "samples is encrypted: save it without a password"),
        (mark(99, 8), "samples is compressed by a method that is not supported"),
        (mark(8, 8), "samples is damaged"),
    ],
)
def test_harm_to_the_archive_is_told_by_its_kind(
    harm: Callable[[bytearray], None], message: str, tmp_path: Path
) -> None:
    path = zipped(tmp_path / "x.npz", array_bytes(IMAGES))
    content = bytearray(path.read_bytes())
    harm(content)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_npz(path, ["samples"])


def test_limits_of_memory_are_those_of_the_arrays_that_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "x.npz", samples=IMAGES, other=np.zeros(10**6, np.uint8))
    sizes = {"SC_PAGE_SIZE": 512, "SC_PHYS_PAGES": 2}
    monkeypatch.setattr(os, "sysconf", lambda name: sizes[name])
    assert np.array_equal(read_npz(tmp_path / "x.npz", ["samples"])["samples"], IMAGES)
    with pytest.raises(ValueError, match="other has 1,000,000 bytes, this machine has 1,024 bytes"):
        read_npz(tmp_path / "x.npz", ["samples", "other"])


def test_of_an_array_that_is_missing_those_that_are_there_are_named(tmp_path: Path) -> None:
    arrays = {f"{'a' * 99}{k}": IMAGES[:1] for k in range(7)}
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(
        ValueError,
        match=r"no array `samples`; it has a{40}\.\. \(uint8 \[1, 6, 5\]\), .* and 2 more: save it",
    ):
        read_npz(tmp_path / "x.npz", ["samples"])
