import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from genbench.evaluation.animation import save_animation
from genbench.evaluation.pictures import save_grid
from genbench.tracking import upload_command
from genbench.tracking.wandb import is_charted

pytest.importorskip("wandb")

ROOT = Path(__file__).parents[2]

SCRIPT = """
import sys, time
from pathlib import Path
from genbench.tracking import Tracking, WandbRecipe
root = Path(sys.argv[1])
choices = {"model": "ddpm", "data": "digits", "conditional": "false", "schedule": "cosine"}
config = {"model": {"width": 8}, "seed": 3}
tracker = Tracking({"wandb": WandbRecipe()}, project="p").open(
    root, group="g", name="n", choices=choices, config=config, resume_state=None
)
tracker.log({"loss": 0.5}, images_seen=10)
tracker.log({"loss": float("nan")}, images_seen=20)
tracker.log({"training/fid[f,n=1,ref=train,ema]": 4.0}, images_seen=20)
if (root / "x.png").exists():
    tracker.image("samples", root / "x.png", images_seen=20)
if (root / "x.webp").exists():
    tracker.image("animation", root / "x.webp", images_seen=20)
values = {"fid[f,n=2,ref=train,ema]": 3.0, "fid": 3.0, "bound": None, "family": "ddpm", "protocol": "f,n=2"}
tracker.summary({**values, "images_seen": 20})
state = tracker.state()
tracker.finish("done")
tracker.finish("done")
print(state["wandb_id"])
"""

