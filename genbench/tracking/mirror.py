"""Trackers that mirror metrics.jsonl by a library, and the recipes that open them when a run begins.

A mirror may break at any time: it never holds up the training, and never ends it.
"""

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from genbench.records.summary import TRAINING, VALIDATION, on_the_way
from genbench.runtime.printable import complain
from genbench.tracking.background import Background
from genbench.tracking.tracker import Tracker

__all__ = [
    "Mirror",
    "MirrorRecipe",
    "MirrorStartError",
    "Mode",
    "Opening",
    "Picture",
    "RunLabels",
    "Sent",
    "mirrored",
    "one_line",
    "variables",
]

Mode = Literal["auto", "online", "offline"]
Sent = frozenset[tuple[str, int]]
"""Names of values and pictures that a mirror has, each with the images seen at its time."""

END_SECONDS = 9
"""Seconds for all that a library still has to do when a run ends."""
FILES_SECONDS = 600
"""The same where a checkpoint is to be uploaded too."""
CAPTIONS = {
    "samples": "samples of the averaged weights; of a conditional model one class or caption a row",
    "trajectory": "from noise to samples, a row each",
    "forward": "from training images to noise, a row each",
    "reconstructions": "test images, and beneath each row their reconstructions",
    "interpolation": "between two codes, a row each",
    "animation": "samples coming out of noise",
    "codes": "codes of test images, projected on their two first principal components, coloured by class",
    "neighbours": "samples, and beneath them the training images nearest in pixels and in features",
}


class MirrorStartError(RuntimeError):
    """The library of a tracker is not installed, or does not start; the message says why in one line."""


class RunLabels(NamedTuple):
    """Labels by which a tracker groups, sorts and finds a run: its project, its group there, its own name,
    the data as its job type, and tags such as the family.
    """

    project: str
    group: str
    name: str
    job_type: str
    tags: tuple[str, ...] = ()


class Opening(NamedTuple):
    """Facts of a run that a recipe gets when it opens its mirror, at a beginning or a resumption."""

    run_dir: Path
    labels: RunLabels
    config: Mapping[str, Any]
    """Choices and settings, by their dotted keys."""
    state: Mapping[str, Any] = {}
    """Of all trackers in the checkpoint that the run resumes at; empty for a new run."""
    sent: Sent = frozenset()
    """Values and pictures that were logged after that checkpoint, and will be logged again."""
    mode: Mode = "auto"
    artifacts: bool = False
    """True where the library stores the final checkpoint and grid, too."""


class Picture(NamedTuple):
    """A picture file as a mirror shows it: its name among the values, its path, and a sentence for humans."""

    name: str
    path: Path
    caption: str


