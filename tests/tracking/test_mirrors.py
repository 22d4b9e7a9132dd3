"""Laws of every mirror, on the real libraries: each is read back by its library's own reader."""

import io
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from PIL import Image

from genbench.evaluation.animation import save_animation
from genbench.evaluation.pictures import save_grid
from genbench.tracking import Mirror, MirrorRecipe, MlflowRecipe, TensorBoardRecipe, Tracking
from genbench.tracking.mirror import MirrorStartError, Opening, Picture, mirrored
from genbench.tracking.mlflow import mlflow_name
from tests.conftest import ROOT, Command
from tests.toys import TINY
from tests.tracking.test_wandb import records

CHOICES = {"model": "ddpm", "data": "digits", "conditional": "false"}
ABOUT = {"group": "g", "name": "n", "choices": CHOICES, "config": {"seed": 3}}
FID = "training/fid[f,n=1,ref=train,ema]"
NAMES = {
    "net/loss": "train/loss",
    "net/grad_norm": "train/grad_norm",
    "disc/loss": "train/disc/loss",
    "epoch": "epoch",
    "images_per_second": "images_per_second",
    FID: FID,
}
"""Names in metrics.jsonl, and in every mirror."""

Series = dict[str, list[tuple[int, float]]]


class Mirrored:
    """Values by name, each with its step; the steps of pictures by name; texts of the result."""

    def __init__(self, values: Series, pictures: dict[str, list[int]], result: dict[str, Any]) -> None:
        self.values, self.pictures, self.result = values, pictures, result


