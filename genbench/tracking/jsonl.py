"""The log of a run as JSON lines, metrics.jsonl: the source of truth, which other trackers mirror."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genbench.records.json_lines import append_line
from genbench.records.untrusted_files import open_to_append
from genbench.runtime.disk import naming
from genbench.tracking.tracker import Tracker

__all__ = ["JsonLines"]

RESERVED = {"images_seen", "time"}


class JsonLines(Tracker):
    """A log file of JSON lines, one an event, appended at once: {"images_seen": .., "time": .., key: value}.

    Raises ValueError where `path` is a link or no regular file, OSError where it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        os.close(open_to_append(self.path))

    def log(self, values: Mapping[str, float], *, images_seen: int) -> None:
        if taken := RESERVED & values.keys():
            raise ValueError(f"values hold {sorted(taken)}, which every line has already: use other names")
        append_line({"images_seen": images_seen, "time": time.time(), **values}, self.path)

    def image(self, name: str, path: Path, *, images_seen: int) -> None:
        # Relative to the log, so that a run's directory can be moved.
        relative = os.path.relpath(path, self.path.parent)
        event = {"images_seen": images_seen, "time": time.time(), "image": name, "path": relative}
        append_line(event, self.path)

    def summary(self, values: Mapping[str, float | str | None]) -> None:
        append_line({"time": time.time(), "summary": values}, self.path)

    def position(self) -> int:
        """Have the system write the file to the disk, and return its length in bytes.

        Raises OSError where the disk does not allow it.
        """
        with naming(self.path), self.path.open("rb") as file:
            os.fsync(file.fileno())
            return os.fstat(file.fileno()).st_size

    def truncate(self, position: int) -> None:
        """Cut the file to its first `position` bytes, since a resumed run logs again what came after.

        Raises ValueError where the file is shorter.
        """
        size = self.path.stat().st_size
        if not 0 <= position <= size:
            raise ValueError(
                f"{self.path} has {size} bytes, fewer than the {position} of the checkpoint:"
                " restore the file, or start afresh with rerun=true"
            )
        os.truncate(self.path, position)

    def state(self) -> dict[str, Any]:
        return {"position": self.position()}

    def finish(self, status: str) -> None:
        """Nothing is to be closed: no file is open between two events."""
