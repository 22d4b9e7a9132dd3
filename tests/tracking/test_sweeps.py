"""Sweeps and wandb: what is kept offline goes up by one printed command, and wandb's agents can run jobs."""

import itertools
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir

from genbench import app
from genbench.tracking import upload_command
from tests.conftest import ROOT, Command
from tests.toys import TINY
from tests.tracking.test_wandb import written

pytest.importorskip("wandb")

OFFLINE = ("tracker=wandb", "tracker.mode=offline")
SMALL = (
    *TINY,
    *OFFLINE,
    "budget.images=256",
    "trainer.evaluate_every_images=128",
    "trainer.evaluate_samples=64",
)


def upload(stdout: str) -> str:
    """The one command that is printed."""
    (line,) = [line for line in stdout.splitlines() if line.startswith("To upload: ")]
    return line.removeprefix("To upload: ")


def test_one_printed_command_uploads_all_offline_runs_of_a_sweep(main: Command, tmp_path: Path) -> None:
    runs_dir = tmp_path / "my runs"
    done = main("-m", *SMALL, "seed=0,1", f"runs_dir={runs_dir}")
    assert done.returncode == 0, done.stdout + done.stderr
    command = upload(done.stdout)
    kept = sorted(runs_dir.glob("default/*/wandb/offline-run-*"))
    assert len(kept) == 2

    # A shell takes it as it stands, and wandb finds the runs
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = dict(os.environ) | {"PATH": tools, "HOME": str(tmp_path), "WANDB_CONFIG_DIR": str(tmp_path)}
    dry = subprocess.run(
        f"{command} --dry-run", shell=True, env=env, capture_output=True, text=True, timeout=60
    )
    assert dry.returncode == 0, dry.stderr
    assert "Would sync 2 run(s)" in dry.stderr
    assert all(folder.name in dry.stderr for folder in kept)

    # A single run has its own command, above its directory, until it is uploaded
    again = main(*SMALL, "seed=0", f"runs_dir={runs_dir}")  # it is finished
    (folder,) = [folder for folder in kept if "seed0" in str(folder)]
    assert shlex.split(upload(again.stdout)) == ["wandb", "sync", str(folder)]
    assert again.stdout.splitlines()[-1] == str(folder.parents[1])
    (log,) = folder.glob("*.wandb")
    log.with_suffix(".wandb.synced").touch()
    assert upload_command([folder.parents[1]]) is None

    # What the panels show is there
    record, summary = written(folder.parents[1]).values()
    assert record["run_group"] == "default"
    assert "digits-cnn-v1,n=64" in record["tags"]
    of_others = {"bits_per_dim_exact", "bits_per_dim_estimate"}
    missing = panel_keys() - summary.keys() - of_others
    assert all(key.startswith(("best_", "validation/")) for key in missing)  # of runs with validation
    assert {"result_table.ncols", "training_seconds"} <= summary.keys()


def panel_keys() -> set[str]:
    """The keys that the dashboard's panels ask for: one that no run writes would be an empty panel."""
    dashboard = pytest.importorskip(
        "genbench.tracking.wandb_workspace", reason='pip install "genbench[dashboard]"'
    )
    view = json.loads(dashboard.specification(dashboard.workspace("p", "")))
    sections = view["spec"]["section"]["panelBankConfig"]["sections"]
    configs = [panel["config"] for section in sections for panel in section["panels"]]
    axes = {config[axis] for config in configs for axis in ("xAxis", "yAxis") if axis in config}
    keys = axes.union(*(config.get("metrics", []) for config in configs))
    return {key.removeprefix("summary:") for key in keys}


def test_the_example_sweep_calls_main_with_jobs_that_compose() -> None:
    utils = pytest.importorskip("wandb.sdk.launch.sweeps.utils")
    sweep = yaml.safe_load((ROOT / "examples" / "wandb_sweep.yaml").read_text())
    assert sweep["metric"]["name"] == "fid"
    command = utils.create_sweep_command(sweep["command"])
    assert command[-3:] == ["${interpreter}", "${program}", "${args_no_hyphens}"]
    assert (ROOT / sweep["program"]).is_file()
    keys = sweep["parameters"].keys()
    jobs = list(itertools.product(*(each["values"] for each in sweep["parameters"].values())))
    assert len(jobs) == 12
    for values in jobs[::3]:  # each model
        chosen = {key: {"value": value} for key, value in zip(keys, values, strict=True)}
        words = utils.create_sweep_command_args({"args": chosen})["args_no_hyphens"]
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            app.build(compose("config", overrides=words))


@pytest.mark.slow
def test_a_job_as_an_agent_starts_it_runs_under_the_agents_id(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """As tests/tracking/test_wandb.py holds it of the tracker alone."""
    utils = pytest.importorskip("wandb.sdk.launch.sweeps.utils")
    sweep = yaml.safe_load((ROOT / "examples" / "wandb_sweep.yaml").read_text())
    chosen = {key: {"value": each["values"][0]} for key, each in sweep["parameters"].items()}
    filled = {
        "${env}": ["/usr/bin/env"],
        "${interpreter}": [sys.executable],
        "${program}": [str(ROOT / sweep["program"])],
        "${args_no_hyphens}": utils.create_sweep_command_args({"args": chosen})["args_no_hyphens"],
    }
    command = [part for word in utils.create_sweep_command(sweep["command"]) for part in filled[word]]
    small = [word for word in TINY if not word.startswith(("tracker", "budget"))]
    command += [*small, "budget.images=64", "tracker=wandb", f"runs_dir={tmp_path}/runs"]
    agent = {"WANDB_RUN_ID": "ofagent1", "WANDB_SWEEP_ID": "sweep1", "WANDB_MODE": "offline"}
    done = subprocess.run(
        command, env=environment | agent, cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = (tmp_path / "runs" / "default").glob("ddpm-digits-seed0-*")
    (folder,) = (run / "wandb").glob("offline-run-*")
    assert folder.name.endswith("-ofagent1")
    assert {"fid", "images_seen"} <= written(run)["summary"].keys()
