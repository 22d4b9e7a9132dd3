"""Checks of runs against a protocol, and files of submissions, also of strangers."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from genbench.records.feature_network import to_record, wilson
from genbench.records.files import sealed
from genbench.records.shipped_networks import SHIPPED
from genbench.report.protocol.checks import checks
from genbench.report.protocol.file import Protocol
from genbench.report.protocol.submission import read_submission, rows_of, submission_text
from tests.report.protocol.conftest import FID, KEY, Train


def faults(runs: Path, protocol: Protocol) -> dict[str, list[str]]:
    """The faults of the first row below a directory, by the names of the checks that fail."""
    (row, *_), _ = rows_of(runs)
    return {check.name: [*check.faults] for check in checks(protocol, row.runs) if check.faults}


def test_runs_as_the_protocol_wants_them_pass(train: Train, toy: Protocol, tmp_path: Path) -> None:
    for seed in toy.seeds:
        train(seed=seed)
    assert faults(tmp_path / "runs", toy) == {}


FAULTS: list[tuple[str, dict[str, Any], str]] = [
    ("images", {"data_key": "00" * 32}, "train on data=digits as it is published"),
    ("images", {"config": {"model": {"shape": [1, 16, 16]}}}, "shape [1, 16, 16] instead of [1, 8, 8]"),
    ("budget", {"config": {"budget": {"seconds": 61}}}, "budget.seconds is 61"),
    ("budget", {"config": {"budget": {"images": 5}}}, "budget.images is 5"),
    ("budget", {"config": {"budget": {"until": 2.0}}}, "budget.until=null"),
    ("budget", {"cost": {"ended_early": "patience"}}, "trainer.patience=null"),
    ("budget", {"cost": {"training_seconds": 70.0}}, "70 seconds spent instead of 60"),
    ("budget", {"cost": {"training_seconds": 30.0}}, "30 seconds spent instead of 60"),
    ("budget", {"cost": {"device": "NVIDIA H200"}}, "trained on NVIDIA H200 instead of cpu (1 thread)"),
    ("scores", {"metrics": {FID: "nan"}}, "no fid["),
    ("settings", {"config": {"metrics": {"samples": None}}}, "train with metrics.samples=359"),
    ("kind of model", {"cost": {"start_images": 100}}, "began with the weights of another run"),
    ("kind of model", {"cost": {"images_seen": 0}}, "no image was seen in training"),
    ("kind of model", {"config": {"text": {"path": "/clip"}}}, "text.path"),
    ("kind of model", {"config": {"guidance": {"sha256": "ab"}}}, "guidance.sha256"),
    ("kind of model", {"config": {"autoencoder": {"run_dir": "r"}}}, "autoencoder.run_dir"),
    (
        "kind of model",
        {"config": {"model": {"loss": {"_target_": "genbench.metrics.X"}}}},
        "genbench.metrics.X",
    ),
    ("test images choose nothing", {"config": {"objective": "bits_per_dim"}}, "take objective=fid"),
    ("test images choose nothing", {"config": {"weights": "ema_0.1"}}, "submit the run itself"),
]


@pytest.mark.parametrize(("check", "change", "message"), FAULTS)
def test_each_fault_is_found_by_its_check_with_the_remedy(
    check: str, change: dict[str, Any], message: str, train: Train, toy: Protocol, tmp_path: Path
) -> None:
    for seed in toy.seeds:
        train(seed=seed, change=change)
    found = faults(tmp_path / "runs", toy)
    assert list(found) == [check]
    assert message in found[check][0]
    assert found[check][0].startswith("seed 0, 1, 2: ")


def test_networks_of_the_evaluation_are_not_taken_for_pretrained_models(
    train: Train, toy: Protocol, tmp_path: Path
) -> None:
    change = {"config": {"features": {"_target_": "genbench.metrics.Inception", "weights": "/w.pth"}}}
    for seed in toy.seeds:
        train(seed=seed, change=change)
    assert faults(tmp_path / "runs", toy) == {}


@pytest.mark.parametrize(
    ("excluded", "choices", "is_refused"),
    [
        (["guided"], {"conditional": "true", "guidance": "classifier_free"}, True),
        (["guided"], {"conditional": "true", "guidance": "none"}, False),
        (["conditional"], {"conditional": "true", "guidance": "none"}, True),
        ([], {"conditional": "true", "guidance": "classifier_free"}, False),
    ],
)
def test_guided_and_conditional_models_are_refused_where_they_are_excluded(
    excluded: list[str],
    choices: dict[str, str],
    is_refused: bool,
    rules: dict[str, Any],
    train: Train,
    tmp_path: Path,
) -> None:
    for seed in (0, 1, 2):
        train(seed=seed, change={"choices": choices})
    found = faults(tmp_path / "runs", Protocol.of(rules | {"excluded": excluded}))
    assert list(found) == (["kind of model"] if is_refused else [])


def test_missing_and_further_seeds_and_mixed_code_are_faults(
    train: Train, toy: Protocol, tmp_path: Path
) -> None:
    train(seed=0)
    train(seed=1, record={"git": {"commit": "b" * 40}, "versions": {"torch": "2.9.0"}})
    train(seed=5, record={"git": {"dirty": True}})
    found = faults(tmp_path / "runs", toy)
    assert [*found] == ["seeds", "code", "one version of the code"]
    assert found["seeds"] == [
        "no finished run of seed 2: train with seed=0,1,2",
        "seed 5 is none of 0,1,2: leave those runs out",
    ]
    assert "several commits" in found["one version of the code"][0]
    assert "torch 2.8.0; torch 2.9.0" in found["one version of the code"][1]


def test_unfinished_runs_are_named_and_configurations_are_rows(
    train: Train, toy: Protocol, tmp_path: Path
) -> None:
    for model in ("vae", "flow"):
        for seed in toy.seeds:
            train(model, seed)
    (tmp_path / "runs" / "gan").mkdir()
    (tmp_path / "runs" / "gan" / "run.json").write_text('{"status": "failed", "error": "diverged"}')
    rows, left_out = rows_of(tmp_path / "runs")
    assert [(row.name, [run["seed"] for run in row.runs]) for row in rows] == [
        ("flow", [0, 1, 2]),
        ("vae", [0, 1, 2]),
    ]
    assert left_out == {"gan": "failed: diverged"}


@pytest.fixture
def written(train: Train, toy: Protocol, tmp_path: Path) -> Path:
    for seed in toy.seeds:
        train(seed=seed)
    path = tmp_path / "mine.json"
    path.write_text(submission_text(toy, rows_of(tmp_path / "runs")[0]))
    return path


def test_the_same_runs_give_the_same_bytes_and_no_path_of_the_machine(
    written: Path, toy: Protocol, tmp_path: Path
) -> None:
    (tmp_path / "runs").rename(tmp_path / "elsewhere")
    text = written.read_text()
    assert submission_text(toy, rows_of(tmp_path / "elsewhere")[0]) == text
    assert "/home/somebody" not in text
    assert "nan" not in text
    assert str(tmp_path) not in text


def test_a_submission_is_read_as_it_was_written(written: Path, toy: Protocol) -> None:
    found = read_submission(written)
    assert found.protocol == toy
    (row,) = found.rows
    assert row.summary(toy)[FID] == {"mean": pytest.approx(5.1), "std": pytest.approx(0.1), "n": 3}
    assert all(len(run["files"]["result.json"]) == 64 for run in row.runs)
    assert row.runs[0]["result"]["data_key"] == KEY


def test_what_no_leaderboard_would_read_is_not_written(
    train: Train, toy: Protocol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in toy.seeds:
        train(seed=seed, change={"choices": {"network": "a" * 3000}})
    rows, _ = rows_of(tmp_path / "runs")
    with pytest.raises(
        ValueError, match=r"no leaderboard would take these runs: a text has 3,000 characters"
    ):
        submission_text(toy, rows)
    monkeypatch.setattr("genbench.report.protocol.submission.LONGEST", 5000)
    with pytest.raises(ValueError, match="it has 101 rows; legal are 1 to 100 a file"):
        submission_text(toy, rows * 101)
    monkeypatch.setattr("genbench.report.protocol.submission.BYTES", 5000)
    with pytest.raises(ValueError, match="at most 5,000 are read: use several files"):
        submission_text(toy, rows)


def sealed_again(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the content of a submission, and give it the right checksum again, as a stranger could."""
    content = json.loads(path.read_text())["submission"]
    change(content)
    path.write_text(json.dumps(sealed("submission", content)))


