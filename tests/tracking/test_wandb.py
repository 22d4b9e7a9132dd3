import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from genbench.pictures import save_grid

pytest.importorskip("wandb")

ROOT = Path(__file__).parents[2]

SCRIPT = """
import sys, time
from pathlib import Path
from genbench.tracking import WandbTracking
root = Path(sys.argv[1])
tracker = WandbTracking(project="p", required=True).open(
    root, group="g", name="n", config={"model": {"width": 8}}, resume_state=None
)
tracker.log({"loss": 0.5}, images_seen=10)
tracker.log({"loss": float("nan")}, images_seen=20)
if (root / "x.png").exists():
    tracker.image("samples", root / "x.png", images_seen=20)
tracker.summary({"fid[f,n=2,ref=train,ema]": 3.0, "bound": None, "status": "done"})
state = tracker.state()
tracker.finish("done")
tracker.finish("done")
print(state["wandb_id"])
"""

RESUME = """
again = WandbTracking(project="p", required=True).open(
    root, group="g", name="n", config={}, resume_state=state
)
again.log({"loss": 0.25}, images_seen=30)
assert again.state()["wandb_id"] == state["wandb_id"]
again.finish("failed")
"""


def clean(home: Path, **variables: str) -> dict[str, str]:
    """The environment without the user's own wandb account."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    return kept | {
        "HOME": str(home),
        "WANDB_CONFIG_DIR": str(home),
        "NETRC": str(home / "netrc"),
        **variables,
    }


def run(root: Path, script: str = SCRIPT, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, str(root)]
    return subprocess.run(
        command, env=clean(root, **variables), capture_output=True, text=True, timeout=120, cwd=ROOT
    )


def records(folder: Path) -> str:
    """The run's transaction log, read back by wandb's own reader."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", str(folder), "--json"]
    done = subprocess.run(command, env=clean(folder), capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def events(root: Path) -> list[dict]:
    return [json.loads(line) for line in (root / "metrics.jsonl").read_text().splitlines()]


def test_without_a_key_a_run_is_kept_offline_and_mirrors_the_json_lines(tmp_path: Path) -> None:
    save_grid(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), tmp_path / "x.png")
    done = run(tmp_path, SCRIPT + RESUME)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # wandb prints nothing of its own, on neither stream
    (run_id,) = done.stdout.split()
    first, second = sorted((tmp_path / "wandb").glob("offline-run-*"), key=lambda path: path.stat().st_ctime)
    assert first.name.endswith(run_id)
    assert run_id in second.name  # of two that start within a second, wandb numbers the later one
    text = records(first)
    for piece in ("images_seen", "loss", "model.width", "fid[f,n=2,ref=train,ema]", "samples"):
        assert piece in text
    assert [event["loss"] for event in events(tmp_path) if "loss" in event] == [0.5, "nan", 0.25]


def test_a_malformed_key_leads_to_an_offline_run_with_one_note(tmp_path: Path) -> None:
    done = run(tmp_path, WANDB_API_KEY="bogus")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("wandb goes on offline") == len(done.stderr.splitlines()) == 1
    assert list((tmp_path / "wandb").glob("offline-run-*"))


@pytest.fixture
def silent_server() -> str:
    """A server that takes connections and never answers: the worst of the broken networks."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def dead_server() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("server", ["dead_server", "silent_server"])
def test_a_server_that_does_not_answer_costs_seconds_and_the_run_goes_on_offline(
    tmp_path: Path, server: str, request: pytest.FixtureRequest
) -> None:
    started = time.monotonic()
    done = run(tmp_path, WANDB_API_KEY="a" * 40, WANDB_BASE_URL=request.getfixturevalue(server))
    assert done.returncode == 0, done.stderr
    # A start of 7 s (init_timeout is 6); the rest is imports on a busy machine. Unbounded: minutes.
    assert time.monotonic() - started < 30
    assert done.stderr.count("wandb goes on offline") == 1
    assert list((tmp_path / "wandb").glob("offline-run-*"))
    assert events(tmp_path)[0]["loss"] == 0.5


def test_wandb_mode_disabled_is_respected(tmp_path: Path) -> None:
    done = run(tmp_path, WANDB_MODE="disabled", WANDB_API_KEY="a" * 40)
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "wandb").glob("*run-*"))
    assert events(tmp_path)[0]["loss"] == 0.5