def read_tensorboard(run: Path, names: Mapping[str, str]) -> Mirrored:
    """names: unused, since TensorBoard takes any name."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0, "images": 0})
    found.Reload()
    tags = found.Tags()
    values = {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in tags["scalars"]}
    pictures = {tag: [event.step for event in found.Images(tag)] for tag in tags["images"]}
    texts = [event.tensor_proto.string_val[0] for event in found.Tensors("result/text_summary")]
    return Mirrored(values, pictures, json.loads(texts[-1]))


def read_mlflow(run: Path, names: Mapping[str, str]) -> Mirrored:
    """names: in MLflow -> as they are logged."""
    client = mlflow_client(run)
    experiment = client.get_experiment_by_name("genbench")
    (found,) = client.search_runs([experiment.experiment_id])
    history = {key: client.get_metric_history(found.info.run_id, key) for key in found.data.metrics}
    values = {names.get(key, key): [(one.step, one.value) for one in ones] for key, ones in history.items()}
    paths = [Path(file.path).name for file in client.list_artifacts(found.info.run_id, "images")]
    pictures: dict[str, list[int]] = {}
    for name, _, step, *_ in (path.split("+") for path in sorted(paths) if path.endswith(".png")):
        pictures.setdefault(name, []).append(int(step))
    return Mirrored(values, pictures, found.data.tags)


def mlflow_client(run: Path) -> Any:
    from mlflow import MlflowClient

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        return MlflowClient((run / "mlflow").as_uri())


READERS: dict[str, tuple[MirrorRecipe, Callable[[Path, Mapping[str, str]], Mirrored]]] = {
    "tensorboard": (TensorBoardRecipe(), read_tensorboard),
    "mlflow": (MlflowRecipe(), read_mlflow),
}
OPTIONS = pytest.mark.parametrize("option", READERS)


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "TRACKIO_"))]:
        monkeypatch.delenv(name)


def recipe_of(option: str) -> MirrorRecipe:
    pytest.importorskip(READERS[option][0].library)
    return READERS[option][0]


def read(option: str, run: Path) -> Mirrored:
    return READERS[option][1](run, {mlflow_name(name): name for name in [*NAMES.values(), "training/fid"]})


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    save_grid(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), tmp_path / "x.png")
    return tmp_path / "x.png"


def test_names_are_those_of_the_table() -> None:
    assert {name: mirrored(name) for name in NAMES} == NAMES


@OPTIONS
def test_values_pictures_and_the_result_arrive_under_the_same_names(
    option: str, tmp_path: Path, picture: Path
) -> None:
    run = tmp_path / "a run"
    tracker = Tracking({option: recipe_of(option)}).open(run, **ABOUT)
    tracker.log(dict.fromkeys(NAMES, 0.5), images_seen=10)
    tracker.log({"net/loss": float("nan")}, images_seen=20)
    tracker.image("samples", picture, images_seen=20)
    tracker.summary({"bits_per_dim": 3.0, "fid": None, "family": "ddpm"})
    tracker.finish("done")
    found = read(option, run)
    assert found.values.keys() == {*NAMES.values(), "training/fid", "bits_per_dim"}
    assert found.values["training/fid"] == found.values[FID] == [(10, 0.5)]
    assert [step for step, _ in found.values["train/loss"]] == [10, 20]
    assert found.values["bits_per_dim"] == [(20, 3.0)]
    assert found.pictures == {"samples": [20]}
    assert found.result["family"] == "ddpm"


@OPTIONS
def test_an_animation_arrives_as_what_the_library_shows(option: str, tmp_path: Path) -> None:
    run, path = tmp_path / "run", tmp_path / "animation_000000020.webp"
    states = torch.randint(
        0, 256, (3, 1, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    save_animation(states, path)
    tracker = Tracking({option: recipe_of(option)}).open(run, **ABOUT)
    tracker.image("animation", path, images_seen=20)
    tracker.summary({})
    tracker.finish("done")
    if option == "tensorboard":
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        found = EventAccumulator(str(run / "tensorboard"), size_guidance={"images": 0}).Reload()
        (event,) = found.Images("animation")
        content = event.encoded_image_string
    else:
        client = mlflow_client(run)
        (one,) = client.search_runs([client.get_experiment_by_name("genbench").experiment_id])
        (file,) = client.list_artifacts(one.info.run_id, "animation")
        content = Path(client.download_artifacts(one.info.run_id, file.path)).read_bytes()
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == ("GIF" if option == "tensorboard" else "WEBP")
        assert getattr(image, "n_frames", 1) == 3


@OPTIONS
def test_a_resumed_run_has_every_event_once(option: str, tmp_path: Path, picture: Path) -> None:
    """Also one that was logged after the checkpoint, with no image in between."""
    tracking = Tracking({option: recipe_of(option)})
    tracker = tracking.open(tmp_path / "run", **ABOUT)
    tracker.log({"net/loss": 1.0}, images_seen=10)
    state = json.loads(json.dumps(tracker.state()))
    tracker.image("samples", picture, images_seen=10)
    tracker.log({"net/loss": 2.0}, images_seen=20)
    tracker.finish("failed")
    again = tracking.open(tmp_path / "run", **ABOUT, resume_state=state)
    assert again.state() == state
    again.image("samples", picture, images_seen=10)
    again.log({"net/loss": 2.0}, images_seen=20)
    again.log({"net/loss": 3.0}, images_seen=30)
    again.summary({"family": "ddpm"})
    again.finish("done")
    found = read(option, tmp_path / "run")
    assert found.values["train/loss"] == [(10, 1.0), (20, 2.0), (30, 3.0)]
    assert found.pictures == {"samples": [10]}


@OPTIONS
def test_a_tracker_that_is_added_to_a_run_begins_at_its_checkpoint(option: str, tmp_path: Path) -> None:
    before = Tracking({}).open(tmp_path, **ABOUT)
    before.log({"net/loss": 1.0}, images_seen=10)
    state = before.state()
    before.log({"net/loss": 2.0}, images_seen=20)
    tracker = Tracking({option: recipe_of(option)}).open(tmp_path, **ABOUT, resume_state=state)
    tracker.log({"net/loss": 2.0}, images_seen=20)
    tracker.summary({})
    tracker.finish("done")
    assert read(option, tmp_path).values["train/loss"] == [(20, 2.0)]


def test_a_run_that_starts_anew_leaves_no_earlier_event_in_tensorboard(tmp_path: Path) -> None:
    tracking = Tracking({"tensorboard": recipe_of("tensorboard")})
    for images_seen in (10, 20):
        tracker = tracking.open(tmp_path, **ABOUT)
        tracker.log({"net/loss": 1.0}, images_seen=images_seen)
        tracker.summary({})
        tracker.finish("done")
    assert read("tensorboard", tmp_path).values["train/loss"] == [(20, 1.0)]


def test_artifacts_are_stored_where_they_are_asked_for(tmp_path: Path, picture: Path) -> None:
    for artifacts in (False, True):
        run = tmp_path / str(artifacts)
        tracker = Tracking({"mlflow": recipe_of("mlflow")}, artifacts=artifacts).open(run, **ABOUT)
        tracker.files({"grid": picture})
        tracker.finish("done")
        stored = [path.read_bytes() for path in (run / "mlflow").rglob("x.png")]
        assert stored == [picture.read_bytes()] * artifacts


def test_mlflow_has_the_configuration_and_says_how_the_run_ended(tmp_path: Path) -> None:
    tracker = Tracking({"mlflow": recipe_of("mlflow")}, project="p").open(tmp_path, **ABOUT)
    tracker.finish("failed")
    client = mlflow_client(tmp_path)
    (found,) = client.search_runs([client.get_experiment_by_name("p").experiment_id])
    assert (found.info.status, found.info.run_name) == ("FAILED", "n")
    expected = {"model": "ddpm", "data": "digits", "conditional": "false", "seed": "3", "family": "ddpm"}
    assert found.data.params == expected


def test_a_store_of_mlflow_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    tracking = Tracking({"mlflow": recipe_of("mlflow")})
    tracker = tracking.open(tmp_path / "run", **ABOUT)
    state = tracker.state()
    tracker.finish("failed")
    moved = tmp_path / "moved"
    (tmp_path / "run").rename(moved)
    with pytest.raises(MirrorStartError, match=r"mlflow keeps its pictures at .*run.*outside of the run"):
        tracking.open(moved, resume_state=state, **ABOUT)
    with pytest.raises(MirrorStartError, match="outside of the run"):  # the experiment is from there too
        tracking.open(moved, **ABOUT)
    moved.rename(tmp_path / "run")
    tracking.open(tmp_path / "run", resume_state=state, **ABOUT).finish("done")
    (tmp_path / "run" / "mlflow" / "link").symlink_to(tmp_path)
    with pytest.raises(MirrorStartError, match="is a link, through which a run writes nothing"):
        tracking.open(tmp_path / "run", resume_state=state, **ABOUT)


def test_a_server_of_mlflow_that_is_gone_is_one_message_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hunter2@127.0.0.1:9")
    with pytest.raises(MirrorStartError, match="mlflow did not start") as caught:
        Tracking({"mlflow": recipe_of("mlflow")}).open(tmp_path, **ABOUT)
    assert "hunter2" not in str(caught.value)


class Breaks(Mirror):
    """A library that fails at the second value."""

    title = "fake"

    def send_values(self, values: Mapping[str, float], images_seen: int) -> None:
        if images_seen > 10:
            raise ConnectionError("http://me:hunter2@host is gone")

    def send_picture(self, picture: Picture, images_seen: int) -> None:
        raise AssertionError("it failed before")

    def send_summary(self, values: Mapping[str, float | str | None], images_seen: int) -> None:
        raise AssertionError("it failed before")

    def send_files(self, files: Mapping[str, Path]) -> None:
        raise AssertionError("it failed before")

    def state(self) -> dict[str, Any]:
        return {"fake": 1}

    def end(self, *, is_done: bool) -> None:
        raise AssertionError("it failed before")


@dataclass(frozen=True)
class BreaksRecipe(MirrorRecipe):
    library: ClassVar[str] = "json"
    package: ClassVar[str] = "json"
    key: ClassVar[str] = "fake"

    def open(self, opening: Opening) -> Breaks:
        return Breaks(opening)


def test_a_tracker_that_breaks_is_told_once_and_ends_nothing(
    tmp_path: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker = Tracking({"fake": BreaksRecipe()}).open(tmp_path, **ABOUT)
    for images_seen in (10, 20, 30):
        tracker.log({"net/loss": 1.0}, images_seen=images_seen)
    tracker.image("samples", picture, images_seen=30)
    tracker.summary({"fid": 1.0})
    tracker.finish("done")
    why = "the connection to fake was lost (http://***@host is gone)"
    assert capsys.readouterr().err == f"genbench: {why}; metrics.jsonl is complete\n"
    assert (tmp_path / "metrics.jsonl").read_text().count("\n") == 5


SMALL = (
    *(word for word in TINY if not word.startswith(("tracker", "trainer.sample"))),
    "budget.images=256",
    "trainer.log_every_images=128",
    "trainer.sample_every_images=128",
    "trainer.evaluate_every_images=128",
    "trainer.evaluate_samples=64",
)


@pytest.mark.slow
def test_a_real_run_reaches_all_trackers_alike(main: Command, tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    for option in READERS:
        recipe_of(option)
    words = ("tracker=[wandb,tensorboard,mlflow]", "tracker.mode=offline", "tracker.artifacts=true")
    done = main(*SMALL, *words, f"runs_dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "default").glob("ddpm-*")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    summary = lines[-1]["summary"]
    logged = {name for line in lines if "epoch" in line for name in line} - {"images_seen", "time"}
    numbers = {key for key, value in summary.items() if isinstance(value, int | float)}
    expected = {mirrored(name) for name in logged} | numbers
    boards = read_tensorboard(run, {})
    assert expected <= boards.values.keys()
    assert [step for step, _ in boards.values["train/loss"]] == [128, 256]

    # The same in MLflow and in wandb, up to the characters that MLflow allows
    flows = read_mlflow(run, {mlflow_name(name): name for name in boards.values})
    assert flows.values.keys() == boards.values.keys()
    assert flows.pictures.keys() == boards.pictures.keys() >= {"samples", "trajectory"}
    assert boards.pictures["samples"] == flows.pictures["samples"] == [128, 256]
    (folder,) = (run / "wandb").glob("offline-run-*")
    text = records(folder)
    found = [json.loads(line) for line in text.splitlines()]
    items = [item["history"]["item"] for item in found if "history" in item]
    of_wandb = {name for item in items for name in item} | summary.keys()
    assert boards.values.keys() <= of_wandb | {"images_seen"}
    kinds = Counter(one["artifact"].get("type") for one in found if "artifact" in one)
    assert kinds >= Counter(["checkpoint", "grid"])
    assert "256 images seen" in text

    # Each setting once: the schedule's steps stand under one key
    config = next(one["run"]["config"]["update"] for one in found if "run" in one)
    assert config["schedule.T"] == 1000
    assert not [key for key in config if key.endswith(".schedule.T")]


TRACKIO = """
import json, sys
from pathlib import Path
from genbench.tracking import Tracking, TrackioRecipe
root = Path(sys.argv[1])
tracking = Tracking({"trackio": TrackioRecipe()}, artifacts=True)
about = json.loads(sys.argv[2])
tracker = tracking.open(root / "run", **about)
tracker.log(dict.fromkeys(json.loads(sys.argv[3]), 0.5), images_seen=10)
state = tracker.state()
tracker.image("samples", root / "x.png", images_seen=10)
tracker.log({"net/loss": 2.0}, images_seen=20)
tracker.finish("failed")
again = tracking.open(root / "run", **about, resume_state=state)
again.image("samples", root / "x.png", images_seen=10)
again.log({"net/loss": 2.0}, images_seen=20)
again.log({"net/loss": 3.0}, images_seen=30)
again.summary({"bits_per_dim": 3.0, "fid": None, "family": "ddpm"})
again.files({"grid": root / "x.png"})
again.finish("done")
from trackio.sqlite_storage import SQLiteStorage
rows = SQLiteStorage.get_logs("genbench", state["trackio_name"])
print(json.dumps(rows, default=str))
"""


@pytest.mark.slow
def test_trackio_has_the_same_names_once_without_a_network(tmp_path: Path, picture: Path) -> None:
    """In a process of its own: trackio reads where its folder is when it is imported."""
    pytest.importorskip("trackio")
    command = [sys.executable, "-c", TRACKIO, str(tmp_path), json.dumps(ABOUT), json.dumps(list(NAMES))]
    elsewhere = {"TRACKIO_SERVER_URL": "http://127.0.0.1:9/?write_token=x", "HOME": str(tmp_path)}
    env = dict(os.environ) | elsewhere | {"TRACKIO_DIR": str(tmp_path / "trackio"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout.splitlines()[-1])
    assert len(done.stdout.splitlines()) == 1
    names = {*NAMES.values(), "training/fid", "bits_per_dim", "family", "samples"}
    assert {name for row in rows for name in row} - {"step", "timestamp"} == names
    assert [(row["step"], row["train/loss"]) for row in rows if "train/loss" in row] == [
        (10, 0.5),
        (20, 2.0),
        (30, 3.0),
    ]
    assert sum("samples" in row for row in rows) == 1
    assert any((tmp_path / "trackio").rglob("*.png"))
