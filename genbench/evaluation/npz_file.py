"""Arrays of an .npz file that any tool made: no code in it is run, and no more memory is taken than the
header of an array states, which is compared with the machine's first.
"""

import io
import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from genbench.records.untrusted_files import open_regular

__all__ = ["read_npz"]

HEADER_BYTES = 1024  # of an array, before its numbers; numpy writes 128 bytes there for one of plain numbers
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
ENCRYPTED = 0x1  # among the flags of a member of a zip archive
KINDS = {
    npy.MAGIC_PREFIX: "it is a single array, as numpy.save writes it",
    b"PK": "it is cut short or damaged",
}
"""First bytes of a file that zipfile does not open -> what it is."""
SHOWN, LETTERS = 5, 40  # names of arrays in a message, and of each
SAVE = "save it again by numpy.savez(FILE, samples=images)"


def read_npz(file: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Read some arrays of an .npz file, as far as it has them, the first of which it must have.

    Raises ValueError, with the file, the array and the remedy, where that one is missing, and where an array
    is damaged, encrypted, made of Python objects, or larger than this machine's memory.
    """
    with open_regular(file) as opened:
        try:
            archive = zipfile.ZipFile(opened)
        except Exception as error:  # on damage zipfile raises half a dozen types
            opened.seek(0)
            start = opened.read(len(npy.MAGIC_PREFIX))
            other = "it is another kind of file" if start else "it is empty"
            what = next((KINDS[key] for key in KINDS if start.startswith(key)), other)
            raise ValueError(f"{file} is no .npz file that can be read ({what}): {SAVE}") from error
        with archive:
            members = archive.namelist()
            # numpy.savez names them so; of other tools numpy takes the bare name too.
            found = {name: entry for name in names for entry in (name, f"{name}.npy") if entry in members}
            if names[0] not in found:
                raise ValueError(f"{file} has no array `{names[0]}`; it has {listed(members)}: {SAVE}")
            for name, entry in found.items():
                if members.count(entry) > 1:
                    raise ValueError(f"{file} holds two arrays `{name}`: keep one of them")
            return {
                name: read_array(archive, archive.getinfo(entry), f"{file}: {name}")
                for name, entry in found.items()
            }


def listed(members: Sequence[str]) -> str:
    """Write the names of the arrays of an archive, the first few of many, for a message."""
    arrays = [name.removesuffix(".npy") for name in members]
    shown = [name if len(name) <= LETTERS else f"{name[:LETTERS]}.." for name in arrays[:SHOWN]]
    more = f" and {len(arrays) - SHOWN:,} more" if len(arrays) > SHOWN else ""
    return f"{', '.join(shown)}{more}" if arrays else "none"


def read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str) -> np.ndarray:
    """Read one member of an archive as an array, after its header has been checked.

    where: the file and the array, with which messages begin. Raises ValueError as `read_npz` does.
    """
    if member.flag_bits & ENCRYPTED:
        raise ValueError(f"{where} is encrypted: save it without a password")
    if member.compress_type not in METHODS:
        raise ValueError(f"{where} is compressed by a method that is not read: {SAVE}")
    with damaged(where), archive.open(member) as content:
        head = io.BytesIO(content.read(HEADER_BYTES))
        shape, _, dtype = HEADERS[npy.read_magic(head)](head)
        stated, rest = prod(map(int, shape)) * dtype.itemsize, member.file_size - head.tell()
    if dtype.hasobject:
        raise ValueError(f"{where} holds Python objects, whose reading could run code: save numbers")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if stated > memory:
        raise ValueError(
            f"{where} has {in_bytes(stated)}, {in_bytes(memory)} are in this machine: bring fewer"
        )
    if stated != rest or min(shape, default=0) < 0:
        raise ValueError(
            f"{where} states {in_bytes(stated)} of numbers, and {in_bytes(rest)} follow: "
            f"it is damaged; {SAVE}"
        )
    with damaged(where), archive.open(member) as content:
        return npy.read_array(content, allow_pickle=False)


def in_bytes(size: int) -> str:
    """Write a number of bytes; of one that no machine can have, only that it is so."""
    return f"{size:,} bytes" if abs(size) < 2**63 else "more than 2^63 bytes"


@contextmanager
def damaged(where: str) -> Iterator[None]:
    """Raise ValueError where a member of an archive cannot be read as an array inside the block.

    numpy's own words are left out: they advise to load it unsafely.
    """
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # of zipfile, zlib, bz2, lzma and numpy, a dozen types
        raise ValueError(f"{where} is damaged, or no array that numpy wrote: {SAVE}") from error
