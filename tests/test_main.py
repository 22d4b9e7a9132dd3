"""The command line as a user meets it; in a process of its own where that is what is tested."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from PIL import Image

from genbench import app
from genbench.runtime.precision import has_bf16_units
from genbench.runtime.stop import StopRequest
from genbench.tracking import JsonLines
from tests.conftest import ROOT, Command
from tests.toys import TINY

LONGER = ("budget.images=4096", "metrics.likelihood_samples=32", "scores=[fid]")
"""A run that lasts long enough to be killed in the middle, and is evaluated in no time."""


def only_run(runs_dir: Path, group: str = "default") -> Path:
    found = sorted(path for path in (runs_dir / group).iterdir() if (path / "run.json").exists())
    assert len(found) == 1, found
    return found[0]


@pytest.fixture(scope="module")
def runs_dir(process: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One finished run, which the tests below only read."""
    folder = tmp_path_factory.mktemp("runs")
    done = process(*TINY, f"runs_dir={folder}")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_a_run_leaves_its_record_its_result_and_its_pictures(runs_dir: Path) -> None:
    run = only_run(runs_dir)
    record = json.loads((run / "run.json").read_text())
    assert (record["status"], record["seed"], record["device"]) == ("done", 0, "cpu")
    assert (run / ".hydra" / "overrides.yaml").exists()
    result = json.loads((run / "result.json").read_text())
    for of in ("ema", "raw", "test"):
        assert result["metrics"][f"fid[digits-cnn-v1,n=64,ref=train,{of}]"] > 0
    assert result["cost"]["passes_per_sample"] == 3  # three steps of DDIM
    assert result["cost"]["images_seen"] == 512
    assert result["choices"]["schedule"] == "cosine"
    assert result["likelihood"]["bound"] == "lower"
    assert 1 < result["likelihood"]["bits_per_dim"] < 8  # 8 is what a model that knows nothing needs
    pictures = {path.name for path in (run / "samples").iterdir()}
    assert {"real.png", "samples_000000512.png", "trajectory_000000512.png"} <= pictures
    with Image.open(run / "samples" / "samples_000000512.png") as image:
        assert min(image.size) >= 8 * 48  # 64 digits, each large enough to see


def test_a_model_can_be_loaded_and_sampled(runs_dir: Path) -> None:
    model = app.load(only_run(runs_dir), device="cpu")
    x = model.sample(3, rng=torch.Generator().manual_seed(0))
    assert x.shape == (3, 1, 8, 8)
    raw = app.load(only_run(runs_dir), device="cpu", weights="raw")
    assert not torch.equal(raw.sample(3, rng=torch.Generator().manual_seed(0)), x)


def test_the_same_command_prints_the_result_and_does_nothing_again(main: Command, runs_dir: Path) -> None:
    run = only_run(runs_dir)
    before = {path: path.stat().st_mtime_ns for path in run.glob("*.json")}
    again = main(*TINY, f"runs_dir={runs_dir}")
    assert again.returncode == 0
    assert "finished" in again.stdout
    assert "quality: digits-cnn-v1" in again.stdout
    assert again.stdout.strip().splitlines()[-1] == str(run)
    assert {path: path.stat().st_mtime_ns for path in run.glob("*.json")} == before


def test_rerun_starts_afresh_beside_the_first_and_gives_the_same_numbers(
    main: Command, runs_dir: Path, tmp_path: Path
) -> None:
    first = only_run(runs_dir)
    assert main(*TINY, f"runs_dir={runs_dir}", "rerun=true").returncode == 0
    second = first.with_name(f"{first.name}-2")
    results = [json.loads((run / "result.json").read_text()) for run in (first, second)]
    assert results[0]["metrics"] == results[1]["metrics"]
    second.rename(tmp_path / "second")  # the other tests find one run


