"""Requests to stop: SIGINT (Ctrl-C), SIGTERM, SIGHUP and SIGUSR2 let the current step finish and be saved,
instead of ending the process at once.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

__all__ = [
    "StopRequest",
    "Stopped",
    "ignoring_hangup",
    "listening",
    "say_stopping",
    "stop_signals",
]

HANGUP = "SIGHUP"
NOT_OF_USERS = (HANGUP, "SIGUSR2")
"""Signals that nobody types, which are never the second one that stops at once: of a terminal that closes,
and of a scheduler that announces the end of a job's time, as submitit does (sbatch --signal=USR2@120).
"""


class Stopped(Exception):  # noqa: N818 (it is no error)
    """The user asked the run to stop, and everything is saved; the same command resumes it. Its cause, if
    any, is an error that happened before that was done.
    """


class StopRequest:
    """A request to stop, made by a signal or a file, which loops ask for between steps and batches.
    sign: a file that means so when it appears, for processes that no terminal signals.
    """

    def __init__(self, sign: Path | None = None) -> None:
        self.signalled, self.sign = False, sign

    @property
    def requested(self) -> bool:
        """True once a signal asked to stop, or the file that stands for one is there; costs a look at the
        disk where there is such a file.
        """
        return self.signalled or (self.sign is not None and self.sign.exists())

    def check(self) -> None:
        """Raise Stopped where somebody asked to stop, for work of this process alone; processes that work
        together ask `Context.check_stop` at points where they must agree.
        """
        if self.requested:
            raise Stopped


def stop_signals() -> list[signal.Signals]:
    """Signals that ask this process to stop: SIGINT, SIGTERM, and SIGHUP and SIGUSR2 unless it ignores them.

    A process ignores SIGHUP that was started by nohup; Windows has neither of the two.
    """
    others = [number for number in signal.Signals if number.name in NOT_OF_USERS]
    heard = [number for number in others if signal.getsignal(number) != signal.SIG_IGN]
    return [signal.SIGINT, signal.SIGTERM, *heard]


@contextmanager
def ignoring_hangup() -> Iterator[None]:
    """Ignore SIGHUP inside the block, which a terminal sends to all: helper processes that are started there
    inherit that, and outlive it together with this process.
    """
    before = {number: signal.getsignal(number) for number in stop_signals() if number.name == HANGUP}
    for number in before:
        signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def listening(stop: StopRequest, *, patient: bool = False) -> Iterator[None]:
    """Turn the first SIGINT or SIGTERM into a request; a second one acts at once, as it does by default.

    SIGHUP and SIGUSR2 are requests too, and never the second signal.
    patient: in one of several processes, whom a terminal and their parent both signal: all later ones are
    the same request.
    """
    before = {number: signal.getsignal(number) for number in stop_signals()}

    def request(number: int, frame: FrameType | None) -> None:
        stop.signalled = True
        if patient:  # all later signals ask for the same
            return
        if say_stopping(number):
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    for number in before:
        signal.signal(number, request)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def say_stopping(number: int) -> bool:
    """Print that the signal was heard; returns whether the next SIGINT or SIGTERM is to act at once.

    It is not after SIGHUP: where a terminal closes or a connection breaks, the kernel, the shell and the
    login manager each send theirs, SIGTERM among them. Nor is it after SIGUSR2, behind which a scheduler
    sends SIGTERM.
    """
    insists = signal.Signals(number).name not in NOT_OF_USERS
    again = "Ctrl-C again to stop now" if number == signal.SIGINT else "a second signal stops now"
    more = f"; {again}" if insists else ""
    with suppress(RuntimeError):  # the signal came while this thread was printing
        print(f"\nStopping after the current step{more}.", file=sys.stderr, flush=True)
    return insists
