"""Reading and writing files safely: atomic writes, JSON, checksums, leftovers of killed processes."""

import hashlib
import json
import math
import os
import re
import shutil
import stat
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from genbench.records.untrusted_files import RECORD_BYTES, parse_json, read_regular
from genbench.runtime.disk import naming

__all__ = [
    "FileState",
    "atomic_file",
    "checksum",
    "clear",
    "crc32",
    "plain",
    "read_json",
    "read_sealed",
    "remove_leftovers",
    "sealed",
    "state_of",
    "temporary_path",
    "write_json_atomic",
]

CHUNK_BYTES = 1 << 20  # fits in the processor's cache: 3.2 GB/s, where chunks of 64 MiB reach 1.3
SHOWN_BYTES = 40  # of a file that holds something else, in a message
TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<pid>\d+)\.tmp")  # as temporary_path names them


class FileState(NamedTuple):
    """The state of a file, which differs after another process has written to it or has replaced it."""

    inode: int
    size: int
    modified_ns: int


def state_of(file: Path | int) -> FileState | None:
    """Return the state of a regular file, given by its path (links are followed) or by its descriptor.

    None where there is no such file, or where it is not a regular one.
    """
    try:
        found = os.stat(file)
    except OSError:
        return None
    is_regular = stat.S_ISREG(found.st_mode)
    return FileState(found.st_ino, found.st_size, found.st_mtime_ns) if is_regular else None


@lru_cache(maxsize=4096)
def crc32(path: Path, state: FileState) -> int:
    """CRC-32 of a file's bytes, computed once a process for each `state` that the file is found in.

    3 GB/s on one core, where SHA-256 reaches 1: 60,000 images of 28 x 28 take 0.02 s, 12 GB take 4 s, and
    more on
    a disk that is slower. Damage within 32 consecutive bits always changes it; other damage stays unnoticed
    once in 2^32.
    """
    found = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            found = zlib.crc32(chunk, found)
    return found


def checksum(content: Mapping[str, Any]) -> str:
    """sha256 of a JSON object in its one canonical spelling (sorted keys), 64 hex digits.

    Equal objects have equal checksums, whatever the order of their keys.
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def sealed(name: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """Put a JSON object under a checksum: {"sha256": .., name: content}, which `read_sealed` verifies.

    name: the key that tells readers which kind of file it is, such as "header".
    """
    return {"sha256": checksum(content), name: content}


def read_sealed(path: Path, name: str) -> dict[str, Any]:
    """Read a file that holds what `sealed` returned under the same name, and return its content.

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
    """Remove a file, a folder with everything in it, or a link (not its target); nothing where there is none.

    Raises OSError where that is not allowed.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def temporary_path(path: Path) -> Path:
    """Return the name, beside `path`, under which this process writes that file until it is complete."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def remove_leftovers(folders: Iterable[Path], name: str = "") -> None:
    """Delete temporary files of killed processes in these folders.

    name: of the file that they were to become; "" takes those of all files. Call it under the lock that every
    writer of such files takes; files of a living process of this machine are left alone even so.
    """
    for path in (path for folder in folders for path in folder.glob(".*.tmp")):
        found = TEMPORARY.fullmatch(path.name)
        if found and name in ("", found["name"]) and not is_running(int(found["pid"])):
            with suppress(OSError):  # another user's
                clear(path)


def is_running(pid: int) -> bool:
    """True where a process with the number `pid` runs on this machine, and is not this one."""
    try:
        os.kill(pid, 0)
    except PermissionError:  # another user's
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return pid != os.getpid()


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that takes the name `path` only when all of it is on the disk.

    Readers see the old content or the new one, never a part. Raises OSError, which names `path` and the
    cause, where the disk or a limit does not allow it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    try:
        with naming(path, temporary):
            clear(temporary)  # of a killed process, or a link that somebody put there
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        with suppress(OSError):  # it has its name already, or the disk allows no change
            temporary.unlink()


def write_json_atomic(path: Path, obj: Mapping[str, Any]) -> None:
    """Write an object as JSON (see `plain`), completely or not at all. Raises as `atomic_file`."""
    text = json.dumps(plain(obj), indent=2, allow_nan=False)
    with atomic_file(path) as file:
        file.write(f"{text}\n".encode())


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the object in a JSON file; None where there is no file. A link out of its folder is refused.

    Raises ValueError where it is not JSON, holds no object, or is no regular file; OSError where it cannot be
    opened.
    """
    if not os.path.lexists(path):
        return None
    content = read_regular(path, at_most=RECORD_BYTES, inside=path.parent)
    try:
        obj = parse_json(content)
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}): restore it, or move its directory away") from error
    if not isinstance(obj, dict):
        shown = content[:SHOWN_BYTES].decode(errors="replace")
        raise ValueError(f"{path} holds {shown!r}, not an object: restore it, or move its directory away")
    return obj


def plain(obj: Any) -> Any:  # noqa: ANN401
    """Return nested dicts and lists as JSON can hold them: keys as text, tuples as lists, and the floats that
    JSON has no number for as the words "nan", "inf" and "-inf".
    """
    if isinstance(obj, Mapping):
        return {str(key): plain(value) for key, value in obj.items()}
    if isinstance(obj, list | tuple):
        return [plain(value) for value in obj]
    if isinstance(obj, float) and not math.isfinite(obj):
        return str(float(obj))
    return obj
