"""Calls to a service that may stop answering, made in a background thread."""

import queue
import threading
from collections.abc import Callable

__all__ = ["Background"]

LIMIT = 10_000
"""Calls that may wait, a few kilobytes each; a service that is further behind has stopped answering."""


class Background:
    """Makes calls one after another in a daemon thread, so that the caller never waits for them.

    on_failure: gets the error of the first call that raises, or TimeoutError where too many calls wait; all
    later calls are dropped. at_end: called last, in the same thread, in either case; its errors are ignored.
    """

    def __init__(self, on_failure: Callable[[BaseException], None], at_end: Callable[[], object]) -> None:
        self.waiting = queue.SimpleQueue[Callable[[], object] | None]()
        self.on_failure, self.at_end, self.failed = on_failure, at_end, False
        self.thread = threading.Thread(target=self.work, name="genbench-background", daemon=True)
        self.thread.start()

    def call(self, work: Callable[[], object]) -> None:
        """Have `work()` called after all earlier calls; returns at once, and never raises."""
        if self.waiting.qsize() >= LIMIT:
            self.fail(TimeoutError(f"{LIMIT} calls wait for an answer"))
        if not self.failed:
            self.waiting.put(work)

    def close(self, seconds: float) -> bool:
        """Wait until all calls are made, but at most so many seconds; return True where they are.

        No call may follow.
        """
        self.waiting.put(None)
        self.thread.join(seconds)
        return not self.thread.is_alive()

    def fail(self, error: BaseException) -> None:
        """Drop all calls from now on; the first time, pass the error to `on_failure`."""
        if not self.failed:
            self.failed = True
            self.on_failure(error)

    def work(self) -> None:
        """Make the calls in their order until `close` ends them; this runs in the thread."""
        while (work := self.waiting.get()) is not None:
            if not self.failed:
                self.attempt(work, self.fail)
        self.attempt(self.at_end, lambda error: None)

    def attempt(self, work: Callable[[], object], on_error: Callable[[BaseException], None]) -> None:
        """Make one call, and pass on its error, which may be SystemExit or a cancellation."""
        try:
            work()
        except BaseException as error:
            on_error(error)
