"""A model whose weights come from elsewhere: evaluated at once, under the same protocol, and marked."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from genbench.report import load
from tests import pipelines
from tests.conftest import Command, Done

pytest.importorskip("diffusers")

FEW = ("metrics.samples=40", "scores=[fid]", "tracker=jsonl", "device=cpu")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pipelines.ddpm(tmp_path_factory.mktemp("pipelines") / "ddpm")


@pytest.fixture(scope="module")
def words(pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    runs_dir = f"runs_dir={tmp_path_factory.mktemp('runs')}"
    return ("model=diffusers", f"model.path={pipeline}", "model.steps=2", *FEW, runs_dir)


@pytest.fixture(scope="module")
def run(words: tuple[str, ...], main: Command) -> Path:
    done = main(*words)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.splitlines()[-1])


def result(run: Path) -> dict[str, Any]:
    return json.loads((run / "result.json").read_text())


def test_it_is_scored_and_nothing_is_trained(run: Path) -> None:
    found = result(run)
    cost = found["cost"]
    assert (cost["images_seen"], cost["passes_per_sample"]) == (0, 2)
    assert cost["flops_per_sample"] > 0
    assert cost["seconds_per_image"] > 0
    assert {cost[f"training_{name}"] for name in ("seconds", "flops")} == {None}
    (fid,) = (value for name, value in found["metrics"].items() if "fid[" in name and "train,ema" in name)
    assert fid > 0
    assert not any(name.endswith("raw]") for name in found["metrics"])  # it has one set of weights
    assert (run / found["samples"]["grid"]).is_file()


def test_no_checkpoint_repeats_its_weights(run: Path) -> None:
    state = torch.load(run / "checkpoints" / "last.pt", weights_only=True)
    assert [*state["model"]] == [*state["ema"]] == ["fingerprint"]


def test_the_report_says_that_it_was_not_trained_here(run: Path, verb: Command) -> None:
    assert list(load(run.parents[1])["budget"]) == ["not trained here"]
    assert "budget not trained here" in verb("report", run.parents[1]).stdout


def test_beside_a_trained_model_the_budget_is_a_column_and_nothing_is_ranked(
    run: Path, main: Command, verb: Command, tmp_path: Path
) -> None:
    shutil.copytree(run, tmp_path / "default" / run.name)
    trained = ("model=vae", "budget.images=64", "network.encoder.width=8", "network.decoder.width=8")
    assert main(*trained, *FEW, f"runs_dir={tmp_path}").returncode == 0
    table = verb("report", tmp_path).stdout
    assert "Budgets differ (64 images, not trained here), so the rows are not ranked." in table


def test_the_same_command_finds_the_run(run: Path, words: tuple[str, ...], main: Command) -> None:
    before = (run / "result.json").stat().st_mtime_ns
    done = main(*words)
    assert done.returncode == 0
    assert "This run is finished" in done.stdout
    assert (run / "result.json").stat().st_mtime_ns == before


def test_afresh_it_gives_the_same_scores(run: Path, words: tuple[str, ...], main: Command) -> None:
    again = main(*words, "rerun=true")
    assert again.returncode == 0, again.stderr
    assert result(Path(again.stdout.splitlines()[-1]))["metrics"] == result(run)["metrics"]


def test_a_run_can_be_sampled_in_other_steps_and_measured_again(
    run: Path, verb: Command, tmp_path: Path
) -> None:
    for number, more in enumerate(((), ("--steps", "3"), ("--set", "model.steps=3"))):
        done = verb("sample", run, "--out", tmp_path / str(number), "--n", 2, "--device", "cpu", *more)
        assert done.returncode == 0, done.stderr
    grids = [(tmp_path / str(number) / "grid.png").read_bytes() for number in range(3)]
    assert grids[0] != grids[1] == grids[2]
    lines = len((run / "metrics.jsonl").read_text().splitlines())
    assert verb("evaluate", run, "--device", "cpu", "--set", "metrics.samples=30").returncode == 0
    assert len((run / "metrics.jsonl").read_text().splitlines()) == lines


def test_a_run_whose_pipeline_has_other_weights_now_is_refused(
    run: Path, pipeline: Path, verb: Command, tmp_path: Path
) -> None:
    other = pipelines.ddpm(tmp_path / "other", seed=1)
    weights = Path("unet", "diffusion_pytorch_model.safetensors")
    before = (pipeline / weights).read_bytes()
    try:
        shutil.copy(other / weights, pipeline / weights)
        done = verb("sample", run, "--out", tmp_path / "images", "--n", 2, "--device", "cpu")
    finally:
        (pipeline / weights).write_bytes(before)
    assert done.returncode == 2
    assert "not those that the run was made with" in done.stderr
    assert not (tmp_path / "images").exists()


def test_it_has_nothing_to_export(run: Path, verb: Command, tmp_path: Path) -> None:
    done = verb("export", run, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "no weights of its own: copy the folder of its pipeline" in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_estimate_is_of_its_samples_alone(words: tuple[str, ...], main: Command) -> None:
    done = main(*words, "dry_run=true", "seed=7")
    assert done.returncode == 0, done.stderr
    assert "  training " not in done.stdout
    assert re.search(r"^  sampling +0:0\d  \d+ samples, which are scored$", done.stdout, re.MULTILINE)


def refused(done: Done, *says: str) -> None:
    assert done.returncode == 2
    for text in says:
        assert text in done.stderr


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("budget=mnist", "not trained here, so it has no budget"),
        ("budget.images=5", "there is no key budget.images"),
        ("optim=adam", "model=diffusers does not accept optim"),
        ("trainer.batch_size=8", "there is no key trainer.batch_size"),
        ("conditional=true", "has 0 classes, and the data have 10"),
        ("model.steps=2000", "model.steps is 2000"),
        ("data=gaussians data.size=12", "both (C, H, W): use other data"),
    ],
)
def test_settings_of_a_training_and_other_data_are_refused(
    word: str, says: str, words: tuple[str, ...], main: Command
) -> None:
    refused(main(*words, *word.split()), says)


def test_a_recorded_configuration_reads_names_from_the_cache_alone(
    run: Path, verb: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import diffusers

    asked: list[bool] = []

    def load_config(name: str, *, local_files_only: bool, revision: str | None) -> None:
        asked.append(local_files_only)
        raise OSError("it is not in the cache")

    monkeypatch.setattr(diffusers.DiffusionPipeline, "load_config", load_config)
    sent = Path(shutil.copytree(run, tmp_path / "sent"))
    record = json.loads((sent / "run.json").read_text())
    record["config"]["model"]["path"] = "somebody/pipeline"
    (sent / "run.json").write_text(json.dumps(record))
    done = verb("sample", sent, "--out", tmp_path / "images", "--n", 2, "--device", "cpu")
    refused(done, "a recorded configuration downloads nothing", "it is not in the cache")
    assert asked == [True]
