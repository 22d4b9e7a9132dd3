"""Arrays of .npz and .npy files that any tool made: no code in them is run, and no more memory is taken
than the header of an array states, which is compared with the machine's first.
"""

import io
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from math import prod
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from genbench.records.untrusted_files import open_regular
from genbench.runtime.memory import installed_memory

__all__ = ["SHOWN", "read_npy", "read_npz", "shortened"]

HEADER_BYTES = 1024  # of an array, before its numbers; numpy writes 128 bytes there for one of plain numbers
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
ENCRYPTED = 0x1  # among the flags of a member of a zip archive
KINDS = {
    npy.MAGIC_PREFIX: "it is a single array, as numpy.save writes it",
    b"PK": "it is incomplete or damaged",
}
"""First bytes of a file that zipfile does not open -> what it is."""
SHOWN, LETTERS = 5, 40  # arrays in a message, and characters of each name and each shape
SAVE = "save it again by numpy.savez(FILE, samples=images)"
SAVE_ONE = "save it again by numpy.save(FILE, images)"


def read_npz(
    file: Path, names: Sequence[str], *, instead: Sequence[str] = (), remedy: str = SAVE
) -> dict[str, np.ndarray]:
    """Read some arrays of an .npz file, as far as it has them, the first of which it must have.

    instead: the same arrays under the names of another tool; where a file has the first of these, all are
    read by them. remedy: the end of messages. Raises ValueError, with the file, the array and the remedy,
    where the first array is missing or stands there under both names, and where an array is damaged,
    encrypted, made of Python objects, or larger than this machine's memory.
    """
    with open_regular(file) as opened:
        try:
            archive = zipfile.ZipFile(opened)
        except Exception as error:  # on damage zipfile raises half a dozen types
            opened.seek(0)
            start = opened.read(len(npy.MAGIC_PREFIX))
            other = "it is another kind of file" if start else "it is empty"
            what = next((KINDS[key] for key in KINDS if start.startswith(key)), other)
            raise ValueError(f"{file} is not an .npz file that can be read ({what}): {remedy}") from error
        with archive:
            return {
                name: read_array(opener(archive, member, where), member.file_size, where, remedy)
                for name, member in chosen(archive, file, [names, instead], remedy).items()
                for where in [f"{file}: {name}"]
            }


def read_npy(file: Path) -> np.ndarray:
    """Read the array of an .npy file. Raises ValueError, with the file and the remedy, where it is damaged,
    made of Python objects, or larger than this machine's memory.
    """
    with open_regular(file) as opened:
        start, size = opened.read(len(npy.MAGIC_PREFIX)), os.fstat(opened.fileno()).st_size
    if start.startswith(b"PK"):
        raise ValueError(f"{file} is not an .npy file (it is an archive of arrays): name it FILE.npz")
    return read_array(lambda: open_regular(file), size, str(file), SAVE_ONE)


def chosen(
    archive: zipfile.ZipFile, file: Path, choices: Sequence[Sequence[str]], remedy: str
) -> dict[str, zipfile.ZipInfo]:
    """Choose the members of an archive by the names of arrays: those of the one choice whose first name it
    has, in their order. Raises ValueError where there is none, several, or two members of one name.
    """
    members = archive.namelist()
    # numpy.savez names them so; of other tools numpy takes the bare name too.
    found = [
        {name: entry for name in names for entry in (name, f"{name}.npy") if entry in members}
        for names in choices
        if names
    ]
    firsts = [names[0] for names in choices if names]
    complete = [entries for first, entries in zip(firsts, found, strict=True) if first in entries]
    if not complete:
        wanted = " or ".join(f"`{first}`" for first in firsts)
        raise ValueError(f"{file} has no array {wanted}; it has {listed(archive)}: {remedy}")
    if len(complete) > 1:
        both = " and ".join(f"`{first}`" for first in firsts)
        raise ValueError(f"{file} has {both}, and either could be meant: keep one of them")
    for name, entry in complete[0].items():
        if members.count(entry) > 1:
            raise ValueError(f"{file} holds two arrays `{name}`: keep one of them")
    return {name: archive.getinfo(entry) for name, entry in complete[0].items()}


