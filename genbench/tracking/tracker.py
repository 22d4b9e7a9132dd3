"""What a run tells while it lasts, and to whom."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

__all__ = ["Tracker", "Trackers"]


class Tracker(ABC):
    """Somebody who listens to a run."""

    @abstractmethod
    def log(self, values: Mapping[str, float], *, images_seen: int) -> None:
        """Values at one point of training."""

    @abstractmethod
    def image(self, name: str, path: Path, *, images_seen: int) -> None:
        """A picture that lies at `path`."""

    @abstractmethod
    def summary(self, values: Mapping[str, float | str | None]) -> None:
        """What the run comes to."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, so that a resumed run goes on here; strings and numbers only."""

    @abstractmethod
    def finish(self, status: str) -> None:
        """Close, on every exit path; `status` is done, failed or stopped. A second call does nothing."""


class Trackers(Tracker):
    """Several trackers as one."""

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self.trackers = tuple(trackers)

    def log(self, values: Mapping[str, float], *, images_seen: int) -> None:
        for tracker in self.trackers:
            tracker.log(values, images_seen=images_seen)

    def image(self, name: str, path: Path, *, images_seen: int) -> None:
        for tracker in self.trackers:
            tracker.image(name, path, images_seen=images_seen)

    def summary(self, values: Mapping[str, float | str | None]) -> None:
        for tracker in self.trackers:
            tracker.summary(values)

    def state(self) -> dict[str, Any]:
        return {key: value for tracker in self.trackers for key, value in tracker.state().items()}

    def finish(self, status: str) -> None:
        with ExitStack() as stack:  # each is closed, even where another fails to
            for tracker in self.trackers:
                stack.callback(tracker.finish, status)
