"""The published benchmark at toy size: its plan, its runs, the records kept of them, and its pages."""

import json
import lzma
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from benchmarks.publish import enlarged, execute, measure, pages, runs
from benchmarks.publish.again import commands
from benchmarks.publish.answers import NEEDS, Answer, answer, answers, held_out
from benchmarks.publish.book import Book, Chapter
from benchmarks.publish.execute import Job, Limits, jobs_of, seconds_left
from benchmarks.publish.figures import curve_figure
from benchmarks.publish.pages import Places, between, write_pages
from benchmarks.publish.plan import PARTS, plan
from benchmarks.publish.planned import FULL, TOY, Place
from benchmarks.publish.processes import Ended, allowed, process
from benchmarks.publish.records import REAL, STRIP, is_recorded, keep, picture_path, read_records, unpack
from benchmarks.publish.tables import copies_table, halves_table
from benchmarks.publish.unfit import AUTHENTIC, COMPLETION_ERROR, copying
from benchmarks.publish.winners import Measure, corrected, model_of, ranking, score
from genbench.app.command import parse_command, words_for_hydra
from genbench.data import Digits, ImageFolder, prepare
from genbench.records.files import read_json
from genbench.report.compare import compare
from genbench.report.formats.markdown import markdown
from genbench.report.table import Query
from genbench.runtime.progress import Progress
from tests.conftest import ROOT, Command

KEYS = [part.key for part in PARTS]
SMALL = replace(TOY, digits=0.2, fashion=0.2, models=("gan",))
Run = Callable[[Sequence[str]], list[Job]]


