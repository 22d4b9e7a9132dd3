"""Images of another tool as a row of reports: recorded once, never ranked, and as untrusted as runs are."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genbench.evaluation.given_images import GivenImages
from genbench.evaluation.recorded_images import Row, folder_of_row, record_images
from genbench.report import Query, Table
from genbench.report.compare import compare
from genbench.report.conclusion import conclusion
from genbench.report.footnotes import notes
from genbench.report.formats.data import csv_text
from genbench.report.numbers import whole
from genbench.report.page import html
from tests.conftest import Command

FID = "fid[f-cnn,n=9,ref=train,{}]"
DATA = {"_target_": "genbench.data.Digits", "binarize": False}
RECORD = {
    "genbench": "0.1.0",
    "when": "2026-11-30T01:08:25+00:00",
    "data_key": "images",
    "seed": 0,
    "metrics": {FID.format("given"): 0.5, FID.format("test"): 0.4},
}
Sow = Callable[..., None]


def images(n: int = 9) -> GivenImages:
    return GivenImages(torch.arange(n * 64, dtype=torch.uint8).reshape(n, 1, 8, 8), None)


def record(runs: Path, name: str = "mine", **changes: object) -> Path:
    folder = folder_of_row(runs, name, "digits", 0)
    record_images(images(), RECORD | changes, Row("x.npz", name, "digits", DATA), folder)
    return folder


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A directory with three seeds of two models."""
    for model, fid in (("vae", 4.0), ("flow", 2.0)):
        for seed in range(3):
            folder = tmp_path / f"{model}-{seed}"
            folder.mkdir()
            result: dict[str, Any] = {
                "genbench": "0.1.0",
                "identity": folder.name,
                "seed": seed,
                "choices": {"model": model, "data": "digits", "schedule": "cosine"},
                "config": {"data": DATA, "budget": {"images": 60000}, "optim": {"lr": 0.1}},
                "metrics": {FID.format("ema"): fid + 0.01 * seed},
                "cost": {"device": "cpu", "parameters": 9, "images_seen": 60000},
            }
            (folder / "result.json").write_text(json.dumps(result))
    return tmp_path


def the_table(runs: Path) -> Table:
    (table,) = compare(runs, Query()).tables
    return table


def test_recorded_images_are_a_row_beside_runs_of_the_same_protocol(trained: Path) -> None:
    before = the_table(trained)
    record(trained)
    table = the_table(trained)
    assert [str(line.entries[0].value) for line in table.lines] == [
        "flow",
        "vae",
        "mine",
    ]  # which is not ranked
    place = [col.title for col in table.columns].index("FID")
    assert table.lines[-1].entries[place].value == 0.5
    assert [col.title for col in table.columns] == [col.title for col in before.columns]
    assert table.constants == before.constants  # what the trained rows share is still said once


def test_they_have_no_cost_and_no_likelihood_and_say_where_they_come_from(trained: Path) -> None:
    record(trained)
    (table,) = compare(trained, Query(columns=["fid", "params", "bits/dim", "device"])).tables
    texts = [whole(x, col.name) for x, col in zip(table.lines[-1].entries, table.columns, strict=True)]
    assert texts[2:] == ["–", "–", "–"]
    said = " ".join(notes(table))
    assert "Images of another tool, without training, cost and likelihood, not ranked: mine (x.npz)." in said
    assert "x.npz" in csv_text(compare(trained, Query()))


def test_they_are_neither_ranked_nor_keep_trained_rows_from_it(trained: Path) -> None:
    record(trained)
    table = the_table(trained)
    best = [line.entries[0].value for line in table.lines if any(x.is_best for x in line.entries)]
    assert best == ["flow"]
    said = conclusion(table)
    assert said.startswith("Of the trained rows, flow has the lowest FID (2.01")
    assert "mine, images of another tool, has FID 0.500" in said
    assert "one seed" not in said


def test_the_page_shows_their_picture(trained: Path) -> None:
    record(trained)
    page = html(compare(trained, Query()), title="runs")
    assert 'alt="samples: mine"' in page


def test_nothing_is_overwritten_and_no_row_lies_inside_a_run(trained: Path) -> None:
    folder = record(trained)
    before = (folder / "result.json").read_bytes()
    with pytest.raises(ValueError, match="is not overwritten"):
        record(trained)
    assert (folder / "result.json").read_bytes() == before
    with pytest.raises(ValueError, match="is in the run"):
        folder_of_row(trained / "vae-0" / "deep", "mine", "digits", 0)
    for name in ("", "../x", "a b", "-x", "x" * 41):
        with pytest.raises(ValueError, match="--as is"):
            folder_of_row(trained, name, "digits", 0)


def test_the_same_images_twice_are_no_two_seeds(trained: Path) -> None:
    record(trained)
    folder = folder_of_row(trained, "mine", "digits", 1)
    record_images(images(), RECORD | {"seed": 1}, Row("x.npz", "mine", "digits", DATA), folder)
    assert len(compare(trained, Query()).replaced) == 1


@pytest.mark.parametrize("given", [[], {"target": [1]}, {"target": {"a": 1}}, "x", {"target": "<script>"}])
def test_a_hostile_record_is_left_out_or_escaped(trained: Path, given: object) -> None:
    path = record(trained) / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"given": given}))
    found = compare(trained, Query())
    assert "<script>\n" not in html(found, title="runs")
    assert (len(found.runs.left_out) == 1) == (given != {"target": "<script>"})


def test_a_metric_name_without_a_protocol_is_damage_that_is_named(trained: Path) -> None:
    record(trained, metrics={"fid": 1.0})
    assert "does not state its protocol" in str(compare(trained, Query()).runs.left_out)


def test_evaluate_records_a_file_as_a_row_by_one_option(trained: Path, verb: Command) -> None:
    rng = np.random.default_rng(0)
    file = trained.parent / f"{trained.name}.npz"
    np.savez(file, samples=rng.integers(0, 255, (64, 8, 8), dtype=np.uint8))
    words = ["evaluate", file, "--data", "digits", "--set", "scores=[fid]", "--record", trained]
    done = verb(*words, "--as", "mine")
    assert done.returncode == 0, done.stderr
    assert "recorded in" in done.stderr
    assert (trained / "mine-digits-seed0" / "samples" / "samples_000000000.png").is_file()
    assert "mine" in verb("report", trained).stdout
    for more, reason in (
        (["--as", "mine"], "is not overwritten"),
        (["--as", "vae"], "is the name of a family"),
    ):
        again = verb(*words, *more)
        assert (again.returncode, reason in again.stderr) == (2, True), again.stderr
    alone = verb(*words[:-2], "--as", "mine")
    assert alone.returncode == 2
    assert "give --record RUNS too" in alone.stderr
