"""Wrong .npz files: other kinds of files, damaged archives, arrays that no images are."""

import os
import struct
import warnings
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np

from tests.wrong_inputs import Wrong

IMAGES = np.random.default_rng(0).integers(0, 256, (24, 8, 8), dtype=np.uint8)
AGAIN = "numpy.savez(FILE, samples=images)"
SAMPLES = "x.npz: samples is damaged, or no array that numpy wrote"


class Code:
    """An object whose pickle writes a file where it is read."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("executed",)


def array_bytes(values: np.ndarray, *, pickled: bool = False) -> bytes:
    """The content of the .npy file of an array."""
    file = BytesIO()
    np.lib.format.write_array(file, values, allow_pickle=pickled)
    return file.getvalue()


def holding(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> Callable[[Path], None]:
    """Write an archive of named members as x.npz."""

    def give(folder: Path) -> None:
        with warnings.catch_warnings(), zipfile.ZipFile(folder / "x.npz", "w", method) as archive:
            warnings.simplefilter("ignore")  # that a name stands there twice
            for name, content in members:
                archive.writestr(name, content)

    return give


def samples(content: bytes) -> Callable[[Path], None]:
    """Write an archive whose one member is samples.npy."""
    return holding(("samples.npy", content))


def arrays(**named: np.ndarray) -> Callable[[Path], None]:
    """Write arrays by their names as x.npz."""
    return lambda folder: np.savez(folder / "x.npz", **named)


def file(content: bytes, name: str = "x.npz") -> Callable[[Path], None]:
    """Write a file of any content."""
    return lambda folder: (folder / name).write_bytes(content)


def harmed(change: Callable[[bytearray], object], method: int = zipfile.ZIP_STORED) -> Callable[[Path], None]:
    """Write a good archive, and change its bytes."""

    def give(folder: Path) -> None:
        holding(("samples.npy", array_bytes(IMAGES)), method=method)(folder)
        content = bytearray((folder / "x.npz").read_bytes())
        change(content)
        (folder / "x.npz").write_bytes(content)

    return give


def mark(flag: int, offset: int) -> Callable[[bytearray], None]:
    """Write a number where both headers of a member state its flags (6) or its method (8)."""

    def change(content: bytearray) -> None:
        content[offset] = flag
        content[content.rfind(b"PK\x01\x02") + offset + 2] = flag

    return change


def stating(shape: str, descr: str = "|u1") -> bytes:
    """The content of an .npy file whose header states any shape, before no numbers at all."""
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def evaluated(*says: str, given: Callable[[Path], object], name: str = "x.npz") -> Wrong:
    """One file that `genbench evaluate` refuses as images."""
    return Wrong(f"genbench evaluate {name} --data digits --device cpu", says, given)


ROWS = (
    evaluated(
        "x.npz is not an .npz file", "a single array, as numpy.save", AGAIN, given=file(array_bytes(IMAGES))
    ),
    evaluated("x.npz is not an .npz file", "it is empty", given=file(b"")),
    evaluated("x.npz is not an .npz file", "it is another kind of file", given=file(b"text\n" * 9)),
    evaluated(
        "x.npz is not an .npz file",
        "incomplete or damaged",
        given=harmed(lambda content: content.__delitem__(slice(99, None))),
    ),
    evaluated("no array `samples` or `arr_0`; it has none", given=holding()),
    evaluated(
        "no array `samples` or `arr_0`; it has images (uint8 [24, 8, 8]), x (uint8",
        AGAIN,
        given=arrays(images=IMAGES, x=IMAGES, labels=IMAGES),
    ),
    evaluated(
        "a3 (uint8 [24, 8, 8]), a4 (uint8 [24, 8, 8]) and 15 more",
        given=arrays(**{f"a{k}": IMAGES for k in range(20)}),
    ),
    evaluated("it has ../../samples (uint8", given=holding(("../../samples.npy", array_bytes(IMAGES)))),
    evaluated("it has Samples (uint8", given=holding(("Samples.npy", array_bytes(IMAGES)))),
    evaluated("two arrays `samples`: keep one", given=holding(*[("samples.npy", array_bytes(IMAGES))] * 2)),
    evaluated(SAMPLES, AGAIN, given=samples(array_bytes(IMAGES)[:40])),
    evaluated(SAMPLES, given=samples(array_bytes(IMAGES)[6:])),
    evaluated(SAMPLES, given=samples(b"")),
    evaluated(SAMPLES, given=samples(stating("(24, 8, 8)" + " " * 20_000))),
    evaluated(SAMPLES, given=samples(stating("(" * 400 + ")" * 400))),
    evaluated(SAMPLES, given=samples(stating("__import__('os').mkdir('executed')"))),
    evaluated(
        "states 1,536 bytes of numbers, and 1,529 bytes follow", given=samples(array_bytes(IMAGES)[:-7])
    ),
    evaluated(
        "samples has more than 2^63 bytes",
        "this machine has",
        given=samples(stating("(10000000000000000000, 8, 8)")),
    ),
    evaluated("samples has 64,000,000,000,000 bytes", given=samples(stating("(1000000000000, 8, 8)"))),
    evaluated(
        "samples holds Python objects",
        "save numbers",
        given=samples(array_bytes(np.array([Code()]), pickled=True)),
    ),
    evaluated(
        "labels holds Python objects",
        given=arrays(samples=IMAGES, labels=np.array([Code()] * 24, dtype=object)),
    ),
    evaluated(
        "samples has dtype [('a', 'u1')]",
        "uint8",
        given=arrays(samples=np.zeros((24, 8, 8), dtype=[("a", "u1")])),
    ),
    evaluated("samples is encrypted", "without a password", given=harmed(mark(1, 6))),
    evaluated("samples is compressed by a method that is not supported", AGAIN, given=harmed(mark(99, 8))),
    evaluated(
        SAMPLES,
        given=harmed(lambda content: content.__setitem__(slice(60, 90), b"\xff" * 30), zipfile.ZIP_DEFLATED),
    ),
    evaluated(SAMPLES, given=harmed(lambda content: content.__setitem__(900, content[900] ^ 1))),
    evaluated("x.npz is a named pipe", "remove it", given=lambda folder: os.mkfifo(folder / "x.npz")),
    evaluated("x.npz is a device", given=lambda folder: (folder / "x.npz").symlink_to("/dev/zero")),
    evaluated(
        "x.npz does not exist", "FILE.npz", given=lambda folder: (folder / "x.npz").symlink_to("nowhere")
    ),
    evaluated("x.npz holds no images", given=lambda folder: (folder / "x.npz").mkdir()),
    evaluated(
        "x.np is neither a run, nor a folder",
        ".npz, .npy",
        given=file(array_bytes(IMAGES), "x.np"),
        name="x.np",
    ),
    evaluated("x.NPZ is not an .npz file", given=file(b"text", "x.NPZ"), name="x.NPZ"),
    evaluated("labels has shape [3]", "24 integers", given=arrays(samples=IMAGES, labels=np.zeros(3, int))),
    evaluated("labels range from 0 to 23", "from 0 to 9", given=arrays(samples=IMAGES, labels=np.arange(24))),
    evaluated(
        "d/samples.npz is not an .npz file",
        given=lambda folder: ((folder / "d").mkdir(), file(b"PK", "d/samples.npz")(folder)),
        name="d",
    ),
)
