"""MLflow as a mirror of the log; the only importer of mlflow."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from genbench.tracking.mirror import Mirror, MirrorRecipe, Opening, Picture, variables
from genbench.tracking.moving_picture import is_moving

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["Mlflow", "MlflowRecipe", "mlflow_name"]

FOLDER = "mlflow"
"""The store in the directory of a run, where MLFLOW_TRACKING_URI names none."""
NAMES = str.maketrans({"[": " ", ",": " ", "=": ":", "]": None})
BATCH = 100  # values or parameters of one call, the limit of a server
TEXT = 6000  # characters of a parameter, the limit of a server
LIMITS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # of 7, with growing pauses: minutes for a server that is gone
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",  # seconds
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def mlflow_name(name: str) -> str:
    """Return the name of a value in MLflow, which allows neither brackets nor commas nor equals signs.

    fid[digits-cnn-v1,n=64,ref=train,ema] -> fid digits-cnn-v1 n:64 ref:train ema
    """
    return name.translate(NAMES)


class Mlflow(Mirror):
    """One run of MLflow: in RUN/mlflow, or at the server that MLFLOW_TRACKING_URI names.

    Steps are images seen; the experiment is the project. A resumed run goes on under its id, and sends
    nothing that is there already, since MLflow cannot take back a value.
    """

    title = "mlflow"

    def __init__(self, opening: Opening) -> None:
        for name, value in LIMITS.items():
            os.environ.setdefault(name, value)
        self.client = connect(opening.run_dir)
        check_links(opening.run_dir)
        before = self.resumed(opening.state.get(MlflowRecipe.key))
        self.id = before or self.begin(opening)
        self.check_place(opening.run_dir)
        super().__init__(opening if before else opening._replace(sent=frozenset()))

    def resumed(self, run_id: str | None) -> str | None:
        """Set the status of an earlier run to running, and return its id; None where it is not there."""
        from mlflow.exceptions import MlflowException

        with suppress(MlflowException):
            if run_id is not None:
                self.client.update_run(run_id, status="RUNNING")
                return run_id
        return None

    def begin(self, opening: Opening) -> str:
        """Make a run with labels as tags and the configuration as parameters, and return its id."""
        from mlflow.entities import Param

        labels = opening.labels
        experiment = self.client.get_experiment_by_name(labels.project)
        found = experiment.experiment_id if experiment else self.client.create_experiment(labels.project)
        tags = {"group": labels.group, "data": labels.job_type, "tags": ", ".join(labels.tags)}
        run_id = self.client.create_run(found, run_name=labels.name, tags=tags).info.run_id
        for part in parts([Param(mlflow_name(k), str(v)[:TEXT]) for k, v in opening.config.items()]):
            self.client.log_batch(run_id, params=part)
        return run_id

    def check_place(self, run_dir: Path) -> None:
        """Raise ValueError where a store in a run's directory has files elsewhere: it notes their place as a
        whole path, which leads out of a directory that was moved, and anywhere from one that somebody sent.
        """
        place, own = self.client.get_run(self.id).info.artifact_uri or "", own_store(run_dir)
        if not os.environ.get("MLFLOW_TRACKING_URI") and (not place.startswith(f"{own}/") or ".." in place):
            raise ValueError(
                f"{Path(run_dir) / FOLDER} keeps its pictures at {place}, outside of the run: move the "
                "folder mlflow out of the directory"
            )

    def send_values(self, values: Mapping[str, float], images_seen: int) -> None:
        from mlflow.entities import Metric

        now = round(time.time() * 1000)
        for part in parts([Metric(mlflow_name(k), float(v), now, images_seen) for k, v in values.items()]):
            self.client.log_batch(self.id, metrics=part)

    def send_picture(self, picture: Picture, images_seen: int) -> None:
        from PIL import Image

        if is_moving(picture.path):  # its gallery shows PNG files alone
            self.client.log_artifact(self.id, str(picture.path), artifact_path=picture.name)
            return
        with Image.open(picture.path) as image:
            self.client.log_image(self.id, image.convert("RGB"), key=picture.name, step=images_seen)

    def send_summary(self, values: Mapping[str, float | str | None], images_seen: int) -> None:
        numbers = {key: value for key, value in values.items() if isinstance(value, int | float)}
        self.send_values(numbers, images_seen)
        for key, value in values.items():
            if isinstance(value, str):
                self.client.set_tag(self.id, mlflow_name(key), value)

    def send_files(self, files: Mapping[str, Path]) -> None:
        for role, path in files.items():
            self.client.log_artifact(self.id, str(path), artifact_path=role)

    def state(self) -> dict[str, Any]:
        return {MlflowRecipe.key: self.id}

    def end(self, *, is_done: bool) -> None:
        self.client.set_terminated(self.id, "FINISHED" if is_done else "FAILED")


def own_store(run_dir: Path) -> str:
    """Return the address of the store in the directory of a run."""
    return (Path(run_dir).resolve() / FOLDER).as_uri()


def check_links(run_dir: Path) -> None:
    """Raise ValueError where the store in the directory of a run has a link, through which MLflow would write
    to wherever it leads.
    """
    if links := sorted(path for path in (Path(run_dir) / FOLDER).rglob("*") if path.is_symlink()):
        raise ValueError(f"{links[0]} is a link, through which a run writes nothing: put a copy there")


def connect(run_dir: Path) -> "MlflowClient":
    """Return a client of the server that MLFLOW_TRACKING_URI names, else of a store in the run's directory.

    The store is one of files: those of a database need further packages, and seconds for every run.
    """
    # MLflow keeps the store of files as it is, and asks for a sign that this is meant.
    with variables({"MLFLOW_ALLOW_FILE_STORE": "true"}):
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=os.environ.get("MLFLOW_TRACKING_URI") or own_store(run_dir))


def parts(entities: list[Any]) -> Iterator[list[Any]]:
    """Yield values or parameters, as many at a time as one call may have."""
    return (entities[start : start + BATCH] for start in range(0, len(entities), BATCH))


@dataclass(frozen=True)
class MlflowRecipe(MirrorRecipe):
    """Opens a run of MLflow, for `tracker=mlflow`; mlflow-skinny is enough.

    required: raise MirrorStartError where mlflow is missing or does not start, instead of a note.
    """

    library: ClassVar[str] = "mlflow"
    package: ClassVar[str] = "mlflow-skinny"
    key: ClassVar[str] = "mlflow_id"

    def open(self, opening: Opening) -> Mlflow:
        return Mlflow(opening)