RESUME = """
again = Tracking({"wandb": WandbRecipe()}, project="p").open(
    root, group="g", name="n", choices=choices, config={}, resume_state=state
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


def written(root: Path) -> dict[str, dict]:
    """Return what one offline run comes to: its record and its summary."""
    (folder,) = (root / "wandb").glob("offline-run-*")
    run, summary = {}, {}
    for record in map(json.loads, records(folder).splitlines()):
        run |= record.get("run", {})
        summary |= record.get("summary", {}).get("update", {})
    return {"run": run, "summary": summary}


def charted(root: Path) -> tuple[set[str], set[str]]:
    """Names in the history of one offline run: those of which wandb draws charts, and the hidden ones."""
    (folder,) = (root / "wandb").glob("offline-run-*")
    logged, hidden = set[str](), set[str]()
    for record in map(json.loads, records(folder).splitlines()):
        logged |= {key for key in record.get("history", {}).get("item", {}) if not key.startswith("_")}
        if record.get("metric", {}).get("options", {}).get("hidden"):
            hidden.add(record["metric"]["name"])
    return logged - hidden, logged & hidden


def events(root: Path) -> list[dict]:
    return [json.loads(line) for line in (root / "metrics.jsonl").read_text().splitlines()]


def test_without_a_key_a_run_is_kept_offline_and_mirrors_the_json_lines(tmp_path: Path) -> None:
    save_grid(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), tmp_path / "x.png")
    save_animation(
        torch.arange(3, dtype=torch.uint8).reshape(3, 1, 1, 1, 1).expand(3, 1, 1, 8, 8), tmp_path / "x.webp"
    )
    done = run(tmp_path, SCRIPT + RESUME)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # wandb prints nothing of its own, on neither stream
    (run_id,) = done.stdout.split()
    first, second = sorted((tmp_path / "wandb").glob("offline-run-*"), key=lambda path: path.stat().st_ctime)
    assert first.name.endswith(run_id)
    assert run_id in second.name  # of two that start within a second, wandb numbers the later one
    (moving,) = first.rglob("*.gif")
    with Image.open(moving) as image:
        assert getattr(image, "n_frames", 1) == 3
    text = records(first)
    for piece in ("images_seen", "loss", "model.width", "fid[f,n=2,ref=train,ema]", "samples"):
        assert piece in text
    assert [event["loss"] for event in events(tmp_path) if "loss" in event] == [0.5, "nan", 0.25]


def test_runs_are_found_by_group_data_and_tags_and_share_short_keys(tmp_path: Path) -> None:
    save_grid(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), tmp_path / "x.png")
    assert run(tmp_path).returncode == 0
    record, summary = written(tmp_path).values()
    assert (record["project"], record["run_group"], record["job_type"]) == ("p", "g", "digits")
    assert record["tags"] == ["ddpm", "digits", "unconditional", "f,n=2"]
    config = record["config"]["update"]
    assert (config["family"], config["schedule"], config["model.width"]) == ("ddpm", "cosine", 8)
    expected = {"family": "ddpm", "fid": 3, "fid[f,n=2,ref=train,ema]": 3, "bound": None, "images_seen": 20}
    assert expected.items() <= summary.items()
    assert summary["training/fid"] == summary["training/fid[f,n=1,ref=train,ema]"] == 4

    # Results are of the summary alone: a chart of one point each would be made of what is logged
    shown, hidden = charted(tmp_path)
    assert {name.partition(".")[0] for name in shown} == {
        "training/fid",
        "samples",
        "result_table",
    }
    assert hidden == {"images_seen", "loss", "training/fid[f,n=1,ref=train,ema]"}

    # The table of its samples, whose files wait for their upload beside the run, not in the user's home
    staged = {path.read_bytes() for path in (tmp_path / "wandb" / "artifacts").rglob("*") if path.is_file()}
    (table,) = (json.loads(content) for content in staged if content.startswith(b'{"_type": "table"'))
    row = dict(zip(table["columns"], table["data"][0], strict=True))
    assert (row["family"], row["fid"], row["samples"]["_type"]) == ("ddpm", 3, "image-file")
    assert not (tmp_path / ".local").exists()  # HOME is here


@pytest.mark.parametrize(
    ("logged", "most"),
    [
        # Of a GAN, a flow and a VAE, as their runs log them
        (
            [
                f"train/disc/{k}"
                for k in ("loss", "adversarial", "fake_accuracy", "fake_logits", "r1", "r2", "lr")
            ]
            + [f"train/gen/{k}" for k in ("loss", "fake_logits", "grad_norm", "lr")],
            5,
        ),
        ([f"train/{k}" for k in ("loss", "nll", "log_det", "log_q", "prior", "inverse_error", "lr")], 6),
        (["train/loss", "train/kl", "train/reconstruction", "train/grad_norm", "train/lr", "epoch"], 3),
        ([f"training/{k}{end}" for k in ("fid", "kid", "is", "swd") for end in ("", "_low", "_se")], 2),
        (["images_per_second", "training_seconds", "images_seen", "skipped_batches"], 0),
    ],
)
def test_wandb_draws_charts_of_losses_and_of_few_scores(logged: list[str], most: int) -> None:
    assert sum(map(is_charted, logged)) == most


def test_wandbs_process_prints_nothing_where_its_log_cannot_be_written(tmp_path: Path) -> None:
    done = run(tmp_path, WANDB_CACHE_DIR="/dev/null/cache", XDG_CACHE_HOME="/dev/null/cache")
    assert done.returncode == 0
    assert "INFO" not in done.stderr


def test_a_run_of_a_sweeps_agent_is_the_one_that_the_agent_asked_for(tmp_path: Path) -> None:
    (tmp_path / "parameters.yaml").write_text("wandb_version: 1\nmodel:\n  value: ddpm\nseed:\n  value: 3\n")
    agent = {"SWEEP_ID": "s1", "RUN_ID": "r1", "SWEEP_PARAM_PATH": str(tmp_path / "parameters.yaml")}
    done = run(tmp_path, WANDB_MODE="offline", **{f"WANDB_{key}": value for key, value in agent.items()})
    assert (done.returncode, done.stdout, done.stderr) == (0, "r1\n", "")
    record = written(tmp_path)["run"]
    assert (record["run_id"], record["sweep_id"]) == ("r1", "s1")
    assert {"model": "ddpm", "seed": 3, "family": "ddpm"}.items() <= record["config"]["update"].items()


def test_a_malformed_key_leads_to_an_offline_run_with_one_note(tmp_path: Path) -> None:
    done = run(tmp_path, WANDB_API_KEY="bogus")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("wandb runs offline") == len(done.stderr.splitlines()) == 1
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


@pytest.mark.parametrize("server", ["dead_server", pytest.param("silent_server", marks=pytest.mark.slow)])
def test_a_server_that_does_not_answer_costs_seconds_and_the_run_goes_on_offline(
    tmp_path: Path, server: str, request: pytest.FixtureRequest
) -> None:
    started = time.monotonic()
    done = run(tmp_path, WANDB_API_KEY="a" * 40, WANDB_BASE_URL=request.getfixturevalue(server))
    assert done.returncode == 0, done.stderr
    # A start of 7 s (init_timeout is 6); the rest is imports on a busy machine. Unbounded: minutes.
    assert time.monotonic() - started < 30
    assert done.stderr.count("wandb runs offline") == 1
    assert list((tmp_path / "wandb").glob("offline-run-*"))
    assert events(tmp_path)[0]["loss"] == 0.5


def test_wandb_mode_disabled_is_respected(tmp_path: Path) -> None:
    done = run(tmp_path, WANDB_MODE="disabled", WANDB_API_KEY="a" * 40)
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "wandb").glob("*run-*"))
    assert events(tmp_path)[0]["loss"] == 0.5


def kept_offline(run: Path, *kinds: str) -> list[Path]:
    """Folders of runs as wandb leaves them."""
    folders = [run / "wandb" / kind for kind in kinds]
    for folder in folders:
        folder.mkdir(parents=True)
    return folders


def words_of(command: str | None) -> list[str]:
    """A command as a shell takes it, patterns and all."""
    assert command is not None
    script = f"for word in {command}; do printf '%s\\0' \"$word\"; done"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.split("\0")[:-1]


def test_the_upload_command_names_what_is_kept_offline_whatever_the_folders_are_called(
    tmp_path: Path,
) -> None:
    runs = [tmp_path / "it's a run", tmp_path / "a" / "$HOME *", tmp_path / "online", tmp_path / "none"]
    folders = [*kept_offline(runs[0], "offline-run-1-a"), *kept_offline(runs[1], "offline-run-2-b")]
    kept_offline(runs[2], "run-3-c")
    assert words_of(upload_command(runs)) == ["wandb", "sync", *map(str, folders)]
    (folders[0] / "run-a.wandb.synced").touch()  # as wandb marks what it sent
    assert words_of(upload_command(runs))[2:] == [str(folders[1])]
    assert upload_command(runs[2:]) is None


def test_several_offline_runs_of_a_folder_are_one_pattern(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = tmp_path / "it's a sweep"
    runs = [group / f"seed{seed}" for seed in range(20)]
    folders = [str(path) for run in runs for path in kept_offline(run, "offline-run-1", "offline-run-2")]
    command = upload_command([*runs, runs[0]])
    assert command is not None
    assert command.endswith("/*/wandb/offline-run-*")
    assert words_of(command) == ["wandb", "sync", *sorted(folders)]
    assert upload_command(runs[:3]) == command
    assert upload_command(runs[:1]) == command  # a run that was resumed has two folders
    (other,) = kept_offline(tmp_path / "b" / "seed0", "offline-run-3")
    both = upload_command([*runs, other.parents[1]])
    assert words_of(both)[2:] == [*sorted(folders), str(other)]
    hidden = kept_offline(group / ".hidden", "offline-run-8", "offline-run-9")  # the shell's * takes none
    assert words_of(upload_command([group / ".hidden"]))[2:] == [*map(str, hidden)]
    monkeypatch.chdir(tmp_path)
    assert upload_command(runs) == "wandb sync 'it'\"'\"'s a sweep'/*/wandb/offline-run-*"


LOST = """
import os, signal
from genbench.tracking.mirror import Opening, RunLabels
from genbench.tracking.wandb import Wandb
mirror = Wandb(Opening(root, RunLabels("p", "g", "n", job_type="digits"), {}, mode="offline"))
mirror.log({"loss": 0.5}, images_seen=10)
def below(pid):
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [found for child in children for found in (int(child), *below(child))]
for child in below(os.getpid()):  # wandb's, and no other's
    os.kill(child, signal.SIGKILL)
time.sleep(0.5)
for k in range(3):
    mirror.log({"loss": 0.25}, images_seen=20 + k)
    time.sleep(0.2)
mirror.summary({"fid": 3.0})
mirror.finish("stopped")
print("went on")
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds wandb's process in /proc")
def test_a_wandb_that_dies_is_told_once_and_the_run_goes_on(tmp_path: Path) -> None:
    """Its error would take the place of the run's own end: a stop of a sweep was lost so."""
    script = SCRIPT[: SCRIPT.index("choices")] + LOST
    command = [sys.executable, "-c", script, str(tmp_path / "run")]
    env = clean(tmp_path) | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert "went on" in done.stdout
    assert done.stderr.count("genbench: the connection to wandb was lost") == 1
