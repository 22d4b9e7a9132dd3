"""Leftovers that cannot be removed keep nobody from the work."""

import os
from pathlib import Path

import pytest

from genbench.data import Digits, prepare
from genbench.records.files import atomic_file, remove_leftovers
from tests.attack.harm import QUIET


def test_a_leftover_that_cannot_be_locked_keeps_no_store_from_being_made(tmp_path: Path) -> None:
    """As one of another user in a shared cache."""
    for name in ("mine", "other"):
        (tmp_path / "data" / f"{name}.part").mkdir(parents=True)
    (tmp_path / "data" / "other.lock").mkdir()
    assert len(prepare(Digits(), cache=tmp_path, progress=QUIET).train) == 1438
    assert [path.name for path in (tmp_path / "data").glob("*.part")] == ["other.part"]


def test_a_folder_named_like_a_temporary_file_goes_with_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genbench.records.files.is_running", lambda pid: False)
    (tmp_path / ".run.json.7.tmp" / "inside").mkdir(parents=True)
    (tmp_path / ".metrics.jsonl.7.tmp").symlink_to("nowhere")
    remove_leftovers([tmp_path])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_place_of_a_temporary_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / f".a.{os.getpid()}.tmp").mkdir()
    with atomic_file(tmp_path / "a") as file:
        file.write(b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
