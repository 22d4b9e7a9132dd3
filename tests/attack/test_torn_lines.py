"""A torn or foreign line in a log costs that line alone, and is told once."""

import json
import warnings
from pathlib import Path

import pytest

from genbench.records.sweep_ledger import Ledger, Outcome
from genbench.report import load
from genbench.tracking import JsonLines
from tests.attack.driving import verb

FOREIGN = {
    "array": b"[1, 2]\n",
    "number": b"3\n",
    "nan": b"NaN\n",
    "text": b"not JSON\n",
    "zeros": bytes(40) + b"\n",
    "nested": b"[" * 5000 + b"\n",
    "keys": b'{"other": 1}\n',
    "kinds": b'{"images_seen": {}, "net/loss": [], "job": "x", "metrics": 3}\n',
    "torn": '{"job": 1, "note": "é'.encode()[:-1] + b"\n",
    "long number": b"1" * 5000 + b"\n",
}
TORN = {"cut": b'{"job": 1, "sta', "in a character": '{"note": "é'.encode()[:-1], "zeros": bytes(7)}
RESULT = {
    "genbench": "0.1.0", "choices": {"model": "ddpm"}, "metrics": {"fid[f,n=1,ref=train,ema]": 1.5},
    "seed": 0,    "identity": "i", "data_key": "d", "cost": {"images_seen": 64}, "status": "done",
}  # fmt: skip
damage = pytest.mark.parametrize("line", FOREIGN.values(), ids=FOREIGN)
tears = pytest.mark.parametrize("end", TORN.values(), ids=TORN)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run."""
    folder = tmp_path / "runs" / "a"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(RESULT))
    return folder


def outcome(job: int) -> Outcome:
    return Outcome(job, "done", (f"seed={job}",), "runs/a", 1.0, "fid=1")


@damage
def test_a_foreign_line_in_a_ledger_costs_that_line_alone(tmp_path: Path, line: bytes) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.add(outcome(0))
    with ledger.path.open("ab") as file:
        file.write(line + line)
    ledger.add(outcome(1))
    with pytest.warns(UserWarning, match="line 2, 3 is not the outcome of a job") as told:
        assert ledger.outcomes() == [outcome(0), outcome(1)]
    assert len(told) == 1


@tears
def test_what_is_added_behind_a_torn_line_is_whole(tmp_path: Path, end: bytes) -> None:
    ledger, log = Ledger(tmp_path / "ledger.jsonl"), JsonLines(tmp_path / "metrics.jsonl")
    for path in (ledger.path, log.path):
        path.write_bytes(end)
    ledger.add(outcome(1))
    log.log({"loss": 1.0}, images_seen=64)
    with pytest.warns(UserWarning, match="line 1 is not the outcome of a job"):
        assert ledger.outcomes() == [outcome(1)]
    first, last = log.path.read_bytes().splitlines()
    assert first == end
    assert json.loads(last)["loss"] == 1.0


def test_a_log_that_was_changed_by_hand_goes_on_with_a_line_of_its_own(tmp_path: Path) -> None:
    """A checkpoint notes the length of the log; a line that was put in makes that the middle of a line."""
    log = JsonLines(tmp_path / "metrics.jsonl")
    log.log({"loss": 2.0}, images_seen=64)
    position = log.position()
    log.path.write_bytes(b"a note\n" + log.path.read_bytes())
    resumed = JsonLines(log.path)
    resumed.truncate(position)
    resumed.log({"loss": 1.0}, images_seen=128)
    note, _, last = log.path.read_bytes().splitlines()
    assert note == b"a note"
    assert json.loads(last)["loss"] == 1.0


@damage
def test_a_foreign_line_in_evaluations_costs_that_line_alone_and_is_told_once(run: Path, line: bytes) -> None:
    good = {**{key: RESULT[key] for key in ("identity", "data_key", "seed")}, "images_seen": 64}
    evaluations = [
        json.dumps({**good, "metrics": {f"kid[f,n={n},ref=train,ema]": n}}).encode() for n in (1, 2)
    ]
    (run / "evaluations.jsonl").write_bytes(evaluations[0] + b"\n" + line + evaluations[1] + b"\n")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        frame = load(run.parent)
    assert frame["kid[f,n=1,ref=train,ema]"].tolist() == [1.0]
    assert frame["kid[f,n=2,ref=train,ema]"].tolist() == [2.0]
    assert [str(one.message) for one in told] == [
        "a: evaluations that cannot be read: evaluations.jsonl, line 2"
    ]


def test_foreign_and_torn_lines_in_a_log_cost_a_report_those_lines_alone(run: Path, tmp_path: Path) -> None:
    good = [
        json.dumps({"images_seen": seen, "net/loss": 1 / seen}).encode() + b"\n" for seen in (64, 128, 192)
    ]
    unreadable = [line for name, line in FOREIGN.items() if name not in ("keys", "kinds")]
    (run / "metrics.jsonl").write_bytes(
        good[0]
        + b"".join(FOREIGN.values())
        + good[1]
        + b'{"images_seen": NaN, "net/loss": 1}\n'
        + good[2]
        + TORN["cut"]
    )
    page = tmp_path / "page.html"
    done = verb(tmp_path, "report", run.parent, "--out", page)
    assert done.code == 0, done.err
    assert "net/loss" in page.read_text()
    numbers = [k for k, name in enumerate(FOREIGN, 2) if FOREIGN[name] in unreadable]
    last = 1 + len(FOREIGN) + 4
    lines = ", ".join(map(str, [*numbers, last]))
    assert f"Unreadable in metrics.jsonl of ddpm: line {lines}." in page.read_text()


def test_how_far_a_run_is_stands_in_the_page_though_its_last_line_is_torn(run: Path, tmp_path: Path) -> None:
    running = run.with_name("b")
    running.mkdir()
    (running / "run.json").write_text(json.dumps({"status": "running", "identity": "x"}))
    events = [json.dumps({"images_seen": seen}).encode() for seen in (64, 12345)]
    (running / "metrics.jsonl").write_bytes(
        b"\n".join([*events, b"[3]", b'{"images_seen": true}', TORN["cut"]])
    )
    page = tmp_path / "page.html"
    assert verb(tmp_path, "report", run.parent, "--out", page).code == 0
    assert "12,345" in page.read_text()