class Mirror(Tracker):
    """A tracker of a library beside metrics.jsonl, whose calls a background thread makes.

    A library that hangs never holds up the training, and the end of the run for seconds at most. The first
    call that fails gives one warning, and nothing more is mirrored. Names are those of `mirrored`.
    Subclasses say how the library takes values, pictures, the result and files, in five methods that may
    raise anything.
    """

    title: ClassVar[str]
    """Name of the library in messages."""

    def __init__(self, opening: Opening) -> None:
        self.opening, self.images_seen, self.finished = opening, 0, False
        self.end_seconds = FILES_SECONDS if opening.artifacts else END_SECONDS
        self.background = Background(self.lose, self.tear_down)

    @abstractmethod
    def send_values(self, values: Mapping[str, float], images_seen: int) -> None:
        """Send values under the names of `mirrored`; a value may be infinite or NaN."""

    @abstractmethod
    def send_picture(self, picture: Picture, images_seen: int) -> None:
        """Send a PNG file, as one more of the pictures of its name."""

    @abstractmethod
    def send_summary(self, values: Mapping[str, float | str | None], images_seen: int) -> None:
        """Send the result of the run, after training on `images_seen` images."""

    @abstractmethod
    def send_files(self, files: Mapping[str, Path]) -> None:
        """Store files with the run, by their role: "checkpoint", "grid"."""

    @abstractmethod
    def end(self, *, is_done: bool) -> None:
        """Close the library's run, which is done, or failed or was stopped."""

    def tear_down(self) -> None:
        """Give back what the library holds, also after a failure; called last, in the same thread."""

    def kill(self) -> None:
        """End what the library still waits for, since the run ends without it."""

    def log(self, values: Mapping[str, float], *, images_seen: int) -> None:
        new = {name: value for name, value in values.items() if self.is_new(name, images_seen)}
        self.images_seen = max(self.images_seen, images_seen)
        if new:
            shown = {mirrored(name): value for name, value in new.items()} | on_the_way(new)
            self.background.call(lambda: self.send_values(shown, images_seen))

    def image(self, name: str, path: Path, *, images_seen: int) -> None:
        self.images_seen = max(self.images_seen, images_seen)
        if self.is_new(name, images_seen):
            caption = f"{CAPTIONS.get(name, name)} ({images_seen:,} images seen)"
            self.background.call(lambda: self.send_picture(Picture(name, path, caption), images_seen))

    def is_new(self, name: str, images_seen: int) -> bool:
        """Return False for what this mirror got before its run was interrupted, and resumed further back."""
        return (name, images_seen) not in self.opening.sent

    def summary(self, values: Mapping[str, float | str | None]) -> None:
        self.background.call(lambda: self.send_summary(values, self.images_seen))

    def files(self, files: Mapping[str, Path]) -> None:
        if self.opening.artifacts:
            self.background.call(lambda: self.send_files(files))

    def finish(self, status: str) -> None:
        if self.finished:
            return
        self.finished = True
        self.background.call(lambda: self.end(is_done=status == "done"))
        if not self.background.close(self.end_seconds):
            self.background.fail(TimeoutError(f"no answer of its process in {self.end_seconds} s"))
            self.kill()

    def lose(self, error: BaseException) -> None:
        """Warn that the library has not received everything: a mirror that breaks must not end the run."""
        complain(
            f"the connection to {self.title} was lost ({one_line(error)}); metrics.jsonl is complete"
            f"{self.remedy()}"
        )

    def remedy(self) -> str:
        """Return the end of that warning's sentence: how to send what is missing, if that is possible."""
        return ""


@dataclass(frozen=True)
class MirrorRecipe(ABC):
    """A recipe for a mirror: the base class of the entries of `tracker.mirrors`.

    required: raise MirrorStartError where the library is missing or does not start, instead of a note.
    """

    library: ClassVar[str]
    """The module that the mirror imports."""
    package: ClassVar[str]
    """Name of the package that pip installs it from, for messages."""
    key: ClassVar[str]
    """The entry of a checkpoint's tracker state by which the mirror is resumed."""

    required: bool = True

    def check(self, option: str) -> None:
        """Raise ValueError where `tracker=option` was asked for and its library is not installed."""
        spec = find_spec(self.library) if self.required else None
        # Without an origin it is a mere folder of this name, such as the ./wandb that wandb leaves.
        if self.required and (spec is None or spec.origin is None):
            raise ValueError(
                f"tracker={option} needs {self.package}, which is not installed: pip install {self.package}, "
                "or use tracker=jsonl"
            )

    @abstractmethod
    def open(self, opening: Opening) -> Mirror:
        """Start the library, and return the mirror; may raise whatever the library raises."""

    def start(self, opening: Opening) -> Mirror:
        """Open the mirror; raises MirrorStartError, which names the library, whatever is wrong."""
        try:
            return self.open(opening)
        # Whatever is raised here (ImportError, the library's errors), the caller decides one thing.
        except Exception as error:
            raise MirrorStartError(f"{self.library} did not start: {one_line(error)}") from error


def mirrored(name: str) -> str:
    """Return the name of a logged value in all mirrors: losses, norms and rates stand below train/.

    net/loss -> train/loss, disc/loss -> train/disc/loss; evaluations during training (training/fid[..]),
    validations (validation/loss) and names without a slash stay.
    """
    phase, slash, term = name.partition("/")
    if not slash or f"{phase}/" in (TRAINING, VALIDATION):
        return name
    return f"train/{term}" if phase == "net" else f"train/{name}"


def one_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its class; without passwords of addresses,
    since messages are recorded.
    """
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return re.sub(r"://[^/@\s]+@", "://***@", text)


@contextmanager
def variables(values: Mapping[str, str | None]) -> Iterator[None]:
    """A `with` block in which variables of the environment have these values; None: they are not set."""
    before = {name: os.environ.get(name) for name in values}

    def put(chosen: Mapping[str, str | None]) -> None:
        for name, value in chosen.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value

    put(values)
    try:
        yield
    finally:
        put(before)
