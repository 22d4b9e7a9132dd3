"""Files as they are found: their state, JSON under a checksum, leftovers of killed processes (no torch)."""

import hashlib
import json
import os
import re
import shutil
import stat
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from genbench.records.untrusted import RECORD_BYTES, parse_json, read_regular

__all__ = [
    "FileState",
    "checksum",
    "clear",
    "crc32",
    "read_sealed",
    "remove_leftovers",
    "sealed",
    "state_of",
    "temporary_path",
]

CHUNK_BYTES = 1 << 20  # stays in the processor's cache: 3.2 GB/s where chunks of 64 MiB have 1.3
TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<pid>\d+)\.tmp")  # as temporary_path names them


class FileState(NamedTuple):
    """State of a file that changes when somebody writes to it or puts another in its place."""

    inode: int
    size: int
    modified_ns: int


def state_of(file: Path | int) -> FileState | None:
    """Return the state of a regular file, links followed, or of an open one; None where there is none."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    is_regular = stat.S_ISREG(found.st_mode)
    return FileState(found.st_ino, found.st_size, found.st_mtime_ns) if is_regular else None


@lru_cache(maxsize=4096)
def crc32(path: Path, state: FileState) -> int:
    """CRC-32 of a file's bytes, computed once a process for each `state` that the file is found in.

    3 GB/s on one core where SHA-256 has 1: 60,000 images of 28 x 28 take 0.02 s, 12 GB take 4 s, and more on
    a disk that is slower. Damage within 32 consecutive bits always changes it; other damage stays unnoticed
    once in 2^32.
    """
    found = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            found = zlib.crc32(chunk, found)
    return found


def checksum(content: Mapping[str, Any]) -> str:
    """sha256 of a JSON object in its one canonical spelling, 64 hex digits."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def sealed(name: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object {"sha256": .., name: content} that `read_sealed` can verify."""
    return {"sha256": checksum(content), name: content}


def read_sealed(path: Path, name: str) -> dict[str, Any]:
    """The content of a file that holds what `sealed` returned under the same name.

    Raises OSError where the file cannot be read, ValueError where it holds anything else.
    """
    read = read_regular(path, at_most=RECORD_BYTES)
    try:
        found = parse_json(read)
        content = found[name]
        is_sound = isinstance(content, dict) and found["sha256"] == checksum(content)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path.name} holds something else ({type(error).__name__}: {error})") from error
    if not is_sound:
        raise ValueError(f"the checksum of {path.name} is wrong")
    return content


def clear(path: Path) -> None:
    """Remove whatever has this name, a file, a folder with all in it, or a link, if there is anything."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def temporary_path(path: Path) -> Path:
    """The name under which this process writes a file until it is whole, beside its own."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def remove_leftovers(folders: Iterable[Path], name: str = "") -> None:
    """Delete what bears the name of a killed process's temporary file in folders, of one file or of all ("").

    Call it under the lock that all who write such files hold; a process of this machine that is alive keeps
    its own even so.
    """
    for path in (path for folder in folders for path in folder.glob(".*.tmp")):
        found = TEMPORARY.fullmatch(path.name)
        if found and name in ("", found["name"]) and not is_at_work(int(found["pid"])):
            with suppress(OSError):  # another user's
                clear(path)


def is_at_work(pid: int) -> bool:
    """True where another process than this one has the number `pid` on this machine."""
    try:
        os.kill(pid, 0)
    except PermissionError:  # somebody else's
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return pid != os.getpid()
