"""Runs of the benchmark: executed once, found again, and repeated where this is asked for."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.publish import execute
from benchmarks.publish.book import Chapter
from benchmarks.publish.execute import Job, Limits, jobs_of, seconds_left
from benchmarks.publish.pages import Places, write_pages
from benchmarks.publish.plan import plan
from benchmarks.publish.planned import Place
from benchmarks.publish.processes import allowed, process
from benchmarks.publish.records import STRIP, is_recorded, keep, picture_path, read_records, unpack
from genbench.records.files import read_json
from genbench.report.compare import compare
from genbench.report.formats.markdown import markdown
from genbench.report.table import Query
from tests.publish.made import SMALL


def test_a_process_ends_with_its_code_and_its_share_of_a_core(tmp_path: Path) -> None:
    """One that sleeps has had little of its core."""
    ended = process(["-c", "import time; time.sleep(1); raise SystemExit(3)"], allowed()[0], tmp_path / "log")
    assert ended.code == 3
    assert ended.core_share < 0.5


def test_runs_are_found_again_by_their_identity_and_executed_once(
    here: list[Sequence[str]], tmp_path: Path
) -> None:
    """The first call ends in the middle; the next does the rest, and measures it; a third does nothing."""
    planned = plan(["digits_seconds"], SMALL, Place(None, tmp_path))
    places = Places(tmp_path / "docs", tmp_path / "records", tmp_path / "README.md")
    jobs = jobs_of(planned, tmp_path, places.records)
    assert [job.state for job in jobs] == ["missing", "missing"]
    execute.execute(jobs[:1], tmp_path, Limits())
    assert [job.state for job in jobs] == ["done", "missing"]
    assert seconds_left(jobs, 2) == jobs[1].planned.seconds / 2
    (jobs[0].path / "strip.png").unlink()
    assert jobs[0].state == "unmeasured"
    assert execute.execute(jobs, tmp_path, Limits(seconds=jobs[1].seconds / 2)) == [jobs[1]]  # it is too long
    assert [words[0] for words in here] == ["main.py", "-m", "-m"]
    ended: list[Job] = []
    assert execute.execute(jobs, tmp_path, Limits(), ended.append) == []
    assert ended == jobs[1:]
    done = len(here)
    assert execute.execute(jobs_of(planned, tmp_path, places.records), tmp_path, Limits()) == []
    assert len(here) == done

    check_pages(places, jobs, tmp_path)
    moved = jobs_of(planned, tmp_path / "elsewhere", places.records)  # another machine has the records alone
    assert [job.state for job in moved] == ["done", "done"]
    picture_path("digits_seconds", moved[0].path.name, STRIP, places.records).unlink()
    found = jobs_of(planned, tmp_path / "elsewhere", places.records)
    assert [job.state for job in found] == ["missing", "done"]


def check_pages(places: Places, jobs: Sequence[Job], tmp_path: Path) -> None:
    """The records of finished runs give the tables of the runs themselves, and pages of the same bytes."""
    for key in ("digits_seconds", "fashion_mnist"):
        assert keep(key, [job.path for job in jobs], places.records) is not None
    recorded = read_records("digits_seconds", places.records)
    unpacked = [path.name for path in unpack(recorded, tmp_path / "unpacked")]
    assert sorted(unpacked) == sorted(job.path.name for job in jobs)
    tables = [markdown(compare(tmp_path / name, Query())) for name in ("unpacked", "digits_seconds")]
    assert tables[0] == tables[1].replace("digits_seconds/", "")
    assert places.readme is not None
    places.readme.write_text("a\n<!-- benchmark: table -->\nold\n<!-- end -->\nb\n")
    family = places.docs / "families" / "gan.md"
    family.parent.mkdir(parents=True)
    first = places.docs / "index.md"
    for page in (first, family.with_name("index.md")):
        page.write_text("<!-- benchmark: answers -->\nold\n<!-- end -->\n")
    family.write_text("<!-- benchmark: row -->\n<!-- end -->\n")
    other = family.with_name("vae.md")
    other.write_text("<!-- benchmark: row -->\na row of old\n<!-- end -->\n")
    for job in jobs:
        shutil.rmtree(job.path)
    of_first = [job._replace(planned=job.planned._replace(key="fashion_mnist")) for job in jobs]
    absent = jobs[0]._replace(path=jobs[0].path.with_name("absent"))
    every = [*jobs, *of_first, absent]
    write_pages(places, tmp_path / "scratch", every)
    texts = {path: path.read_bytes() for path in places.docs.rglob("*") if path.is_file()}
    write_pages(places, tmp_path / "scratch", every)
    assert texts == {path: path.read_bytes() for path in places.docs.rglob("*") if path.is_file()}
    assert {"index.md", "digits_seconds.md", "digits_seconds-samples.png"} <= {path.name for path in texts}
    assert "gan has the lowest FID" in (places.docs / "benchmark" / "index.md").read_text()
    part = (places.docs / "benchmark" / "digits_seconds.md").read_text()
    assert "2 of 3 runs; device: " in part
    assert "1 thread each, 1 at once; each had at least 90 % of a core (gan the least)" in part
    assert "Not measured yet: 1 of 3 runs of gan." in part
    assert places.readme.read_text().startswith("a\n<!-- benchmark: table -->\nFashion-MNIST")
    assert "| gan" in family.read_text()
    assert "](benchmark/" in first.read_text()
    assert "](../benchmark/" in family.with_name("index.md").read_text()
    assert "No run of this family has finished yet" in other.read_text()
    assert not any(str(tmp_path).encode() in content for content in texts.values())


def test_a_run_that_failed_by_itself_is_executed_again_only_where_this_is_asked_for(tmp_path: Path) -> None:
    run = tmp_path / "gan-digits-seed0-1"
    run.mkdir()
    failed = {"identity": "1", "status": "failed", "error": "FloatingPointError: loss", "sessions": []}
    (run / "run.json").write_text(json.dumps(failed))
    (planned,) = plan(["digits_seconds"], replace(SMALL, seeds=(0,)), Place(None, tmp_path))
    job = Job(planned, run, "failed")
    assert job.state == "failed"
    again = job._replace(retried=True)
    assert again.state == "unfinished"
    assert again.outcome == "failed"  # it did once more


def test_a_run_that_cannot_begin_says_its_exit_code_and_where_to_look(
    here: list[Sequence[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (planned,) = plan(["digits_seconds"], replace(SMALL, seeds=(0,)), Place(None, tmp_path))
    (job,) = jobs_of([planned], tmp_path, tmp_path / "records")
    refused = job._replace(planned=planned._replace(words=("model=none",)))
    assert execute.execute([refused], tmp_path, Limits()) == [refused]
    assert ", exit code 2: " in capsys.readouterr().err


def test_a_run_that_had_too_little_of_its_core_is_kept_aside_where_it_is_retried(
    here: list[Sequence[str]], tmp_path: Path
) -> None:
    planned = plan(["digits_seconds"], replace(SMALL, seeds=(0,)), Place(None, tmp_path))
    (job,) = jobs_of(planned, tmp_path, tmp_path / "records")
    job.path.mkdir(parents=True)
    done = {"identity": job.path.name, "status": "done", "sessions": []}
    (job.path / "run.json").write_text(json.dumps(done))
    (job.path / "conditions.json").write_text(json.dumps({"core_share": 0.6}))
    assert job.state == "unmeasured"  # its strip is missing
    job = job._replace(retried=True)
    assert job.state == "disturbed"
    assert execute.execute([job], tmp_path, Limits()) == []
    assert job.outcome == "done"
    assert [path.name for path in job.path.parent.iterdir()].count(job.path.name) == 1
    (aside,) = job.path.parent.glob("disturbed-*")
    assert read_json(aside / "run.json") == done


def test_a_disturbed_run_is_shown_as_such_and_counts_unless_it_is_retried(
    tmp_path: Path,
) -> None:
    (planned,) = plan(["digits_defaults"], replace(SMALL, seeds=(0,)), Place(None, tmp_path))
    known = [
        {"run": "r", "result": {}, "files": {"conditions.json": json.dumps({"core_share": share})}}
        for share in (0.6, 0.97)
    ]
    assert [is_recorded(record, planned, tmp_path) for record in known] == ["disturbed", "done"]
    job = Job(planned, tmp_path / "r", "disturbed")
    assert job.state == "done"
    assert job._replace(retried=True).state == "missing"
    shown = Chapter([Job(planned, tmp_path / "r")], known[:1], 0)
    assert "(`--retry` repeats them): 1 of 1 run of gan." in " ".join(shown.gaps)
