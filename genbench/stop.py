"""Ctrl-C and SIGTERM as a polite request: the work in hand is finished and saved first."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

__all__ = ["STOPPING", "StopRequest", "Stopped", "listening"]

STOPPING = "\nStopping after the work in hand; a second signal stops at once."


class Stopped(Exception):  # noqa: N818 (it is no error)
    """The user asked the run to stop; everything is saved."""


class StopRequest:
    """Whether somebody asked to stop.

    sign: a file that means so when it appears, for processes that no terminal signals.
    """

    def __init__(self, sign: Path | None = None) -> None:
        self.signalled, self.sign = False, sign

    @property
    def requested(self) -> bool:
        """Whether it is so by now."""
        return self.signalled or (self.sign is not None and self.sign.exists())

    def check(self) -> None:
        """Raise Stopped if so."""
        if self.requested:
            raise Stopped


@contextmanager
def listening(stop: StopRequest, *, patient: bool = False) -> Iterator[None]:
    """Turn the first SIGINT or SIGTERM into a request; a second one acts at once, as it does by default.

    patient: in one of several processes, whom a terminal and their parent both signal: all later ones are
    the same request.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def request(number: int, frame: FrameType | None) -> None:
        stop.signalled = True
        if patient:
            return
        print(STOPPING, file=sys.stderr, flush=True)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    for number in before:
        signal.signal(number, request)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