def run_of(content: dict[str, Any]) -> dict[str, Any]:
    return content["rows"][0]["runs"][0]


def state_network(content: dict[str, Any], protocol: str = "digits-cnn-v1", **changes: float) -> None:
    """Let a run state of a feature network what is known of the shipped one, but for some changes."""
    known = to_record({protocol: replace(SHIPPED["digits-cnn-v1"], **changes)})  # type: ignore[arg-type]
    run_of(content)["result"]["feature_networks"] = known


HOSTILE: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda c: c.update(extra=1), "the key 'extra'"),
    (lambda c: c.update(rows=[]), "0 rows"),
    (lambda c: c.update(format="other"), "its format is"),
    (lambda c: c.update(protocol_sha256="0" * 64), "hash of its protocol is wrong"),
    (lambda c: c["protocol"].update(seeds=[0, 1]), "hash of its protocol is wrong"),
    (lambda c: c["protocol"].pop("seeds"), "lacks seeds"),
    (lambda c: c["protocol"].update(settings={"metrics.samples": 10**400}), "must be one number or word"),
    (lambda c: c["rows"][0].update(html="<b>"), "the key 'html'"),
    (lambda c: c["rows"][0]["summary"][FID].update(mean=0.1), "are not those of its runs"),
    (lambda c: c["rows"][0]["summary"][FID].update(std=None), "are not those of its runs"),
    (lambda c: c["rows"][0]["summary"][FID].update(n="3"), "are not those of its runs"),
    (lambda c: c["rows"][0]["summary"][FID].update(more=3), "are not those of its runs"),
    (lambda c: c["rows"][0]["summary"].update({FID: 5.1}), "are not those of its runs"),
    (lambda c: c["rows"][0]["summary"].pop(FID), "are not those of its runs"),
    (lambda c: run_of(c)["result"]["metrics"].update({FID: 0.1}), "are not those of its runs"),
    (lambda c: run_of(c)["result"]["metrics"].update({FID: "nan"}), "not a finite number"),
    (lambda c: run_of(c)["result"]["metrics"].update({FID: float("nan")}), "not finite"),
    (lambda c: run_of(c)["result"]["metrics"].update({FID: [1]}), "not a number"),
    (lambda c: run_of(c)["result"]["metrics"].update({FID: 10**400}), "bits"),
    (lambda c: run_of(c)["result"]["metrics"].pop(FID), "breaks the protocol: seed 0: no fid["),
    (lambda c: run_of(c)["result"]["cost"].update(training_seconds=600.0), "breaks the protocol"),
    (lambda c: run_of(c)["result"]["cost"].update(training_seconds=None), "None seconds spent"),
    (lambda c: run_of(c)["result"]["config"].update(budget={"seconds": [1]}), "budget.seconds is [1]"),
    (lambda c: run_of(c)["result"]["config"].update(data=None), "no data"),
    (lambda c: run_of(c)["result"]["choices"].update(model=["a"]), "list"),
    (lambda c: run_of(c)["result"]["choices"].update(model="a" * 3000), "3,000 characters"),
    (lambda c: state_network(c, accuracy=0.1, accuracy_low=0.1, accuracy_high=0.1), "what is not so"),
    (lambda c: state_network(c, accuracy_low=0.0), "what is not so"),
    (lambda c: state_network(c, training_images=7), "ships features of a classifier trained on 1,438"),
    (lambda c: state_network(c, "mine", accuracy=0.1), "outside its interval"),
    (lambda c: run_of(c).update(seed=7), "its seed is not that of its result"),
    (lambda c: run_of(c).update(seed="0"), "whole number"),
    (lambda c: run_of(c).update(commit=5), "must be text"),
    (lambda c: run_of(c).update(dirty="no"), "true, false or null"),
    (lambda c: run_of(c).pop("files"), "exactly the keys"),
    (lambda c: c["rows"][0]["runs"].pop(), "no finished run of seed 2"),
    (lambda c: c["rows"][0].update(runs=[1]), "exactly the keys"),
]


