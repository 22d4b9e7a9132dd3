"""Leaderboards: which rows stand where, what is bold, and that no text of a stranger leaves its place."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from genbench.report.page.leaderboard import leaderboard_html
from genbench.report.protocol.file import Protocol
from genbench.report.protocol.leaderboard import boards, check_new_figures, read_submissions
from genbench.report.protocol.submission import Row, Submission, rows_of, run_record, submission_text
from tests.report.protocol.conftest import FID, Train

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7 * 7 }}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "submissions").mkdir()
    return tmp_path / "submissions"


def submit(name: str, folder: Path, protocol: Protocol) -> Path:
    """Write a submission of all runs below the folder of runs, which is empty again behind it."""
    runs = folder.parent / "runs"
    path = folder / f"{name}.json"
    path.write_text(submission_text(protocol, rows_of(runs)[0]))
    shutil.rmtree(runs)
    return path


def three(train: Train, model: str, fid: float, change: dict[str, Any] | None = None) -> None:
    for seed in (0, 1, 2):
        train(model, seed, fid, change=change)


def test_rows_are_ranked_by_the_first_score_and_bold_where_the_lead_is_significant(
    train: Train, toy: Protocol, folder: Path
) -> None:
    three(train, "vae", 5.0)
    three(train, "flow", 3.0)
    submit("alice", folder, toy)
    three(train, "gan", 4.0)
    submit("bob", folder, toy)
    (board,) = boards(read_submissions(folder)[0])
    assert [(origin.name, origin.file) for origin in board.origins] == [
        ("flow", "alice"),
        ("gan", "bob"),
        ("vae", "alice"),
    ]
    place = [col.name for col in board.table.columns].index(FID)
    assert [line.entries[place].is_best for line in board.table.lines] == [True, False, False]


def test_equal_configurations_of_two_people_are_two_rows_and_a_copy_is_left_out(
    train: Train, toy: Protocol, folder: Path
) -> None:
    three(train, "vae", 5.0)
    path = submit("alice", folder, toy)
    three(train, "vae", 5.05)
    submit("bob", folder, toy)
    shutil.copy(path, folder / "carol.json")
    found, left_out = read_submissions(folder)
    (board,) = boards(found)
    assert [origin.file for origin in board.origins] == ["alice", "bob"]
    assert not any(entry.is_best for line in board.table.lines for entry in line.entries)
    assert left_out == {"carol.json": "its row vae has the very figures of a row of alice.json"}


def test_two_rows_of_one_file_with_the_same_figures_are_refused(train: Train, toy: Protocol) -> None:
    row = Row("a", [run_record(train("vae", seed)) for seed in toy.seeds])
    with pytest.raises(ValueError, match="rows a and b have the same figures: leave one out"):
        check_new_figures(Path("x.json"), Submission(toy, [row, Row("b", row.runs)]), {})


def test_protocols_that_differ_in_anything_have_tables_of_their_own(
    train: Train, rules: dict[str, Any], folder: Path
) -> None:
    for name, version in (("alice", 1), ("bob", 2)):
        three(train, "vae", 5.0)
        submit(name, folder, Protocol.of(rules | {"version": version}))
    found = boards(read_submissions(folder)[0])
    assert [board.protocol.version for board in found] == [1, 2]
    assert all("none of the protocols" in board.remark for board in found)
    assert "differs from it" in boards_of_shipped_name(train, rules, folder)


def boards_of_shipped_name(train: Train, rules: dict[str, Any], folder: Path) -> str:
    three(train, "gan", 5.0)
    submit("eve", folder, Protocol.of(rules | {"name": "digits_60s"}))
    return next(x.remark for x in boards(read_submissions(folder)[0]) if x.protocol.name == "digits_60s")


def test_guided_rows_are_marked(train: Train, toy: Protocol, folder: Path) -> None:
    three(train, "vae", 5.0)
    three(train, "ddpm", 3.0, {"choices": {"conditional": "true", "guidance": "classifier_free"}})
    submit("alice", folder, toy)
    text = leaderboard_html(boards(read_submissions(folder)[0]), {}, title="board")
    assert re.search(r"ddpm[^<\n]* ‡", text)
    assert not re.search(r"vae[^<\n]* ‡", text)
    assert "guided samples, and rows without this mark are not guided" in text


def test_texts_of_strangers_are_escaped_and_the_page_loads_nothing(
    train: Train, toy: Protocol, folder: Path
) -> None:
    three(train, "vae", 5.0, {"choices": {"model": HOSTILE, "network": HOSTILE}})
    submit("a<b>c", folder, toy)
    (folder / "<i>.json").write_text(json.dumps({HOSTILE: 1}))
    found, left_out = read_submissions(folder)
    text = leaderboard_html(boards(found), left_out, title=HOSTILE)
    assert HOSTILE not in text
    assert "<script>alert" not in text
    assert "<img" not in text
    assert "a<b>c" not in text
    assert "<i>" not in text
    assert text.count("<script>") == 1
    assert "default-src 'none'" in text
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_files_that_are_none_are_named_with_the_reason(train: Train, toy: Protocol, folder: Path) -> None:
    three(train, "vae", 5.0)
    submit("alice", folder, toy)
    (folder / "empty.json").write_text("")
    (folder / "notes.txt").write_text("not read")
    (folder / "folder.json").mkdir()
    found, left_out = read_submissions(folder)
    assert [*found] == ["alice"]
    assert [*left_out] == ["empty.json", "folder.json"]
    assert all("\n" not in why for why in left_out.values())


def test_reasons_do_not_say_where_the_files_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "submissions"
    folder.mkdir()
    (tmp_path / "secret.json").write_text("{}")
    (folder / "link.json").symlink_to(tmp_path / "secret.json")
    (folder / "large.json").write_bytes(b" " * (9 * 2**20))
    monkeypatch.chdir(folder)
    for given in (folder, Path(), Path("../submissions")):
        found, left_out = read_submissions(given)
        assert found == {}
        assert left_out["link.json"].startswith("link.json is a link to a place outside of the folder")
        assert left_out["large.json"].startswith("large.json has 9,437,184 bytes, more than")
        assert str(tmp_path) not in str(left_out)


def test_a_folder_without_submissions_is_an_error(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match="genbench submit"):
        read_submissions(folder)
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        read_submissions(folder / "missing")