def listed(archive: zipfile.ZipFile) -> str:
    """Write the names, dtypes and shapes of the arrays of an archive, the first few of many, for a message;
    of what is not an array the name alone.
    """
    members = archive.infolist()
    shown = [described(archive, member) for member in members[:SHOWN]]
    more = f" and {len(members) - SHOWN:,} more" if len(members) > SHOWN else ""
    return f"{', '.join(shown)}{more}" if members else "none"


def described(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> str:
    """Describe one array of an archive, as in images (uint8 [24, 8, 8])."""
    name = shortened(member.filename.removesuffix(".npy"))
    try:
        with archive.open(member) as content:
            shape, dtype, _ = read_header(content)
    except Exception:  # it is damaged, which matters only to who reads it
        return name
    return f"{name} ({shortened(f'{dtype} {list(shape)}')})"


def shortened(text: str) -> str:
    """Return text up to a length at which a message still fits a terminal."""
    return text if len(text) <= LETTERS else f"{text[:LETTERS]}.."


def opener(archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str) -> Callable[[], IO[bytes]]:
    """Return what opens a member of an archive. Raises ValueError, which begins with `where`, on a member
    that is encrypted or compressed by an unusual method.
    """
    if member.flag_bits & ENCRYPTED:
        raise ValueError(f"{where} is encrypted: save it without a password")
    if member.compress_type not in METHODS:
        raise ValueError(f"{where} is compressed by a method that is not supported: {SAVE}")
    return partial(archive.open, member)


def read_header(content: IO[bytes]) -> tuple[tuple[int, ...], np.dtype, int]:
    """Read the header of an array: its shape, its dtype, and the bytes that the header takes. Raises any of a
    dozen types on what is none.
    """
    head = io.BytesIO(content.read(HEADER_BYTES))
    shape, _, dtype = HEADERS[npy.read_magic(head)](head)
    return shape, dtype, head.tell()


def read_array(opened: Callable[[], IO[bytes]], size: int, where: str, remedy: str) -> np.ndarray:
    """Read an array of `size` bytes with its header, after that has been checked.

    opened: opens its bytes; where: the file and the array, with which messages begin; remedy: their end.
    Raises ValueError as `read_npz` does.
    """
    with damaged(where, remedy), opened() as content:
        shape, dtype, length = read_header(content)
        stated, rest = prod(map(int, shape)) * dtype.itemsize, size - length
    if dtype.hasobject:
        raise ValueError(f"{where} holds Python objects, whose reading could run code: save numbers")
    memory = installed_memory()
    if stated > memory:
        raise ValueError(
            f"{where} has {in_bytes(stated)}, this machine has {in_bytes(memory)}: save fewer images"
        )
    if stated != rest or min(shape, default=0) < 0:
        raise ValueError(
            f"{where} states {in_bytes(stated)} of numbers, and {in_bytes(rest)} follow: "
            f"it is damaged; {remedy}"
        )
    with damaged(where, remedy), opened() as content:
        return npy.read_array(content, allow_pickle=False)


def in_bytes(size: int) -> str:
    """Write a number of bytes; of one that no machine can have, only that it is so."""
    return f"{size:,} bytes" if abs(size) < 2**63 else "more than 2^63 bytes"


@contextmanager
def damaged(where: str, remedy: str) -> Iterator[None]:
    """Raise ValueError where something cannot be read as an array inside the block.

    numpy's own words are left out: they advise to load it unsafely.
    """
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # of zipfile, zlib, bz2, lzma and numpy, a dozen types
        raise ValueError(f"{where} is damaged, or no array that numpy wrote: {remedy}") from error