def test_the_report_tables_the_run(verb: Command, runs_dir: Path) -> None:
    done = verb("report", runs_dir, "--format", "json")
    (row,) = json.loads(done.stdout)
    assert (row["model"], row["data"], row["seed"]) == ("ddpm", "digits", 0)
    assert row["fid[digits-cnn-v1,n=64,ref=train,ema]"] > 0


def start(runs_dir: Path, environment: dict[str, str], *extra: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        str(ROOT / "main.py"),
        *TINY,
        "budget.images=40000",
        f"runs_dir={runs_dir}",
        *extra,
    ]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )


def wait_for(runs_dir: Path, name: str, seconds: float = 120) -> Path:
    """The first file of this name that the run writes."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := sorted(runs_dir.rglob(name)):
            return found[0]
        time.sleep(0.02)
    raise AssertionError(f"no {name} after {seconds} s")


def final_weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints" / "last.pt", weights_only=True)["ema"]


def test_a_run_that_was_killed_goes_on_and_equals_an_uninterrupted_one(
    main: Command, environment: dict[str, str], tmp_path: Path
) -> None:
    """kill -9 in the middle, the same command again: the same weights, log and metrics, bit for bit."""
    settings = ("trainer.checkpoint_every_seconds=0.05", *LONGER, "name=killed")
    killed = start(tmp_path, environment, *settings)
    wait_for(tmp_path, "previous.pt")
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    run = only_run(tmp_path, "killed")
    assert json.loads((run / "run.json").read_text())["status"] == "running"
    seen = torch.load(run / "checkpoints" / "previous.pt", weights_only=True)["images_seen"]
    assert 0 < seen < 4096
    assert not torch.load(run / "checkpoints" / "previous.pt", weights_only=True)["finished"]
    again = main(*TINY, *LONGER, f"runs_dir={tmp_path}", "name=killed")
    assert again.returncode == 0, again.stderr
    assert "Resuming at" in again.stdout
    straight = main(*TINY, *LONGER, f"runs_dir={tmp_path}", "name=straight")
    assert straight.returncode == 0, straight.stderr
    other = only_run(tmp_path, "straight")
    expected = final_weights(other)
    assert all(torch.equal(value, expected[name]) for name, value in final_weights(run).items())
    results = [json.loads((path / "result.json").read_text())["metrics"] for path in (run, other)]
    assert results[0] == results[1]
    assert logged_losses(run) == logged_losses(other)  # nothing twice, nothing missing


def logged_losses(run: Path) -> dict[int, float]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = [(line["images_seen"], line["net/loss"]) for line in lines if "net/loss" in line]
    assert len(dict(losses)) == len(losses)
    return dict(losses)


def test_a_run_goes_on_in_the_precision_that_it_began_in(
    main: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the machine that goes on would have chosen: here the record says bf16, the command auto."""
    words = [word for word in TINY if not word.startswith("precision")]
    command = (*words, *LONGER, f"runs_dir={tmp_path}")
    with monkeypatch.context() as asked:
        asked.setattr(StopRequest, "requested", True)
        assert main(*command).returncode == 130
    run = only_run(tmp_path)
    record = json.loads((run / "run.json").read_text())
    assert record["precision"] in ("fp32", "bf16")
    (run / "run.json").write_text(json.dumps(record | {"precision": "bf16"}))
    again = main(*command)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "images/s (" not in again.stdout  # nothing is measured anew
    kept = "bf16" if has_bf16_units(torch.device("cpu")) else "fp32"  # which would be emulated
    assert json.loads((run / "run.json").read_text())["precision"] == kept
    assert json.loads((run / "result.json").read_text())["choices"]["precision"] == kept


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_ends_as_stopped(
    main: Command, tmp_path: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep gets its signal from another process (tests/app/test_sweeps.py)."""
    log = JsonLines.log

    def signalled(self: JsonLines, values: Mapping[str, float], *, images_seen: int) -> None:
        log(self, values, images_seen=images_seen)
        os.kill(os.getpid(), number)

    with monkeypatch.context() as sent:
        sent.setattr(JsonLines, "log", signalled)
        stopped = main(*TINY, "trainer.log_every_images=64", f"runs_dir={tmp_path}")
    assert stopped.returncode == 130, stopped.stdout + stopped.stderr
    assert "the same command goes on" in stopped.stdout
    run = only_run(tmp_path)
    assert stopped.stdout.strip().splitlines()[-1] == str(run)
    assert json.loads((run / "run.json").read_text())["status"] == "stopped"
    assert (run / "checkpoints" / "last.pt").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["schedule=quadratic"], "quadratic is not an option of schedule: choose from cosine"),
        (["sampler.stepz=3"], "there is no key sampler.stepz; near: sampler.steps"),
        (["data=image_folder", "data.root=/nowhere"], "/nowhere"),
        (["schedule=linear", "schedule.T=10"], "larger T"),
        (["budget.images=none"], "budget.images is 'none'"),
        (
            ["scores=[fid,fdi]"],
            "fdi is not an option of scores: choose from authenticity, caption_accuracy, cas, clip_score,",
        ),
        (["seed"], "seed"),
        (["name=../elsewhere"], "name is '../elsewhere'"),
        (["runs_dir=/proc/nowhere"], "runs_dir is /proc/nowhere"),
        (["metrics=none", "metrics.samples=4"], "metrics.samples is of samples, and metrics=none"),
        (["-m", "seed=0,1", "--cfg", "job"], "--cfg shows one configuration: leave out -m"),
        (["-m", "seed=0,1", "hydra/launcher=none"], 'pip install -e ".[sweep]"'),
    ],
)
def test_a_wrong_command_is_one_clear_message_and_exit_code_two(
    main: Command, tmp_path: Path, arguments: list[str], message: str
) -> None:
    place = [] if any("runs_dir" in argument for argument in arguments) else [f"runs_dir={tmp_path}"]
    done = main(*arguments, *place)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("genbench: ")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]  # nothing is left behind


def test_a_damaged_image_is_named_without_a_traceback(main: Command, tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / "images" / label).mkdir(parents=True)
        for k in range(6):
            Image.new("L", (9, 9), 20 * k).save(tmp_path / "images" / label / f"{k}.png")
    (tmp_path / "images" / "b" / "3.png").write_bytes(b"no image")
    done = main("data=image_folder", f"data.root={tmp_path}/images", "metrics=none", f"runs_dir={tmp_path}/r")
    assert done.returncode == 2, done.stderr
    assert "3.png" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "r").rglob("*.*"))


def test_a_training_that_diverges_says_where_and_ends_as_failed(main: Command, tmp_path: Path) -> None:
    done = main(*TINY, f"runs_dir={tmp_path}", "optim.lr=1e30", "trainer.clip_norm=null")
    assert done.returncode == 1, done.stdout
    assert "not finite in phase 'net' at step" in done.stderr
    assert "Traceback" not in done.stderr
    record = json.loads((only_run(tmp_path) / "run.json").read_text())
    assert record["status"] == "failed"
    assert "not finite" in record["error"]


def test_a_run_without_inception_weights_trains_and_says_how_to_evaluate(
    main: Command, environment: dict[str, str], tmp_path: Path
) -> None:
    nowhere = {
        "TORCH_HOME": str(tmp_path),
        "https_proxy": "http://127.0.0.1:9",
    }  # a port where nobody listens
    done = main(*TINY, "metrics=inception", f"runs_dir={tmp_path}/runs", env=environment | nowhere)
    assert done.returncode == 3, done.stdout + done.stderr
    assert done.stderr.count("or use metrics=classifier, which") == 1  # before the training
    assert "says, and repeat this" in done.stderr
    run = only_run(tmp_path / "runs")
    assert json.loads((run / "run.json").read_text())["status"] == "stopped"
    assert torch.load(run / "checkpoints" / "last.pt", weights_only=True)["finished"]


def test_two_processes_do_not_work_on_one_run(
    main: Command, environment: dict[str, str], tmp_path: Path
) -> None:
    first = start(tmp_path, environment)
    wait_for(tmp_path, "metrics.jsonl")
    second = main(*TINY, "budget.images=40000", f"runs_dir={tmp_path}")
    first.kill()
    first.wait()
    assert second.returncode == 2, second.stderr
    assert "another process is working on" in second.stderr


def test_a_checkpoint_is_not_continued_on_other_images(main: Command, tmp_path: Path) -> None:
    for split in ("train", "test"):
        for k in range(20):
            (tmp_path / "images" / split / str(k % 2)).mkdir(parents=True, exist_ok=True)
            path = tmp_path / "images" / split / str(k % 2) / f"{k}.png"
            Image.new("L", (8, 8), 10 * k).save(path)
    arguments = (
        *TINY,
        "data=image_folder",
        f"data.root={tmp_path}/images",
        "data.size=8",
        "data.channels=1",
        "metrics=classifier",
        "features.images=64",
        "metrics.samples=20",
        "budget.images=64",
        f"runs_dir={tmp_path}/runs",
    )
    done = main(*arguments)
    assert done.returncode == 0, done.stderr
    run = only_run(tmp_path / "runs")
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"status": "stopped"}))
    Image.new("L", (8, 8), 255).save(tmp_path / "images" / "train" / "0" / "new.png")
    again = main(*arguments)
    assert again.returncode == 2, again.stdout
    assert "not those that" in again.stderr
    assert "rerun=true" in again.stderr


def test_help_shows_the_groups_with_their_options_and_examples(main: Command) -> None:
    done = main("--help")
    assert done.returncode == 0
    assert "schedule         cosine, edm, erasure, geometric, learned, linear, sigmoid" in done.stdout
    assert done.stdout.count("python main.py") >= 3
    of_one = main("--help", "loss")
    assert "l2      Squared error (L_simple)." in of_one.stdout
    assert "schedule" not in of_one.stdout
    refused = main("nonsense", "-h")
    assert refused.returncode == 2
    assert "no such group" in refused.stderr


def test_help_imports_neither_torch_nor_anything_heavy(environment: dict[str, str]) -> None:
    command = [sys.executable, "-X", "importtime", str(ROOT / "main.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not imported & {"torch", "wandb", "matplotlib", "sklearn", "torchmetrics", "pandas"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device")
@pytest.mark.parametrize("words", [["--help"], ["--cfg", "job"]])
def test_help_that_a_full_disk_refuses_ends_with_one_message(
    words: list[str], environment: dict[str, str]
) -> None:
    command = [sys.executable, str(ROOT / "main.py"), *words]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment, check=False
        )
    assert done.returncode == 1
    assert done.stderr.startswith("genbench: the output cannot be written: No space left")
    assert len(done.stderr.splitlines()) == 1


def test_cfg_job_shows_the_whole_configuration(main: Command) -> None:
    done = main("schedule=linear", "--cfg", "job")
    assert done.returncode == 0
    assert "genbench.diffusion.schedule.Linear" in done.stdout
    assert "batch_size: 64" in done.stdout


def test_completion_offers_the_options_of_a_group(environment: dict[str, str]) -> None:
    environment = environment | {"COMP_LINE": "python main.py schedule=", "COMP_POINT": "24"}
    command = [sys.executable, str(ROOT / "main.py"), "-sc", "query=bash"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert "schedule=cosine" in done.stdout


def test_a_multirun_runs_every_combination(main: Command, tmp_path: Path) -> None:
    done = main(
        "-m", *TINY, "schedule=linear,cosine", "scores=[fid]", f"runs_dir={tmp_path}", "budget.images=128"
    )
    assert done.returncode == 0, done.stderr
    results = sorted((tmp_path / "default").glob("*/result.json"))
    assert {json.loads(path.read_text())["choices"]["schedule"] for path in results} == {"linear", "cosine"}