@pytest.mark.parametrize(("change", "message"), HOSTILE)
def test_a_strangers_file_that_no_run_would_give_is_refused(
    change: Callable[[dict[str, Any]], object], message: str, written: Path
) -> None:
    sealed_again(written, change)
    with pytest.raises(ValueError, match=r".*") as raised:
        read_submission(written)
    assert message in str(raised.value)


def test_a_file_that_was_changed_after_it_was_written_is_refused(written: Path) -> None:
    written.write_text(written.read_text().replace("5.1", "0.1", 1))
    with pytest.raises(ValueError, match="its checksum is wrong"):
        read_submission(written)


def test_a_mean_may_differ_by_rounding_as_another_python_sums(written: Path) -> None:
    def rounded(content: dict[str, Any]) -> None:
        summary = content["rows"][0]["summary"][FID]
        summary |= {"mean": summary["mean"] * (1 + 1e-12), "std": summary["std"] * (1 - 1e-10)}

    sealed_again(written, rounded)
    assert len(read_submission(written).rows) == 1


@pytest.mark.parametrize("right", [356, 357, 358])
def test_a_shipped_network_may_find_one_image_more_or_less_on_another_machine(
    right: int, written: Path
) -> None:
    low, high = wilson(right, 359)
    sealed_again(
        written, lambda c: state_network(c, accuracy=right / 359, accuracy_low=low, accuracy_high=high)
    )
    assert len(read_submission(written).rows) == 1


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"[" * 100_000, b"\xff", b'{"sha256": 1}'])
def test_what_is_no_submission_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(ValueError, match=r".*"):
        read_submission(tmp_path / "x.json")


def test_a_link_out_of_the_folder_is_not_followed(written: Path, tmp_path: Path) -> None:
    folder = tmp_path / "submissions"
    folder.mkdir()
    (folder / "x.json").symlink_to(written)
    with pytest.raises(ValueError, match="not followed"):
        read_submission(folder / "x.json")
