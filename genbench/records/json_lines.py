"""Files of JSON lines, one object a line: whole lines are appended, damaged ones are skipped in reading."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from genbench.records.files import plain
from genbench.records.untrusted_files import open_to_append, parse_json
from genbench.runtime.disk import naming

__all__ = ["Lines", "append_line", "parse_lines"]


class Lines(NamedTuple):
    """The content of a file of JSON lines: its objects, and which lines hold none."""

    objects: dict[int, dict[str, Any]]
    """Line number, from 1 -> the object of that line."""
    damaged: list[int]
    """The numbers of the lines that hold no object: incomplete, of another program, zero bytes."""


def append_line(record: Mapping[str, Any], path: Path) -> None:
    """Append one object to a file of JSON lines by a single write, which other processes cannot split.

    Earlier lines are never changed; after one that a kill or a full disk has left incomplete, a new line
    begins. Numbers that are not finite become words ("nan", "inf"), as JSON has none for them.
    Raises OSError, which names the file, where not all of the line could be written; ValueError on a link.
    """
    line = f"{json.dumps(plain(record), allow_nan=False)}\n".encode()
    with naming(path):
        file = open_to_append(path)
        try:
            size = os.fstat(file).st_size
            is_incomplete = size > 0 and os.pread(file, 1, size - 1) != b"\n"
            rest = b"\n" + line if is_incomplete else line
            while rest:  # on a full disk a part is written, and the next write raises the cause
                rest = rest[os.write(file, rest) :]
        finally:
            os.close(file)


def parse_lines(content: bytes) -> Lines:
    """Return the objects of a file of JSON lines, and which lines hold none; empty lines count as neither.

    content: the bytes of the whole file. Damaged lines are reported, never raised.
    """
    objects, damaged = {}, []
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            found = parse_json(line)
        except ValueError:
            found = None
        if isinstance(found, dict):
            objects[number] = found
        else:
            damaged.append(number)
    return Lines(objects, damaged)
