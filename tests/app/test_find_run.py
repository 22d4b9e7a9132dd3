"""Directories of runs: names are text, refusals leave nothing, no password is written."""

import os
from pathlib import Path

import pytest

from genbench.app.command import as_text
from genbench.app.find_run import new_folders_removed, note_new
from genbench.runtime.disk import check_makable
from tests.conftest import Command
from tests.toys import TINY

QUICK = (*(word for word in TINY if "metrics" not in word), "budget.images=64", "metrics=none")


@pytest.mark.parametrize(
    ("word", "taken"),
    [
        ("name=2024", "name='2024'"),
        ("name=1e5", "name='1e5'"),
        ("name=nan", "name='nan'"),
        ("name=true", "name='true'"),
        ("++runs_dir=007", "++runs_dir=007"),
        ("runs_dir=~/x", "runs_dir='~/x'"),
        ("data.root=/a (1)", "data.root='/a (1)'"),
        ("features.weights=5", "features.weights='5'"),
        ("name=a", "name=a"),
        ("name='2024'", "name='2024'"),
        ("name=null", "name=null"),
        ("name=1,a,1e5", "name='1',a,'1e5'"),
        ("name=${seed}", "name=${seed}"),
        ("seed=2024", "seed=2024"),
    ],
)
def test_a_name_or_a_folder_is_text_however_it_looks(word: str, taken: str) -> None:
    assert as_text(word) == taken


def test_folders_that_are_new_and_empty_go_and_all_others_stay(tmp_path: Path) -> None:
    old, full, empty = tmp_path / "old", tmp_path / "new" / "full", tmp_path / "new" / "a" / "b"
    old.mkdir()
    with new_folders_removed():
        for folder in (old, full, empty):
            note_new(folder)
            folder.mkdir(parents=True, exist_ok=True)
        (full / "file").touch()
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "new", full, full / "file", old]


def test_a_folder_can_be_made_below_folders_alone(tmp_path: Path) -> None:
    check_makable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("file", "file/x", "link", "link/x"):
        with pytest.raises(NotADirectoryError):
            check_makable(tmp_path / name)
    with pytest.raises(OSError, match="too long"):
        check_makable(tmp_path / ("a" * 300))


def test_a_sweep_whose_jobs_are_all_refused_at_work_leaves_nothing(
    main: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").mkdir()
    for place in ("runs", "old"):
        done = main("-m", "seed=-1,-2", f"runs_dir={place}", *QUICK)
        assert done.returncode == 2
        assert "seed is -1" in done.stderr
        assert list(tmp_path.rglob("*")) == [tmp_path / "old"]


@pytest.mark.slow
def test_names_that_look_like_numbers_are_groups_of_a_sweep(
    main: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main("-m", "name=2024,1e5", *QUICK).returncode == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        ".sweeps",
        "1e5",
        "2024",
        "default",
    ]


@pytest.mark.slow
def test_no_file_of_a_run_holds_the_password_of_wandbs_address(
    main: Command, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    secret = {"WANDB_BASE_URL": "https://user:geheim@host.invalid", "HOME": str(tmp_path)}
    done = main(*QUICK, "tracker=wandb", "tracker.mode=offline", env=environment | secret)
    assert done.returncode == 0, done.stderr
    written = [Path(folder, name) for folder, _, names in os.walk(tmp_path) for name in names]
    assert len(written) > 10
    assert [path for path in written if b"geheim" in path.read_bytes()] == []
