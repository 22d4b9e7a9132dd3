"""Runs of strangers with strange files: one message, nothing read or written elsewhere."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.attack.strange import KINDS
from tests.attack.verbs import genbench, not_waiting
from tests.conftest import Command, Make
from tests.toys import TINY


@pytest.fixture
def sent(made: Make, tmp_path: Path) -> Path:
    """A copy of the run of a trained model."""
    run = tmp_path / "runs" / "sent"
    shutil.copytree(made("network.width=8", "network.blocks=1", "sampler.steps=3"), run)
    return run


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("run.json", "fifo", "is a named pipe"),
        ("run.json", "zeros", "is a link to a place outside of"),
        ("run.json", "deep", "is not JSON"),
    ],
)
def test_a_model_whose_record_is_a_strange_file_is_one_message(
    sent: Path, tmp_path: Path, name: str, kind: str, told: str
) -> None:
    (sent / name).unlink()
    KINDS[kind](sent / name)
    with not_waiting():
        done = genbench("sample", sent, "--out", tmp_path / "out", "--n", 1, "--steps", 2, "--device", "cpu")
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("kind", ["fifo", "linked", "huge", "noise", "aliases"])
def test_overrides_that_are_a_strange_file_are_one_message(sent: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "secret.yaml").write_text("- seed=1\n")
    path = sent / ".hydra" / "overrides.yaml"
    path.unlink()
    levels = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    KINDS.get(kind, lambda path: path.write_text("\n".join(["a0: &a0 [1]", *levels])))(path)
    with not_waiting():
        done = genbench("evaluate", sent, "--device", "cpu", "--metrics", "none")
    assert (done.code, done.out) == (2, "")
    assert str(path) in done.err
    assert len(done.err.splitlines()) == 1


def test_a_file_that_a_sent_run_links_to_is_not_appended_to(sent: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (sent / "evaluations.jsonl").symlink_to(precious)
    done = genbench("evaluate", sent, "--device", "cpu", "--metrics", "none")
    assert done.code == 2
    assert "evaluations.jsonl is a link" in done.err
    assert precious.read_text() == "mine"


@pytest.mark.slow
def test_a_run_is_not_resumed_onto_links_and_pipes(process: Command, tmp_path: Path) -> None:
    """Of the files that a run writes where they stand, and of those that it reads first."""
    precious = tmp_path / "precious"
    precious.write_text("mine")
    done = process(*TINY, f"runs_dir={tmp_path / 'runs'}")
    assert done.returncode == 0, done.stderr
    (run,) = (path.parent for path in (tmp_path / "runs").rglob("result.json"))
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"status": "stopped"}))
    (run / "result.json").unlink()
    for name in ("metrics.jsonl", "main.log", ".lock", "run.json", "checkpoints/last.pt"):
        kept = tmp_path / "kept"
        if (run / name).exists():
            (run / name).rename(kept)
        for make in (lambda path: os.mkfifo(path), lambda path: path.symlink_to(precious)):
            make(run / name)
            again = process(*TINY, f"runs_dir={tmp_path / 'runs'}")
            assert again.returncode in (1, 2), (name, again.stdout)
            assert name in again.stderr
            assert "Traceback" not in again.stderr
            (run / name).unlink()
        if kept.exists():
            kept.rename(run / name)
    assert precious.read_text() == "mine"
