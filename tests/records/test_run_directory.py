import json
import subprocess
import sys
from pathlib import Path

import pytest

from genbench.records import run_directory as module
from genbench.records.files import atomic_file, read_json, write_json_atomic
from genbench.records.run_directory import Run, git_state, rerun_path, version

CONFIG = {"model": {"_target_": "genbench.families.diffusion.DDPM"}, "seed": 1}


def begun(path: Path) -> Run:
    run = Run(path)
    run.begin("abc", CONFIG, "cpu", 1)
    return run


def test_a_run_that_has_not_begun_has_no_status_and_no_directory(tmp_path: Path) -> None:
    run = Run(tmp_path / "group" / "run")
    assert run.status is None
    assert run.record() is None
    assert run.finished_result() is None
    assert not run.path.exists()


def test_begin_records_who_the_run_is(tmp_path: Path) -> None:
    run = begun(tmp_path / "group" / "run")
    record = run.record()
    assert record is not None
    assert run.status == "running"
    expected = {"identity": "abc", "config": CONFIG, "device": "cpu", "seed": 1, "command": sys.argv}
    assert record | expected == record
    assert record["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert record["versions"]["torch"] == version("torch")


@pytest.mark.parametrize("status", ["done", "failed", "stopped"])
def test_end_records_the_status_and_the_error_in_one_line(tmp_path: Path, status: str) -> None:
    run = begun(tmp_path)
    run.end(status, "ValueError: lr is -1,\n\tand more\n" + 9999 * "x ")
    record = run.record()
    assert record is not None
    assert run.status == status
    assert record["error"].startswith("ValueError: lr is -1, and more x x")
    assert record["error"].endswith("x ..")
    assert record["sessions"][-1]["ended"] is not None


def test_a_run_that_ends_well_has_no_error(tmp_path: Path) -> None:
    run = begun(tmp_path)
    run.end("done", "  \n")
    assert run.record()["error"] is None


def test_beginning_again_keeps_the_history_and_counts_a_killed_session_as_stopped(tmp_path: Path) -> None:
    begun(tmp_path)
    begun(tmp_path).end("failed", "x")
    run = begun(tmp_path)
    record = run.record()
    assert [session["status"] for session in record["sessions"]] == ["stopped", "failed", "running"]
    assert record["sessions"][0]["ended"] is None
    assert record["started"] == record["sessions"][0]["started"]
    assert record["error"] is None


def test_a_run_of_another_identity_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    run = begun(tmp_path)
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(ValueError, match=r"identity abc, this one is xyz: give this run another directory"):
        run.begin("xyz", CONFIG, "cpu", 1)
    assert (tmp_path / "run.json").read_bytes() == before


def test_ending_a_run_that_has_not_begun_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="begin"):
        Run(tmp_path).end("done", None)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[1]"])
def test_a_damaged_record_is_an_error_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"run\.json"):
        Run(tmp_path).status  # noqa: B018


def test_json_comes_back_with_words_for_what_it_cannot_hold(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json_atomic(
        path, {"a": [float("nan"), (float("inf"),)], "b": {"c": -float("inf")}, "d": None, "e": 1.5}
    )
    assert read_json(path) == {"a": ["nan", ["inf"]], "b": {"c": "-inf"}, "d": None, "e": 1.5}


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_json_atomic(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json_atomic(path, {"a": {1, 2}})
    with pytest.raises(TypeError), atomic_file(path) as file:
        file.write("text")
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def finished(path: Path, status: str) -> None:
    run = Run(path)
    run.begin("identity", {}, "cpu", 0)
    run.end(status)


def test_a_rerun_goes_beside_finished_runs_and_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "run"
    assert rerun_path(path) == path
    finished(path, "stopped")
    assert rerun_path(path) == tmp_path / "run-2"  # the first run is not the rerun
    finished(tmp_path / "run-2", "stopped")
    assert rerun_path(path) == tmp_path / "run-2"
    finished(tmp_path / "run-2", "done")
    assert rerun_path(path) == tmp_path / "run-3"


def git(root: Path, *arguments: str) -> None:
    name = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *name, *arguments], cwd=root, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout that the package seems to run from."""
    inner = tmp_path / "genbench" / "records"
    inner.mkdir(parents=True)
    (inner / "run_directory.py").write_text("")
    monkeypatch.setattr(module, "__file__", str(inner / "run_directory.py"))
    return tmp_path


def test_git_state_is_the_commit_and_whether_files_changed(checkout: Path) -> None:
    assert git_state() is None
    git(checkout, "init")
    assert git_state() is None  # no commit yet
    git(checkout, "add", ".")
    git(checkout, "commit", "-m", "first")
    head = (checkout / ".git" / "logs" / "HEAD").read_text().split()[1]
    (checkout / "docs").mkdir()
    (checkout / "docs" / "page.md").write_text("no number depends on it")
    assert git_state() == {"commit": head, "dirty": False}
    (checkout / "genbench" / "records" / "run_directory.py").write_text("changed")
    assert git_state() == {"commit": head, "dirty": True}


def test_a_package_inside_somebody_elses_checkout_has_no_git_state(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = checkout / "site-packages" / "genbench" / "records"
    inner.mkdir(parents=True)
    git(checkout, "init")
    git(checkout, "add", ".")
    git(checkout, "commit", "-m", "first")
    monkeypatch.setattr(module, "__file__", str(inner / "run_directory.py"))
    assert git_state() is None


def test_without_git_there_is_no_git_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state() is None


def test_a_package_that_is_not_installed_has_no_version() -> None:
    assert version("no-such-package-of-genbench") is None
