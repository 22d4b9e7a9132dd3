"""Processes of the benchmark's runs: one thread on one core each, stopped with the one that began them."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from benchmarks.commands import ROOT

__all__ = ["Ended", "allowed", "is_stopping", "process", "stopping"]

RUNNING = set[subprocess.Popen[bytes]]()
"""Processes of the runs that are at work."""
ASKED = threading.Event()
"""Set once this process was asked to stop."""
SMOOTH = {
    "MALLOC_TRIM_THRESHOLD_": "2000000000",
    "MALLOC_MMAP_THRESHOLD_": "2000000000",
    "MALLOC_TOP_PAD_": "200000000",
}
"""Variables by which glibc keeps memory that is freed, which is requested again a moment later."""


@contextmanager
def stopping() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM ask the runs of the block to stop, which save their state; a second signal stops
    them at once. The block goes on, and ends by itself: see `is_stopping`.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        ASKED.set()
        for started in list(RUNNING):
            stop_run(started)

    ASKED.clear()
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def is_stopping() -> bool:
    """Return True where this process was asked to stop inside `stopping`, so that nothing else may begin."""
    return ASKED.is_set()


def allowed() -> list[int]:
    """Return the cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else [*range(os.cpu_count() or 1)]


class Ended(NamedTuple):
    """How a process ended. core_share: processor time by wall-clock time, 1 where nothing disturbed it."""

    code: int
    core_share: float


def process(words: Sequence[str], core: int, log: Path) -> Ended:
    """Run `python WORDS` on one core with one thread, its output at the end of a file, to its end."""
    log.parent.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with log.open("ab") as file:
        started = subprocess.Popen(
            [sys.executable, *words],
            cwd=ROOT,
            env=environment(),
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C would reach it twice, and the second one ends it at once
        )
        RUNNING.add(started)
        try:
            if ASKED.is_set():  # while it was started
                stop_run(started)
            pin(started, core)
            _, status, usage = os.wait4(started.pid, 0)
            started.returncode = os.waitstatus_to_exitcode(status)  # so that no signal goes to its id later
            taken = usage.ru_utime + usage.ru_stime
            return Ended(started.returncode, taken / (time.monotonic() - begun))
        finally:
            RUNNING.discard(started)


def stop_run(started: subprocess.Popen[bytes]) -> None:
    """Ask the process of a run to stop. Not by Popen.send_signal, which may reap it in the place of wait4."""
    with suppress(ProcessLookupError):  # it has ended already
        os.kill(started.pid, signal.SIGTERM)


def pin(started: subprocess.Popen[bytes], core: int) -> None:
    """Keep a process on one core, on Linux; other systems choose one themselves."""
    if sys.platform == "linux":
        with suppress(ProcessLookupError):
            os.sched_setaffinity(started.pid, {core})


def environment() -> Mapping[str, str]:
    """Return the environment of a run: one thread, and memory that is kept."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1")
    return os.environ | {**threads, "OMP_WAIT_POLICY": "PASSIVE", **SMOOTH}
