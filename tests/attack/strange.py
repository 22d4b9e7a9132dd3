"""Files that are not what their names say, to stand in the place of others."""

import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

SHADE = 77
"""Of the picture that lies elsewhere on the disk."""


def bind(path: Path) -> None:
    """Make a socket, by its name alone: whole paths are too long for one."""
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


def claiming(side: int) -> bytes:
    """The beginning of a PNG that says it has side x side pixels."""
    head = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    parts = [struct.pack(">I", 13), head, struct.pack(">I", zlib.crc32(head)), struct.pack(">I", 9), b"IDAT"]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def sparse(path: Path, size: int) -> None:
    """Make a file of zeros that takes no room on the disk."""
    path.write_bytes(b"")
    os.truncate(path, size)


def elsewhere(path: Path) -> Path:
    """A file outside of all runs that is a good one of its kind."""
    root = next(parent for parent in path.parents if parent.name == "runs").parent
    return root / {".json": "secret.json", ".png": "secret.png", ".yaml": "secret.yaml"}.get(
        path.suffix, "outside"
    )


KINDS: dict[str, Callable[[Path], object]] = {
    "fifo": lambda path: os.mkfifo(path),
    "socket": bind,
    "folder": lambda path: path.mkdir(),
    "zeros": lambda path: path.symlink_to("/dev/zero"),
    "terminal": lambda path: path.symlink_to("/dev/tty"),
    "kernel-log": lambda path: path.symlink_to("/proc/kmsg"),
    "circle": lambda path: path.symlink_to(path.name),
    "nowhere": lambda path: path.symlink_to("is-not-there"),
    "huge": lambda path: sparse(path, 2**31),
    "deep": lambda path: path.write_text('{"genbench":' * 100_000),
    "empty": lambda path: path.write_bytes(b""),
    "noise": lambda path: path.write_bytes(np.random.default_rng(0).bytes(999)),
    "linked": lambda path: path.symlink_to(elsewhere(path)),
    "climbing": lambda path: path.symlink_to(os.path.relpath(elsewhere(path), path.parent)),
}