@pytest.fixture
def here(main: Command, verb: Command, monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """Let runs be executed in this process, which has loaded torch; the commands in their order."""
    called: list[Sequence[str]] = []

    def process(words: Sequence[str], core: int, log: Path) -> Ended:
        called.append(words)
        if words[0] == "main.py":
            return Ended(main(*words[1:]).returncode, 0.9)
        _, module, *rest = words
        if module == "genbench":
            return Ended(verb(*rest).returncode, 1.0)
        measure.main(rest[0], Path(rest[1]), Path(rest[2]))
        return Ended(0, 1.0)

    monkeypatch.setattr(execute, "process", process)
    return called


def test_the_plan_has_every_part_and_three_seeds_where_it_promises_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(runs, "target", lambda words, samples, where: 7.0)
    monkeypatch.setattr(runs, "enlarge", lambda words, folder: None)
    planned = plan(KEYS, FULL, Place(None, tmp_path))
    assert {each.key for each in planned} == {*KEYS}
    assert len({each.words for each in planned}) == len(planned)
    of_part = {key: [each.words for each in planned if each.key == key] for key in KEYS}
    seeds = [each.seed for each in planned]
    assert seeds == sorted(seeds)  # an interrupted benchmark has one seed of every row before any has two
    for model, seeds in {**dict.fromkeys(runs.TUNED, 3), "vqvae": 1, "tarflow": 1}.items():
        assert sum(f"model={model}" in words for words in of_part["fashion_mnist"]) == seeds
    losses = {word for words in of_part["heat_map"] for word in words if word.startswith("loss=")}
    assert losses == {"loss=l1", "loss=l2", "loss=huber", "loss=hybrid"}
    assert all("budget.until=7" in words for words in of_part["time_to_target"])


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


def test_a_run_of_another_machine_is_kept_without_its_folders(tmp_path: Path) -> None:
    run = tmp_path / "group" / "gan-digits-seed0-1"
    (run / ".hydra").mkdir(parents=True)
    (run / ".hydra" / "overrides.yaml").write_text("- model=gan\n- runs_dir=/home/me\n- data.root=/data\n")
    config = {"runs_dir": "/home/me", "data": {"root": "/data"}}
    (run / "run.json").write_text(json.dumps({"status": "failed", "config": config, "seed": 0}))
    assert keep("stability", [run], tmp_path / "records") is not None
    (record,) = read_records("stability", tmp_path / "records")
    assert record["overrides"] == ["model=gan"]
    assert "/" not in json.dumps(record["config"])
    content = (tmp_path / "records" / "stability.jsonl.xz").read_bytes()
    assert keep("stability", [], tmp_path / "records") is not None  # what was kept stays, byte for byte
    assert (tmp_path / "records" / "stability.jsonl.xz").read_bytes() == content
    assert lzma.decompress(content).count(b"\n") == 1
    (unpacked,) = unpack([record], tmp_path / "out")
    found = read_json(unpacked / "run.json")
    assert found is not None
    assert found["status"] == "failed"


@pytest.mark.parametrize(
    "content",
    [
        b"no archive",
        lzma.compress(b"{}"),
        lzma.compress(b"{half a line"),
        lzma.compress(json.dumps({"group": "g", "run": "r", "files": {}}).encode())[:-9],
        *(
            lzma.compress(json.dumps({"group": "g", "run": "r", "files": {}} | wrong).encode())
            for wrong in ({"group": "../.."}, {"run": "/tmp/run"}, {"files": {"../../outside.txt": "text"}})
        ),
    ],
)
def test_damaged_and_hostile_records_are_refused_with_a_remedy(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "stability.jsonl.xz").write_bytes(content)
    with pytest.raises(typer.BadParameter, match="is damaged: restore it from git"):
        read_records("stability", tmp_path)


def test_a_plan_that_is_only_listed_measures_no_target(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And one that is executed measures it once: ten times the score of held-out images."""
    measured: list[int] = []
    monkeypatch.setattr(measure, "held_out_fid", lambda words, samples: measured.append(samples) or 0.71)
    assert plan(["time_to_target"], FULL, Place(None, tmp_path, only_listed=True))
    assert measured == []
    for _ in range(2):
        planned = plan(["time_to_target"], FULL, Place(None, tmp_path))
        assert all("budget.until=7.1" in each.words for each in planned)
    assert measured == [500]


def test_enlarged_images_keep_their_classes_and_are_written_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(enlarged, "PARTS", {"train": slice(0, 20), "test": slice(20, 30)})
    folder = tmp_path / "images"
    (tmp_path / "partial-images" / "rest").mkdir(parents=True)  # of a call that was stopped
    enlarged.enlarge(["data=digits"], folder)
    data = prepare(ImageFolder(str(folder), size=64, channels=1), progress=Progress(None))
    assert (len(data.train), len(data.test), data.shape) == (20, 10, (1, 64, 64))
    first = prepare(Digits(), progress=Progress(None)).whole_train
    assert first.labels is not None
    assert data.train.labels is not None
    names = [data.class_names[label] for label in data.train.labels.tolist()]
    assert sorted(names) == sorted(map(str, first.labels[:20].tolist()))
    made = {path: path.stat().st_mtime_ns for path in folder.rglob("*.png")}
    enlarged.enlarge(["data=digits"], folder)
    assert made == {path: path.stat().st_mtime_ns for path in folder.rglob("*.png")}


def test_claims_on_larger_images_name_the_same_folder_on_every_machine(tmp_path: Path) -> None:
    planned = [*runs.claims(FULL, Place(None, tmp_path, only_listed=True))]
    roots = {each.chosen("data.root", "") for each in planned}
    assert roots == {"", "runs/enlarged_fashion_mnist"}
    swept = [each for each in planned if each.later]
    assert [each.seed for each in swept] == [0, 1, 2]
    assert {each.model for each in swept} == {"ddpm"}


def test_the_words_of_every_planned_run_reach_its_job(tmp_path: Path) -> None:
    """None becomes a parameter of a sweep, which a run that is none does not read."""
    for planned in plan(KEYS, FULL, Place(None, tmp_path, only_listed=True)):
        words = ["main.py", *planned.words]
        assert {*planned.words} <= {*words_for_hydra(words, parse_command(words))}, planned


def records(**values: Sequence[float]) -> list[dict[str, Any]]:
    """Records of models with one number each, of several seeds."""
    return [{"result": {"choices": {"model": name}, "x": x}} for name, found in values.items() for x in found]


LOWEST = Measure("error", -1, lambda record: record["result"]["x"])


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            {"a": [1, 1.1, 0.9], "b": [5, 5.1, 4.9]},
            "its lead over b (5.000 ± 0.100) is significant (p < 0.001",
        ),
        ({"a": [1, 2, 3], "b": [2, 3, 4]}, "its lead over b (3.0 ± 1.0) is not significant (p = "),
        ({"a": [1], "b": [5]}, "its lead over b (5.000) is not tested, as all models have one seed."),
        ({"a": [1, 1.1], "b": [5]}, "its lead over b (5.000) is not tested, as b has one seed."),
        (
            {"a": [1], "b": [5, 5.1], "c": [6, 6.1]},
            "its lead over b (5.050 ± 0.071) is not tested, as a has one seed.",
        ),
        (
            {"a": [1, 1.1, 0.9], "x": [2], "b": [5, 5.1, 4.9]},
            "its lead over b (5.000 ± 0.100) is significant (p < 0.001); x has one seed, and cannot be "
            "tested.",
        ),
        ({"a": [1]}, "a has the lowest error (1.000); no other model has a number."),
    ],
)
def test_a_lead_is_called_significant_by_the_reports_own_test_alone(
    found: dict[str, list[float]], sentence: str
) -> None:
    named = ranking(records(**found), LOWEST)
    assert named is not None
    assert named.sentence.startswith("a has the lowest error (")
    assert sentence in named.sentence


def test_values_of_a_sweep_are_split_as_hydra_splits_them() -> None:
    assert runs.each_value("scores=[is,fid]") == ["scores=[is,fid]"]
    assert runs.each_value("loss=l1,l2") == ["loss=l1", "loss=l2"]
    assert [runs.plain(value) for value in (True, 1, None, "a,b")] == ["true", "1", "null", "a,b"]


def test_equal_numbers_have_no_winner() -> None:
    named = ranking(records(a=[1, 1], b=[1], c=[2, 2]), LOWEST)
    assert named is not None
    assert named.sentence.startswith("a and b share the lowest error (1.0")


def test_what_was_not_measured_is_said_and_nobody_wins_it(tmp_path: Path) -> None:
    text = answers(Book([], tmp_path, tmp_path))
    assert all(need.need in text for need in NEEDS)
    assert "has the" not in text


def test_a_curve_is_of_quick_evaluations_over_seconds_of_training(tmp_path: Path) -> None:
    name, raw = (f"training/fid[f,n=200,ref=train,{of}]" for of in ("ema", "raw"))
    events = [{"training_seconds": at, name: 9.0 / at, raw: 99.0} for at in (1.0, 2.0)]
    record = {**records(gan=[1])[0], "about": {"seed": 0}, "events": [*events, {"net/loss": 1.0}]}
    assert curve_figure([record], tmp_path / "curves.svg")
    drawn = (tmp_path / "curves.svg").read_text()
    assert "seconds of training" in drawn
    assert "gan" in drawn
    assert not curve_figure([{**record, "events": []}], tmp_path / "none.svg")
    assert not (tmp_path / "none.svg").exists()


def test_p_values_of_several_needs_are_corrected_together() -> None:
    """A lead that is significant alone is not beside others: p values of two tests are doubled, those of a
    need that is not tested count for nothing.
    """
    close = ranking(records(a=[1, 2, 3], b=[3.4, 4.4, 5.4]), LOWEST)
    alone, none = close and close.test, ranking(records(a=[1], b=[2]), LOWEST)
    assert close is not None
    assert none is not None
    assert alone is not None
    assert alone.is_significant
    first, second, untested = corrected([close, close, none])
    assert untested == none
    for each in (first, second):
        assert each.test is not None
        assert each.test.p_value == pytest.approx(2 * alone.p_value)
        assert "is not significant" in each.sentence
    assert corrected([close, none])[0] == close


def test_the_error_of_completed_halves_stands_beside_that_of_the_mean_image() -> None:
    made = records(ddpm=[1], consistency=[1])
    files = [json.dumps({"halves_mse": x, "mean_image_mse": 0.0712}) for x in (0.05, 0.04)]
    known = [{**each, "files": {"halves.json": content}} for each, content in zip(made, files, strict=True)]
    table = halves_table(known)
    assert table.startswith("| model")
    assert table.index("consistency") < table.index("ddpm")
    assert table.endswith("Without a model: the mean of the training images has 0.0712.")
    assert halves_table([{**each, "files": {}} for each in made]) == ""


def test_copies_of_trained_images_are_counted_beside_held_out_ones() -> None:
    made = records(gan=[1], vae=[1])
    files = [json.dumps({"n": 9, "authentic": x, "held_out_authentic": 0.9}) for x in (0.5, 0.7)]
    known = [{**each, "files": {"copies.json": content}} for each, content in zip(made, files, strict=True)]
    table = copies_table(known)
    assert table.index("vae") < table.index("gan")  # more that are new is better
    assert "Held-out images, none of which is a copy: 0.9." in table
    assert "↑" not in table  # more than held-out images have is not better
    assert copies_table(made) == ""


def copied(name: str, shares: Sequence[float]) -> list[dict[str, Any]]:
    """Records of a model with shares of samples that are no copies, where 0.6 of held-out images are none."""
    contents = [json.dumps({"n": 359, "authentic": x, "held_out_authentic": 0.6}) for x in shares]
    return [{**records(**{name: [1]})[0], "files": {"copies.json": content}} for content in contents]


def test_a_model_that_draws_its_100_images_again_is_not_recommended_for_tiny_data() -> None:
    """0.545 of 359 is within what draws of the same share give by chance, of six runs it is not."""
    assert copying(copied("vqvae", [0.02]) + copied("gan", [0.545])).names == ["vqvae"]
    assert copying(copied("gan", [0.545] * 6)).names == ["gan"]
    assert copying(copied("gan", [0.6])).why == ""
    found = tiny_answer(copied("vqvae", [0.02]) + copied("gan", [0.545]))
    assert found.ranked is not None
    assert found.ranked.names == ["gan"]
    assert "copies than of held-out images (40 %): vqvae 98 %." in found.sentence


def test_where_every_model_copies_its_images_the_answer_says_so_and_not_that_nothing_was_measured() -> None:
    found = tiny_answer(copied("vqvae", [0.02]))
    assert found.is_measured
    assert found.ranked is None
    assert "no model that was measured meets it. Left out" in found.sentence
    assert found.places[1:] == ["none", "–"]
    assert not tiny_answer([]).is_measured


def tiny_answer(known: Sequence[dict[str, Any]]) -> Answer:
    """The answer for tiny data from records of copies, each with an FID."""
    (tiny,) = (need for need in NEEDS if need.part == "tiny_data")
    metrics = {"metrics": {"fid[f,n=9,ref=train,ema]": 1.0}}
    return answer(tiny, [{**each, "result": {**each["result"], **metrics}} for each in known])


def test_the_rule_for_copies_errs_in_five_of_a_hundred_tables() -> None:
    """Tables of four models that copy as often as held-out images seem to, 359 draws each, beside the same
    359 held-out images: one is called a copier in at most 5 % of 2,000 tables, and in some. The bounds are
    five standard errors of a share of 5 %, and 1 %: the four tests share their held-out images, so that
    Holm's correction is on the safe side.
    """
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(2000):
        least, *own = rng.binomial(359, 0.6, size=5) / 359
        contents = [json.dumps({"n": 359, "authentic": x, "held_out_authentic": least}) for x in own]
        known = records(a=[1], b=[1], c=[1], d=[1])
        files = [{"files": {"copies.json": content}} for content in contents]
        wrong += bool(copying([each | file for each, file in zip(known, files, strict=True)]).names)
    assert 0.01 < wrong / 2000 < 0.05 + 5 * (0.05 * 0.95 / 2000) ** 0.5


def test_a_model_that_is_no_better_than_none_is_in_no_ranking() -> None:
    (need,) = (need for need in NEEDS if need.part == "digits_seconds")
    known = records(ddpm=[1], consistency=[1])
    files = [json.dumps({"halves_mse": x, "mean_image_mse": 0.07}) for x in (0.05, 0.08)]
    made = [{**each, "files": {"halves.json": content}} for each, content in zip(known, files, strict=True)]
    found = answer(need, made)
    assert found.ranked is not None
    assert found.ranked.names == ["ddpm"]
    assert found.sentence.endswith("has 0.07. Left out, as it is no better: consistency.")


def test_a_single_run_has_its_interval_over_samples() -> None:
    metrics = {f"fid{end}[f,n=9,ref=train,ema]": x for end, x in (("", 2.0), ("_low", 1.5), ("_high", 2.5))}
    made = [{"result": {"choices": {"model": "gan"}, "metrics": metrics}}] * 2
    (one, two) = (ranking(made[:n], score("fid")) for n in (1, 2))
    assert one is not None
    assert two is not None
    assert "gan has the lowest FID (2.00 [1.50, 2.50])" in one.sentence
    assert "[" not in two.sentence


def test_the_command_of_a_row_names_no_folder_of_the_machine(tmp_path: Path) -> None:
    (planned, other) = (
        next(each for each in plan([key], TOY, Place(None, tmp_path)) if each.model == "ddpm")
        for key in ("digits_seconds", "stability")
    )
    words = ["model=gan", "scores=[is,fid]", "data.root=/d", "data.download=false", "runs_dir=/r", "seed=1"]
    made = [("0" * 20, 10, {}), ("0" * 20, 9, {}), ("1" * 20, 2, None)]
    known = [
        {"overrides": words, "about": {"git": {"commit": commit}, "seed": seed}, "result": result or None}
        for commit, seed, result in made
    ]
    known[0]["result"] = known[1]["result"] = {"cost": {}}
    jobs = [Job(planned, tmp_path), Job(other._replace(words=("model=vae",)), tmp_path)]
    text = commands(Chapter(jobs, known, 0))
    assert "# commit 000000000000: seed=9,10; commit 111111111111: seed=2 (failed)\n" in text
    assert "\npython main.py model=gan 'scores=[is,fid]' seed=0\n" in text
    assert text.count("main.py") == 1
    assert "\npython -m benchmarks.publish.measure halves RUN halves.json  # ddpm\n" in text
    assert commands(Chapter([], [{**known[0], "about": {"seed": 0}}], 0)).count("# commit unknown") == 1


def test_runs_are_counted_by_model_and_failed_ones_are_said(tmp_path: Path) -> None:
    sizes = {"gan": 3, "vae": 3, "flow": 1}
    (planned,) = plan(["digits_defaults"], replace(SMALL, seeds=(0,)), Place(None, tmp_path))
    jobs = [
        Job(planned._replace(words=(f"model={name}",)), tmp_path / f"{name}{seed}")
        for name, n in sizes.items()
        for seed in range(n)
    ]
    shown = Chapter(
        jobs, [{"run": "flow0", "files": {}}, {"run": "gan2", "files": {}, "result": {"a": 1}}], 0
    )
    assert shown.counted(["gan0", "gan1", "vae0", "vae2"]) == "2 of 3 runs each of gan, vae"
    missing, failed = shown.gaps
    assert missing == "Not measured yet: 2 of 3 runs of gan; 3 of 3 runs of vae."
    assert failed.endswith("no number is of them: 1 of 1 run of flow.")


def test_a_failed_run_is_of_the_model_of_its_overrides_and_in_no_curve(tmp_path: Path) -> None:
    failed = {"overrides": ["model=vae", "seed=0"], "about": {"seed": 0}, "events": []}
    assert model_of(failed) == "vae"
    assert not curve_figure([failed], tmp_path / "curves.svg")


def test_an_answer_says_what_real_held_out_images_have(tmp_path: Path) -> None:
    names = {
        "fid[f,n=9,ref=train,ema]": 5.0,
        "fid[f,n=9,ref=train,test]": 0.25,
        "fid[f,n=9,ref=test,ema]": 4.0,
    }
    (record,) = records(gan=[1])
    assert held_out("fid")([{"result": {**record["result"], "metrics": names}}]) == [
        "Real held-out images: FID 0.25."
    ]
    assert held_out("fid")([record]) == []


@pytest.mark.parametrize(
    ("training", "fitting", "is_said"),
    [(600.0, 30.0, True), (600.0, 5.9, False), (60.0, 1.1, True), (60.0, 0.9, False)],
)
def test_fits_after_a_training_are_told_where_they_took_long(
    training: float, fitting: float, is_said: bool
) -> None:
    """More than a hundredth of the training, and more than a second."""
    (made,) = records(cascade=[1])
    cost = {"training_seconds": training, "fitting_seconds": fitting}
    words = pages.fitted([{"result": {**made["result"], "cost": cost}}])
    said = [f"Not counted as training are fits in closed form at its end: cascade ({fitting:.0f} s)."]
    assert words == (said if is_said else [])


def test_a_target_of_other_data_is_measured_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder of the machine is no part of the data; a listed plan has no target of other data either."""
    monkeypatch.setattr(measure, "held_out_fid", lambda words, samples: float(len(words)))
    where = Place(None, tmp_path)
    assert measure.target(["data=a", "data.root=/x"], 500, where) == 20
    assert measure.target(["data=a", "data.root=/y"], 500, where) == 20
    assert measure.target(["data=b"], 500, where._replace(only_listed=True)) == measure.UNKNOWN
    assert measure.target(["data=b"], 500, where) == 10


def test_only_the_blocks_of_a_page_are_replaced() -> None:
    page = "a\n<!-- benchmark: x -->\nold\n<!-- end -->\n<!-- generated: x -->\nkept\n<!-- end -->\n"
    assert between(page, {"x": "new"}) == page.replace("old", "new")
    assert between(page, {}) == page


def test_the_pages_that_are_made_anew_have_their_blocks() -> None:
    for name in ("table", "picture", "answers"):
        assert f"<!-- benchmark: {name} -->" in (ROOT / "README.md").read_text()
    assert "<!-- benchmark: answers -->" in (ROOT / "docs" / "index.md").read_text()
    assert "<!-- benchmark: table -->" in (ROOT / "docs" / "families" / "index.md").read_text()
    for path in (ROOT / "docs" / "families").glob("*.md"):
        if path.stem not in ("index", *runs.EXCLUDED):
            assert "<!-- benchmark: row -->" in path.read_text(), path


def test_real_images_stand_above_the_samples_which_stand_in_the_order_of_their_fids(tmp_path: Path) -> None:
    known = [
        {
            **each,
            "run": each["result"]["choices"]["model"],
            "overrides": [],
            "result": {**each["result"], **own},
        }
        for each, fid in zip(records(ddpm=[1], gan=[1], vae=[1]), (3.0, 1.0, 2.0), strict=True)
        for own in [{"metrics": {"fid[f,n=9,ref=train,ema]": fid}}]
    ]
    for name, file in (("ddpm", STRIP), ("ddpm", REAL), ("gan", STRIP), ("vae", STRIP)):
        path = picture_path("digits_seconds", name, file, tmp_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    found = pages.strips("digits_seconds", known, Places(tmp_path, tmp_path, None))
    assert [*found] == ["held-out images", "gan", "vae", "ddpm"]


@pytest.mark.slow
def test_every_part_goes_from_its_plan_to_its_page(here: list[Sequence[str]], tmp_path: Path) -> None:
    """Runs of half a second of a DDPM and a GAN: guidance and steps are swept, halves are completed."""
    places = Places(tmp_path / "docs", tmp_path / "docs" / "benchmark" / "records", None)
    size = replace(TOY, seeds=(0,))
    jobs = jobs_of(plan(KEYS, size, Place(None, places.records)), tmp_path, places.records)
    assert execute.execute(jobs, tmp_path, Limits()) == []
    for key in KEYS:
        keep(key, [job.path for job in jobs if job.planned.key == key], places.records)
    write_pages(places, tmp_path, jobs)
    made = {path.name for path in (places.docs / "benchmark").iterdir()}
    assert {f"{key}.md" for key in KEYS if key != "claims"} <= made
    assert [*(places.records / "strips").glob("digits_seconds-ddpm-*-real.png")]
    assert {"heat_map-map.svg", "guidance-scales.svg", "few_steps-steps.svg"} <= made
    for name, words in (("guidance", "scale of guidance"), ("few_steps", "network evaluations per sample")):
        assert f"| FID ↓ by {words}" in (places.docs / "benchmark" / f"{name}.md").read_text()
    index = (places.docs / "benchmark" / "index.md").read_text()
    assert COMPLETION_ERROR.title in index
    assert pages.FIRST in index
    assert f"| {AUTHENTIC.title}" not in index  # it stands on its part's page
    assert AUTHENTIC.title in (places.docs / "benchmark" / "tiny_data.md").read_text()
    assert "recall ↑ by scale of guidance" in (places.docs / "benchmark" / "guidance.md").read_text()
