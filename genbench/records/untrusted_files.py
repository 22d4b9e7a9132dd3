"""Opening files that other people may have made: regular ones only, up to a size, without waiting.

A run directory or an image folder can hold a FIFO, a device or a link in the place of any file. Reading one
of those may never end, may never begin, or may show a file from elsewhere on the disk. Everything that reads
or appends to such files opens them here.
"""

import json
import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import Any

__all__ = [
    "KINDS",
    "LOG_BYTES",
    "RECORD_BYTES",
    "YAML_BYTES",
    "check_appendable",
    "open_regular",
    "open_to_append",
    "parse_json",
    "read_regular",
]

RECORD_BYTES = 16 * 2**20  # of run.json and result.json; those of today have a few kB
YAML_BYTES = 2**20  # of Hydra's files, which take a hundred times as long to parse
LOG_BYTES = 256 * 2**20  # of metrics.jsonl and evaluations.jsonl; a line has about 200 bytes
DEPTH = 64  # of objects and lists inside each other; a configuration has 6
NESTED = (dict, list)
KINDS = {
    stat.S_IFDIR: "folder",
    stat.S_IFIFO: "named pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}
"""Kinds of files that are not regular, as `stat` numbers them -> their names (plural: with an s)."""


def open_regular(path: Path, *, at_most: int | None = None, inside: Path | None = None) -> BufferedReader:
    """Open a regular file for reading, without waiting for a writer as a pipe would.

    at_most: bytes that it may have. inside: the folder that it must lie in, however many links lead to it;
    without one, links to regular files anywhere are followed.
    Raises ValueError on anything else, saying what it is; OSError where it cannot be opened.
    """
    if inside is not None:
        target = os.path.realpath(path)
        if not Path(target).is_relative_to(os.path.realpath(inside)):
            raise ValueError(
                f"{path} is a link to a place outside of {inside}, which is not followed: put a copy there"
            )
        path, follow = Path(target), os.O_NOFOLLOW  # a link that takes its place meanwhile is refused
    else:
        follow = 0
    check_regular(path, os.stat(path, follow_symlinks=not follow))  # opening a device may already act on it
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | follow), "rb")
    try:
        found = os.fstat(file.fileno())
        check_regular(path, found)
        if at_most is not None and found.st_size > at_most:
            raise ValueError(f"{path} has {found.st_size:,} bytes, more than the {at_most:,} that are read")
    except BaseException:
        file.close()
        raise
    return file


def read_regular(path: Path, *, at_most: int, inside: Path | None = None) -> bytes:
    """Read a regular file of no more than `at_most` bytes. Raises as `open_regular` does.

    Also where the size that the file states is wrong, as it is below /proc.
    """
    with open_regular(path, at_most=at_most, inside=inside) as file:
        content = file.read(at_most + 1)  # a file may say 0 bytes, as those of /proc do, and go on for ever
    if len(content) > at_most:
        raise ValueError(f"{path} has more than {at_most:,} bytes, the most that are read")
    return content


def open_to_append(path: Path) -> int:
    """Open a regular file for reading and appending, made where there is none: a descriptor for os.write.

    Raises ValueError on what `check_appendable` refuses, OSError where it cannot be opened.
    """
    check_appendable(path)
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    file = os.open(path, flags, 0o644)
    try:
        check_regular(path, os.fstat(file))
    except ValueError:
        os.close(file)
        raise
    return file


def check_appendable(path: Path) -> None:
    """Raise ValueError where anything but a regular file, or nothing, is at a path.

    Links are refused, since a run that somebody sends could name any file of the user by one.
    """
    if path.is_symlink():
        raise ValueError(f"{path} is a link, to which nothing is appended: put a regular file there")
    if path.exists():
        check_regular(path, os.stat(path))


def check_regular(path: Path, found: os.stat_result) -> None:
    """Raise ValueError unless `found`, the status of the file at `path`, is that of a regular file."""
    if not stat.S_ISREG(found.st_mode):
        kind = KINDS.get(stat.S_IFMT(found.st_mode), "link")
        raise ValueError(f"{path} is a {kind}, not a regular file: remove it")


def parse_json(content: bytes) -> Any:  # noqa: ANN401
    """Parse JSON into Python's objects.

    Raises ValueError where it is not JSON, and where it is nested deeper than any record of a run.
    """
    try:
        found = json.loads(content)
    except RecursionError as error:
        raise ValueError(f"it is nested more than {DEPTH} deep") from error
    except UnicodeDecodeError as error:
        raise ValueError("it is not text") from error
    except ValueError as error:
        if "integer string conversion" in str(error):  # Python's own advice would raise its limit
            raise ValueError("it holds a number of thousands of digits") from error
        raise
    level, depth = [found], 0
    while level and depth < DEPTH:
        level, depth = inner(level), depth + 1
    if level:
        raise ValueError(f"it is nested more than {DEPTH} deep")
    return found


def inner(nodes: list[Any]) -> list[Any]:
    """Return the objects and lists directly inside some objects and lists, as json.loads makes them."""
    groups = (node.values() if type(node) is dict else node for node in nodes if type(node) in NESTED)
    return [part for group in groups for part in group if type(part) in NESTED]
