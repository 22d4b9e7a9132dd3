"""The directory of one run: who it is, what became of it, and its final record (imports no torch)."""

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any, BinaryIO, Literal

from filelock import FileLock, Timeout

from genbench.errors import Busy
from genbench.records.files import clear, remove_leftovers, temporary_path
from genbench.records.record_checks import check_record, checked_result
from genbench.records.result import Result
from genbench.records.untrusted import RECORD_BYTES, parse_json, read_regular
from genbench.runtime.disk import naming

__all__ = [
    "Run",
    "atomic_file",
    "git_state",
    "plain",
    "read_json",
    "rerun_path",
    "version",
    "write_json_atomic",
]

PACKAGES = ("genbench", "torch", "torchvision", "torchmetrics", "numpy", "hydra-core", "wandb")
GIT_SECONDS = 5.0  # a slow network disk must not hold up a run for the sake of its record

Ending = Literal["done", "failed", "stopped"]


class Run:
    """One run's directory; nothing is created before `begin`."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.samples = self.path / "samples"

    def record(self) -> dict[str, Any] | None:
        """The content of run.json, None where the run has not begun. Raises ValueError on a damaged one."""
        path = self.path / "run.json"
        if (found := read_json(path)) is not None:
            check_record(found, path)
        return found

    @property
    def status(self) -> str | None:
        """running, done, failed or stopped; None where the run has not begun.

        A run whose process was killed still says "running".
        """
        record = self.record()
        return None if record is None else record.get("status")

    def finished_result(self) -> Result | None:
        """Return the result of a run that is done, else None; it changes no more, so no lock is needed.

        Raises ValueError where it is not one that can be shown.
        """
        path = self.path / "result.json"
        found = read_json(path) if self.status == "done" else None
        return None if found is None else checked_result(found, path)

    @property
    def is_failed_for_good(self) -> bool:
        """Return True where the run itself failed, False where it did not, or the machine failed it."""
        record = self.record() or {}
        return record.get("status") == "failed" and not record.get("machine_fault", False)

    def begin(self, identity: str, config: Mapping[str, Any], device: str, seed: int) -> None:
        """Write run.json with status "running"; a run that began before keeps its history.

        Raises ValueError where the directory belongs to a run of another identity.
        """
        sessions = self.past_sessions(identity)
        precision = (self.record() or {}).get("precision")
        sessions.append({"started": now(), "ended": None, "status": "running", "device": device})
        self.write_record(
            {
                "identity": identity,
                "status": "running",
                "error": None,
                "started": sessions[0]["started"],
                "device": device,
                "precision": precision,
                "seed": seed,
                "command": sys.argv,
                "git": git_state(),
                "versions": {"python": sys.version.split()[0], **{name: version(name) for name in PACKAGES}},
                "sessions": sessions,
                "config": config,
            }
        )

    def past_sessions(self, identity: str) -> list[dict[str, Any]]:
        """The sessions so far; one that was killed before it could say so counts as stopped."""
        record = self.record()
        if record is None:
            return []
        if record.get("identity") != identity:
            raise ValueError(
                f"{self.path} belongs to a run of identity {str(record.get('identity'))[:8]}, this one is "
                f"{identity[:8]}: give this run another directory"
            )
        return [s | {"status": "stopped"} if s["status"] == "running" else s for s in record["sessions"]]

    def end(self, status: Ending, error: str | None = None, *, machine_fault: bool = False) -> None:
        """Close the run's last session; of `error` the last line is kept.

        machine_fault: a full disk, a lack of memory or the like ended it, so that a sweep tries it again.
        """
        record = self.record()
        if record is None:
            raise ValueError(f"{self.path} has no run.json: call begin before end")
        last_line = error.strip().splitlines()[-1] if error and error.strip() else None
        record |= {"status": status, "error": last_line, "machine_fault": machine_fault}
        record["sessions"][-1] |= {"ended": now(), "status": status}
        self.write_record(record)

    def keep_precision(self, name: str) -> None:
        """Record in run.json the precision that networks compute in, "fp32" or "bf16"."""
        record = self.record()
        if record is None:
            raise ValueError(f"{self.path} has no run.json: call begin before keep_precision")
        self.write_record(record | {"precision": name})

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Write run.json."""
        write_json_atomic(self.path / "run.json", record)

    def write_result(self, result: Result) -> None:
        """Write result.json, the final record that reports read."""
        write_json_atomic(self.path / "result.json", result.to_record())

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """Keep other processes off; the lock dies with its owner. What was not begun inside leaves nothing.

        Raises Busy where another process holds it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise Busy(f"another process is working on {self.path}: wait for it, or stop it") from None
        try:
            remove_leftovers([self.path, self.checkpoints, self.samples])
            yield
        finally:
            with suppress(OSError):
                self.discard_unless_begun()
            lock.release()

    def discard_unless_begun(self) -> None:
        """Remove what was written for a run that was refused before it began."""
        if (self.path / "run.json").exists():
            return
        shutil.rmtree(self.path / ".hydra", ignore_errors=True)
        for leftover in ("main.log", ".lock"):
            (self.path / leftover).unlink(missing_ok=True)
        if self.path.exists() and not any(self.path.iterdir()):
            self.path.rmdir()


def rerun_path(path: Path) -> Path:
    """Where a fresh run beside path goes: path-2, path-3, ..; an interrupted rerun goes on in its own place.

    path itself where there is no run yet.
    """
    newest, number = None, 1
    free = Path(path)
    while free.exists():
        newest, number = free, number + 1
        free = path.with_name(f"{path.name}-{number}")
    interrupted = newest is not None and newest != path and Run(newest).status != "done"
    return newest if interrupted and newest is not None else free


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def version(package: str) -> str | None:
    """The installed version of a package, without importing it; None where it is not installed."""
    try:
        return installed(package)
    except PackageNotFoundError:
        return None


def git_state() -> dict[str, Any] | None:
    """Commit and dirty flag of the checkout that this package runs from, None where it is not one."""
    root = Path(__file__).resolve().parents[2]
    head = git(root, ["rev-parse", "--show-toplevel", "HEAD"])
    # A package installed below somebody else's checkout would report that project's commit.
    if head is None or Path(head.splitlines()[0]) != root:
        return None
    changes = git(root, ["status", "--porcelain"])
    return {"commit": head.splitlines()[1], "dirty": None if changes is None else bool(changes)}


def git(root: Path, arguments: Sequence[str]) -> str | None:
    """What a git command prints, None where it fails, hangs, or there is no git."""
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to that takes the name `path` only when all of it is on the disk.

    Raises OSError, which names `path` and the cause, where the disk or a limit does not allow it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    try:
        with naming(path, temporary):
            clear(temporary)  # a killed process's, or a link that waits
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        with suppress(OSError):  # not there, or as little to be changed as the rest
            temporary.unlink()


def write_json_atomic(path: Path, obj: Mapping[str, Any]) -> None:
    """Write valid JSON (see `plain`), whole or not at all."""
    text = json.dumps(plain(obj), indent=2, allow_nan=False)
    with atomic_file(path) as file:
        file.write(f"{text}\n".encode())


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file, None where there is no file; ValueError where it holds no object."""
    if not os.path.lexists(path):
        return None
    content = read_regular(path, at_most=RECORD_BYTES, inside=path.parent)
    try:
        obj = parse_json(content)
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}): restore it, or move its directory away") from error
    if not isinstance(obj, dict):
        raise ValueError(f"{path} holds a {type(obj).__name__}, not an object: move its directory away")
    return obj


def plain(obj: Any) -> Any:  # noqa: ANN401
    """The same nest of dicts and lists with "nan", "inf", "-inf" for the floats that JSON has no word for."""
    if isinstance(obj, Mapping):
        return {str(key): plain(value) for key, value in obj.items()}
    if isinstance(obj, list | tuple):
        return [plain(value) for value in obj]
    if isinstance(obj, float) and not math.isfinite(obj):
        return str(float(obj))
    return obj
