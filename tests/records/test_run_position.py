"""Position of a run, as its files say it."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from genbench.records.run_position import position


def run_at(folder: Path, *, status: str = "running", **budget: Any) -> Path:
    """A directory with the part of run.json that says what the run will do."""
    run = {"identity": "a", "status": status, "sessions": [], "config": {"budget": budget}}
    (folder / "run.json").write_text(json.dumps(run))
    return folder


def log(folder: Path, *lines: object) -> None:
    """Lines of metrics.jsonl."""
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def test_a_run_goes_from_its_start_over_training_to_evaluation(tmp_path: Path) -> None:
    assert position(tmp_path / "none").text == "starting"
    run_at(tmp_path, images=60_000, seconds=None)
    assert position(tmp_path).text == "starting"
    log(
        tmp_path,
        {"images_seen": 12_000, "training_seconds": 3.0},
        {"images_seen": 12_000, "image": "samples"},
    )
    assert position(tmp_path) == ("training 12,000/60,000 images", 0.2, None)
    log(tmp_path, {"images_seen": 60_000, "training_seconds": 9.0}, {"summary": {}})
    assert position(tmp_path) == ("evaluating", 1.0, None)


@pytest.mark.parametrize(
    ("budget", "says"),
    [
        ({"images": None, "seconds": 60}, "training 30/60 s"),
        ({"images": 1000, "seconds": 60}, "training 30/60 s"),
        ({"images": 1000, "seconds": 600}, "training 100/1,000 images"),
        ({"images": None, "seconds": None, "flops": 1e15}, "training 100 images"),
        ({}, "training 100 images"),
    ],
)
def test_the_limit_that_comes_first_is_shown(budget: dict[str, Any], says: str, tmp_path: Path) -> None:
    log(run_at(tmp_path, **budget), {"images_seen": 100, "training_seconds": 30.0})
    assert position(tmp_path).text == says


@pytest.mark.parametrize("status", ["failed", "stopped", "done"])
def test_what_an_earlier_session_left_is_no_position_of_this_one(status: str, tmp_path: Path) -> None:
    log(run_at(tmp_path, status=status, images=100), {"images_seen": 50, "training_seconds": 1.0})
    assert position(tmp_path).text == "starting"


def test_damaged_files_raise_nothing(tmp_path: Path) -> None:
    run_at(tmp_path, images=100)
    (tmp_path / "metrics.jsonl").write_bytes(b'{"images_seen": 50, "training_seconds": 1.0}\n{"ima\x00\xff')
    assert position(tmp_path).text == "training 50/100 images"
    (tmp_path / "run.json").write_text("{")
    assert position(tmp_path).text == "starting"


def test_the_end_of_a_long_log_is_read_alone(tmp_path: Path) -> None:
    lines = [{"images_seen": n, "training_seconds": 1.0, "filler": "x" * 100} for n in range(2000)]
    log(run_at(tmp_path, images=4000), *lines)
    assert position(tmp_path).text == "training 1,999/4,000 images"


def test_a_log_that_is_a_link_or_a_pipe_is_not_opened(tmp_path: Path) -> None:
    """The run may be a stranger's."""
    run, other = tmp_path / "run", tmp_path / "other"
    run.mkdir()
    other.mkdir()
    log(other, {"images_seen": 50, "training_seconds": 1.0})
    run_at(run, images=100)
    (run / "metrics.jsonl").symlink_to(other / "metrics.jsonl")
    assert position(run).text == "starting"
    (run / "metrics.jsonl").unlink()
    os.mkfifo(run / "metrics.jsonl")
    assert position(run).text == "starting"


def test_values_are_found_behind_many_pictures(tmp_path: Path) -> None:
    values = {"images_seen": 50, "training_seconds": 1.0, "images_per_second": 10.0}
    log(run_at(tmp_path, images=100), values, *[{"image": str(i)} for i in range(30)])
    assert position(tmp_path) == ("training 50/100 images", 0.5, 5.0)
