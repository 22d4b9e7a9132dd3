"""Trackio as a mirror of the log, on this machine alone; the only importer of trackio."""

import io
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from genbench.tracking.mirror import Mirror, MirrorRecipe, Opening, Picture, variables
from genbench.tracking.moving_picture import is_moving, last_frame

__all__ = ["Trackio", "TrackioRecipe"]

ELSEWHERE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL", "TRACKIO_BUCKET_ID", "TRACKIO_DATASET_ID")
"""Variables by which trackio would send values away."""


class Trackio(Mirror):
    """One run in trackio's own folder (TRACKIO_DIR); `trackio show --project genbench` shows it.

    Nothing is sent to a server. Steps are images seen. A resumed run goes on under its name, and logs nothing
    that is there already.
    """

    title = "trackio"

    def __init__(self, opening: Opening) -> None:
        before = opening.state.get(TrackioRecipe.key)
        # Unique, since trackio resumes the latest run of a name, whosesoever it is.
        self.name: str = before or f"{opening.labels.name}-{uuid.uuid4().hex[:6]}"
        with quiet(), variables(dict.fromkeys(ELSEWHERE)):
            import trackio

            self.run = trackio.init(
                project=opening.labels.project,
                name=self.name,
                group=opening.labels.group,
                config={**opening.config, "tags": list(opening.labels.tags)},
                resume="allow" if before else "never",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
            # Else trackio ends it again at exit, and says so; the other methods need no current run.
            trackio.context_vars.current_run.set(None)
        super().__init__(opening if before else opening._replace(sent=frozenset()))

    def send_values(self, values: Mapping[str, float], images_seen: int) -> None:
        self.run.log(dict(values), step=images_seen)

    def send_picture(self, picture: Picture, images_seen: int) -> None:
        import trackio

        # It shows still images: of an animation the last frame.
        shown = last_frame(picture.path) if is_moving(picture.path) else picture.path
        image = trackio.Image(shown, caption=picture.caption)
        self.run.log({picture.name: image}, step=images_seen)

    def send_summary(self, values: Mapping[str, float | str | None], images_seen: int) -> None:
        self.run.log({key: value for key, value in values.items() if value is not None}, step=images_seen)

    def send_files(self, files: Mapping[str, Path]) -> None:
        with quiet():
            for role, path in files.items():
                self.run.log_artifact(str(path), name=f"{self.name}-{role}", type=role)

    def state(self) -> dict[str, Any]:
        return {TrackioRecipe.key: self.name}

    def end(self, *, is_done: bool) -> None:
        with quiet():
            self.run.finish()


@contextmanager
def quiet() -> Iterator[None]:
    """Drop what trackio prints: the terminal belongs to the progress bars."""
    with redirect_stdout(io.StringIO()):
        yield


@dataclass(frozen=True)
class TrackioRecipe(MirrorRecipe):
    """Opens a run of trackio on this machine, for `tracker=trackio`; needs no account and no network.

    required: raise MirrorStartError where trackio is missing or does not start, instead of a note.
    """

    library: ClassVar[str] = "trackio"
    package: ClassVar[str] = "trackio"
    key: ClassVar[str] = "trackio_name"

    def open(self, opening: Opening) -> Trackio:
        return Trackio(opening)
