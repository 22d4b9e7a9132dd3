"""The directory of one run: its identity, its status and its final record, and the lock on it."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from textwrap import shorten
from typing import Any, Literal

from filelock import FileLock, Timeout

from genbench.errors import Busy
from genbench.records.files import read_json, remove_leftovers, write_json_atomic
from genbench.records.record_checks import check_record, checked_result
from genbench.records.result import Result

__all__ = ["Run", "git_state", "rerun_path", "version"]

PACKAGES = ("genbench", "torch", "torchvision", "torchmetrics", "numpy", "hydra-core", "wandb")
ERROR_LETTERS = 500  # of an error that run.json records, which tables show
GIT_SECONDS = 5.0  # a slow network disk must not hold up a run for the sake of its record

Ending = Literal["done", "failed", "stopped"]


class Run:
    """One run's directory and the records in it: run.json, result.json, checkpoints/, samples/.

    Nothing is created before `begin`; work on a run happens inside `exclusively`, which locks it.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.samples = self.path / "samples"

    def record(self) -> dict[str, Any] | None:
        """Read run.json: the identity, the status and the sessions of the run; None where it has not begun.

        Raises ValueError on a damaged one.
        """
        path = self.path / "run.json"
        if (found := read_json(path)) is not None:
            check_record(found, path)
        return found

    @property
    def status(self) -> str | None:
        """The status of the run: running, done, failed or stopped; None where it has not begun.

        A run whose process was killed still says "running". Raises ValueError on a damaged run.json.
        """
        record = self.record()
        return None if record is None else record.get("status")

    def finished_result(self) -> Result | None:
        """Return the result of a run that is done, else None. It changes no more, so no lock is needed.

        Raises ValueError where the result cannot be shown (see `checked_result`).
        """
        path = self.path / "result.json"
        found = read_json(path) if self.status == "done" else None
        return None if found is None else checked_result(found, path)

    @property
    def is_failed_for_good(self) -> bool:
        """True where the run failed by itself, so that a sweep does not try it again.

        False where it did not fail, or failed by the machine: a full disk, a lack of memory.
        """
        record = self.record() or {}
        return record.get("status") == "failed" and not record.get("machine_fault", False)

    def begin(self, identity: str, config: Mapping[str, Any], device: str, seed: int) -> None:
        """Write run.json with status "running"; earlier sessions of the run stay in it.

        config: the resolved configuration, as plain data; device: its name; seed: of the run.
        Raises ValueError where the directory belongs to a run of another identity.
        """
        sessions = self.past_sessions(identity)
        precision = (self.record() or {}).get("precision")
        sessions.append({"started": now(), "ended": None, "status": "running", "device": device})
        write_json_atomic(
            self.path / "run.json",
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
            },
        )

    def past_sessions(self, identity: str) -> list[dict[str, Any]]:
        """Return the sessions so far; one that was killed, and still says "running", becomes "stopped"."""
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
        """Write into run.json how the run's last session ended; `error` is recorded in one line, shortened.

        machine_fault: a full disk, a lack of memory or the like ended it, so that a sweep tries it again.
        Raises ValueError where the run never began.
        """
        record = self.record()
        if record is None:
            raise ValueError(f"{self.path} has no run.json: call begin before end")
        # Its first lines say what it is, those after them where; main.log has all of it.
        in_a_line = shorten(error, ERROR_LETTERS, placeholder=" ..") if error else None
        record |= {"status": status, "error": in_a_line or None, "machine_fault": machine_fault}
        record["sessions"][-1] |= {"ended": now(), "status": status}
        write_json_atomic(self.path / "run.json", record)

    def keep_precision(self, name: str) -> None:
        """Record in run.json the precision that networks compute in, "fp32" or "bf16"."""
        record = self.record()
        if record is None:
            raise ValueError(f"{self.path} has no run.json: call begin before keep_precision")
        write_json_atomic(self.path / "run.json", record | {"precision": name})

    def write_result(self, result: Result) -> None:
        """Write result.json, the final record that reports read."""
        write_json_atomic(self.path / "result.json", result.to_record())

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """Lock the run for this process inside a `with` block; the system releases the lock of a killed
        process.

        A run that does not begin inside leaves no files, and no directory that was not there before. Raises
        Busy where another process holds the lock.
        """
        is_new = not self.path.exists()
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
                self.discard_unless_begun(is_new=is_new)
            lock.release()

    def discard_unless_begun(self, *, is_new: bool) -> None:
        """Remove the files of a run that was refused before it began: Hydra's, the log, the lock; and its
        directory, where it is new and nothing else is in it.
        """
        if (self.path / "run.json").exists():
            return
        shutil.rmtree(self.path / ".hydra", ignore_errors=True)
        for leftover in ("main.log", ".lock"):
            (self.path / leftover).unlink(missing_ok=True)
        if is_new:
            self.path.rmdir()  # an OSError says that it is not empty


def rerun_path(path: Path) -> Path:
    """Return the directory for a fresh run beside `path`: path-2, path-3, ..; `path` itself if it is free.

    The newest rerun is returned again while it is not done, so that the same command resumes it.
    """
    newest, number = None, 1
    free = Path(path)
    while free.exists():
        newest, number = free, number + 1
        free = path.with_name(f"{path.name}-{number}")
    interrupted = newest is not None and newest != path and Run(newest).status != "done"
    return newest if interrupted and newest is not None else free


def now() -> str:
    """The time in UTC as ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def version(package: str) -> str | None:
    """Return the installed version of a package without importing it; None where it is not installed."""
    try:
        return installed(package)
    except PackageNotFoundError:
        return None


def git_state() -> dict[str, Any] | None:
    """Return the commit and the dirty flag of the checkout that this package runs from: {"commit", "dirty"}.

    None where it runs from no checkout, or git does not answer. Changes below docs/ do not make it dirty: no
    number depends on them, and the benchmark writes its pages there while its runs go on.
    """
    root = Path(__file__).resolve().parents[2]
    head = git(root, ["rev-parse", "--show-toplevel", "HEAD"])
    # A package installed below somebody else's checkout would report that project's commit.
    if head is None or Path(head.splitlines()[0]) != root:
        return None
    changes = git(root, ["status", "--porcelain", "--", ".", ":(exclude)docs"])
    return {"commit": head.splitlines()[1], "dirty": None if changes is None else bool(changes)}


def git(root: Path, arguments: Sequence[str]) -> str | None:
    """Return what a git command prints; None where it fails, takes too long, or there is no git."""
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
