"""Progress of jobs that other processes run, as a pipe and a terminal show it."""

import io
import json
import threading
from pathlib import Path

import pytest
from rich.console import Console

from genbench.app.sweep_watch import Watch, start_line, watching
from genbench.records.sweep_ledger import Ledger, Outcome, Status


def ledger_of(folder: Path, *statuses: Status) -> Ledger:
    """A ledger of jobs that differ in their seed; running ones have trained on half of their images."""
    record = Ledger(folder / "ledger.jsonl")
    for job, status in enumerate(statuses):
        record.add(outcome(folder, job, status))
    return record


def outcome(folder: Path, job: int, status: Status, note: str = "") -> Outcome:
    """One job with the files that its run writes."""
    run = folder / f"run{job}"
    run.mkdir(exist_ok=True)
    record = {"identity": "a", "status": "running", "sessions": [], "config": {"budget": {"images": 60_000}}}
    (run / "run.json").write_text(json.dumps(record))
    (run / "metrics.jsonl").write_text('{"images_seen": 30000, "training_seconds": 5.0}\n')
    return Outcome(job, status, ("model=vae", f"seed={job}"), str(run), 65.0, note)


def console(*, is_terminal: bool) -> tuple[Console, io.StringIO]:
    """A console and what it prints."""
    out = io.StringIO()
    return Console(file=out, force_terminal=is_terminal, width=80, color_system=None), out


def test_a_pipe_gets_a_line_for_each_start_and_each_end(tmp_path: Path) -> None:
    record = ledger_of(tmp_path, "not started", "not started")
    plain, out = console(is_terminal=False)
    watch = Watch(record, plain)
    watch.look()
    record.add(outcome(tmp_path, 0, "running"))
    watch.look()
    watch.look()
    record.add(outcome(tmp_path, 0, "done", "fid=3"))
    record.add(outcome(tmp_path, 1, "running"))
    watch.look()
    assert out.getvalue().splitlines() == [
        "job 1 of 2 started: seed=0",
        "job 1 of 2 done after 1:05: seed=0: fid=3",
        "job 2 of 2 started: seed=1",
    ]


def test_the_summary_says_where_the_jobs_are(tmp_path: Path) -> None:
    watch = Watch(ledger_of(tmp_path, "done", "running", "not started"), console(is_terminal=False)[0])
    watch.look()
    said = watch.summary()
    assert said.startswith("sweep: 1 of 3 jobs ended, 1 running, 1 to go; 0:0")
    assert "left; job 2 training 30,000/60,000 images" in said


def test_the_region_of_a_terminal_has_a_row_for_each_running_job(tmp_path: Path) -> None:
    watch = Watch(ledger_of(tmp_path, "running", "running", "not started"), console(is_terminal=True)[0])
    watch.look()
    shown, out = console(is_terminal=True)
    shown.print(watch.region())
    lines = out.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[1].split() == ["job", "1", "training", "30,000/60,000", "images", "0:00", "seed=0"]
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("is_terminal", [True, False])
def test_what_ended_by_the_end_of_the_block_is_printed_and_the_thread_is_gone(
    is_terminal: bool, tmp_path: Path
) -> None:
    record = ledger_of(tmp_path, "not started")
    shown, out = console(is_terminal=is_terminal)
    with watching(record, shown):
        record.add(outcome(tmp_path, 0, "stopped", "the same command goes on"))
    assert "job 1 of 1 stopped after 1:05: model=vae seed=0: the same command goes on" in " ".join(
        out.getvalue().split()
    )
    assert "genbench-sweep" not in [thread.name for thread in threading.enumerate()]


def test_a_job_alone_begins_with_its_settings_and_the_time_left(tmp_path: Path) -> None:
    outcomes = ledger_of(tmp_path, "done", "running", "not started").outcomes()
    assert start_line(outcomes, "job 2 of 3", 1) == "job 2 of 3: seed=1, about 2:10 left"
