"""The interface of trackers, which receive what a run logs, and several of them as one."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

__all__ = ["Tracker", "Trackers"]


class Tracker(ABC):
    """A place that a run is logged to: the base class of metrics.jsonl, wandb and others.

    A tracker never holds up the training, and is opened by a recipe (see `Tracking`).
    """

    @abstractmethod
    def log(self, values: Mapping[str, float], *, images_seen: int) -> None:
        """Log values by name, as they are after training on `images_seen` images.

        Names are stable ("net/loss"); a value may be infinite or NaN.
        """

    @abstractmethod
    def image(self, name: str, path: Path, *, images_seen: int) -> None:
        """Log the picture at `path`, as it is after training on `images_seen` images.

        name: what it shows, such as "samples"; a later picture of the same name is a further one, not a new
        version.
        """

    @abstractmethod
    def summary(self, values: Mapping[str, float | str | None]) -> None:
        """Log the result of the run: its short keys (see `comparable`) and metrics under their full names."""

    def files(self, files: Mapping[str, Path]) -> None:  # noqa: B027 (most trackers hold no files)
        """Store files of the finished run, by their role ("checkpoint", "grid"), if the tracker holds any."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return what a checkpoint needs to store for this tracker to be resumed: strings and numbers only.

        `Tracking.open` gets it back as `resume_state`.
        """

    @abstractmethod
    def finish(self, status: str) -> None:
        """Close the tracker, however the run ends; `status` is done, failed or stopped.

        A second call does nothing.
        """


class Trackers(Tracker):
    """Several trackers as one: each call goes to all of them, in their order."""

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

    def files(self, files: Mapping[str, Path]) -> None:
        for tracker in self.trackers:
            tracker.files(files)

    def state(self) -> dict[str, Any]:
        return {key: value for tracker in self.trackers for key, value in tracker.state().items()}

    def finish(self, status: str) -> None:
        with ExitStack() as stack:  # each is closed, even where another fails to
            for tracker in self.trackers:
                stack.callback(tracker.finish, status)
