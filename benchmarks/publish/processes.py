"""Processes of the benchmark's runs: one thread on one core each, stopped with the one that began them."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from benchmarks.commands import ROOT

__all__ = ["allowed", "is_stopping", "process", "stopping"]

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
            started.send_signal(signal.SIGTERM)

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
    return sorted(os.sched_getaffinity(0))


def process(words: Sequence[str], core: int, log: Path) -> int:
    """Run `python WORDS` on one core with one thread, its output at the end of a file; returns its code."""
    log.parent.mkdir(parents=True, exist_ok=True)
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
                started.send_signal(signal.SIGTERM)
            with suppress(ProcessLookupError):  # it has ended already
                os.sched_setaffinity(started.pid, {core})
            return started.wait()
        finally:
            RUNNING.discard(started)


def environment() -> Mapping[str, str]:
    """Return the environment of a run: one thread, and memory that is kept."""
    return os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", **SMOOTH}
