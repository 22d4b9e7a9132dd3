"""Ctrl-C and SIGTERM as a polite request: the work in hand is finished and saved first."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["StopRequest", "Stopped", "listening"]


class Stopped(Exception):  # noqa: N818 (it is no error)
    """The user asked the run to stop; everything is saved."""


class StopRequest:
    """Whether somebody asked to stop."""

    def __init__(self) -> None:
        self.requested = False

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
        stop.requested = True
        if patient:
            return
        print(
            "\nStopping after the work in hand; a second signal stops at once.", file=sys.stderr, flush=True
        )
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    for number in before:
        signal.signal(number, request)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
