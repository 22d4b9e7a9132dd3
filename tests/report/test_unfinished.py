"""Heads of reports and runs at work: what files say, and what damaged ones do not break."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from genbench.report import Query
from genbench.report.compare import compare
from genbench.report.formats.markdown import markdown
from genbench.report.overview import overview
from genbench.report.page import html
from genbench.report.unfinished import SILENT_SECONDS, at_work, in_progress

Write = Callable[..., Path]
NOW = datetime(2026, 11, 30, 12, 0, 0, tzinfo=UTC).timestamp()
LINE = {"images_seen": 12000, "net/loss": 0.4821, "images_per_second": 800.0, "training_seconds": 15.0}


@pytest.fixture
def working(tmp_path: Path, write: Write) -> Callable[..., Path]:
    """Writes a run at work beside a finished one: its record with a budget, and the lines of its log."""
    write("done")

    def at_work_on(name: str, *lines: object, budget: object = None, model: str = "vae") -> Path:
        folder = tmp_path / name
        (folder / ".hydra").mkdir(parents=True)
        (folder / ".hydra" / "overrides.yaml").write_text(f"- seed=0\n- model={model}\n")
        sessions = [{"started": "2026-11-30T11:59:00+00:00", "ended": None, "status": "running"}]
        config = {"budget": {"images": 60000, "seconds": None} if budget is None else budget}
        record = {"status": "running", "sessions": sessions, "config": config}
        (folder / "run.json").write_text(json.dumps(record))
        (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        return folder

    return at_work_on


def test_a_run_at_work_shows_its_progress_loss_time_left_and_when_it_was_seen(
    tmp_path: Path, working: Callable[..., Path]
) -> None:
    working("vae-digits", LINE | {"time": NOW - 5})
    runs = compare(tmp_path, Query()).runs
    (run,) = at_work(runs, NOW)
    assert run.model == "vae"
    assert run.progress == "training 12,000/60,000 images (20 %)"
    assert run.loss == "net/loss 0.482"
    assert run.left == "1:00"
    assert run.last_seen == "2026-11-30 11:59:55 UTC"
    assert in_progress(runs, NOW) == "1 run in progress."


@pytest.mark.parametrize(
    ("lines", "budget", "progress", "left"),
    [
        ([], None, "starting", "–"),
        ([LINE | {"images_seen": 60032}], None, "evaluating", "–"),
        ([LINE], {"images": None, "seconds": 60}, "training 15/60 s (25 %)", "0:45"),
        ([LINE], {"images": 60000, "seconds": 30}, "training 15/30 s (50 %)", "0:15"),
        ([LINE], {"flops": 1e15}, "training 12,000 images", "–"),
    ],
)
def test_progress_is_the_share_of_the_limit_that_comes_first(
    tmp_path: Path, working: Callable[..., Path], lines: list, budget: dict | None, progress: str, left: str
) -> None:
    working("x", *lines, budget=budget)
    (run,) = at_work(compare(tmp_path, Query()).runs, NOW)
    assert (run.progress, run.left) == (progress, left)


def test_a_run_that_has_been_silent_for_long_is_not_in_progress(
    tmp_path: Path, working: Callable[..., Path]
) -> None:
    working("old", LINE | {"time": NOW})
    runs = compare(tmp_path, Query()).runs
    assert in_progress(runs, NOW + SILENT_SECONDS + 1) == ""
    (run,) = at_work(runs, NOW + SILENT_SECONDS + 1)
    assert run.is_silent


@pytest.mark.parametrize(
    ("lines", "budget"),
    [
        ([{"images_seen": "x", "time": "nan", "net/loss": [1]}], {"images": "many"}),
        ([{"images_seen": 1e300, "time": 1e300, "net/loss": 1e300}], {"images": 0, "seconds": -1}),
        ([LINE | {"images_per_second": 0, "training_seconds": -1e17}], {"images": 1e17, "seconds": 1e-17}),
        ([[1], "x", 3], [1]),
    ],
)
def test_damaged_files_of_a_run_at_work_raise_nothing(
    tmp_path: Path, working: Callable[..., Path], lines: list, budget: object
) -> None:
    folder = working("x", *lines, budget=budget)
    found = compare(tmp_path, Query())
    assert len(at_work(found.runs)) == 1
    html(found, title="runs")
    (folder / "run.json").write_text('{"status": "running", "sessions": [3], "config": 4}')
    assert len(at_work(found.runs)) == 1
    (folder / "run.json").write_bytes(b"\x00")
    assert at_work(found.runs) == []


def test_the_page_lists_runs_at_work_and_escapes_their_texts(
    tmp_path: Path, working: Callable[..., Path]
) -> None:
    working("x", {**LINE, "<b>/loss": 1.0}, model="<script>alert(1)</script>")
    page = html(compare(tmp_path, Query()), title="runs")
    assert "<h2>Runs in progress</h2>" in page
    assert "training 12,000/60,000 images (20 %)" in page
    assert "<h2>Not included</h2>" not in page  # it is listed once
    assert "<script>alert" not in page
    assert "<b>/loss" not in page


def test_a_report_begins_with_the_number_of_runs_their_seeds_dates_and_versions(
    tmp_path: Path, write: Write
) -> None:
    for seed, (start, end) in enumerate([("2026-11-30T01:08:25", "2026-11-30T01:31:02"), ("oops", None)]):
        path = write(str(seed), seed=seed).parent / "run.json"
        session = {"started": f"{start}+00:00", "ended": end and f"{end}+00:00"}
        versions = {"genbench": "0.1.0"}
        path.write_text(json.dumps({"started": start, "sessions": [session], "versions": versions}))
    found = compare(tmp_path, Query())
    words = "2 runs, seeds 0, 1, from 2026-11-30 01:08 to 01:31 UTC, genbench 0.1.0, cpu."
    assert overview(found) == words
    assert markdown(found).startswith(words)
    assert words in html(found, title="runs")


def test_a_head_leaves_out_what_was_not_recorded_and_says_that_tables_do_not_compare(
    tmp_path: Path, write: Write, result: dict
) -> None:
    for data in ("digits", "mnist"):
        write(data, choices=result["choices"] | {"data": data}, cost={}, seed=None)
    words = "Numbers of different tables, which differ in data or protocol, do not compare."
    assert overview(compare(tmp_path, Query())) == f"2 runs. {words}"
