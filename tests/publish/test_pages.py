"""The pages of the benchmark at toy size: tables, figures, commands, and what is missing."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.publish import execute, pages, runs
from benchmarks.publish.again import commands
from benchmarks.publish.book import Chapter
from benchmarks.publish.execute import Job, Limits, jobs_of
from benchmarks.publish.figures import curve_figure
from benchmarks.publish.pages import Places, between, write_pages
from benchmarks.publish.plan import plan
from benchmarks.publish.planned import TOY, Place
from benchmarks.publish.records import REAL, STRIP, keep, picture_path
from benchmarks.publish.tables import copies_table, halves_table
from benchmarks.publish.unfit import AUTHENTIC, COMPLETION_ERROR
from benchmarks.publish.winners import model_of
from tests.conftest import ROOT
from tests.publish.made import KEYS, SMALL, records


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


def test_a_failed_run_is_of_the_model_of_its_overrides_and_in_no_curve(tmp_path: Path) -> None:
    failed = {"overrides": ["model=vae", "seed=0"], "about": {"seed": 0}, "events": []}
    assert model_of(failed) == "vae"
    assert not curve_figure([failed], tmp_path / "curves.svg")


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
