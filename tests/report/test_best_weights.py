"""Rows of runs that retained their best weights: own columns, marked, and ranked by none."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from genbench.records.result import Result
from genbench.report import Query, load
from genbench.report.compare import compare
from genbench.report.footnotes import notes
from genbench.report.formats.data import csv_text, json_text
from genbench.report.formats.latex import latex
from genbench.report.formats.markdown import markdown
from genbench.report.formats.model_card import model_card
from genbench.report.formats.one_result import print_result
from genbench.report.two_sided import compare_sides, read_sides

FID = "fid[f-cnn,n=1000,ref=train,{}]"
BOUND = {"bound": "lower", "method": "elbo", "n": 359}
Write = Callable[..., Path]
Evaluated = Callable[..., None]


def chosen(fid: float, bits: float = 3.25, **more: object) -> dict[str, object]:
    """Sections of a result that retained its best weights, whose last ones have a FID of 3 and 3.5 bits."""
    return {
        "metrics": {FID.format("ema"): 3.0, FID.format("best"): fid, FID.format("test"): 0.5},
        "best": {"images_seen": 45000, "by": "loss", "value": 0.125},
        "best_likelihood": {"bits_per_dim": bits, **BOUND},
        **more,
    }


def of(model: str, seed: int = 0) -> dict[str, object]:
    config = {"budget": {"images": 60000}}
    return {"choices": {"model": model, "data": "digits"}, "seed": seed, "config": config}


@pytest.fixture
def runs(tmp_path: Path, write: Write) -> Path:
    """Two seeds of a ddpm with its best weights, far better than the last, and of a vae without."""
    for seed in (0, 1):
        write(f"ddpm-{seed}", **of("ddpm", seed), **chosen(1.0 + seed / 10))
        write(f"vae-{seed}", **of("vae", seed), metrics={FID.format("ema"): 2.0 + seed / 100})
    return tmp_path


def test_the_best_weights_have_columns_of_their_own_beside_those_of_the_last(runs: Path) -> None:
    (table,) = compare(runs, Query()).tables
    titles = [column.title for column in table.columns]
    assert titles[titles.index("FID") + 1] == "FID best"
    assert titles[titles.index("bits/dim") + 1] == "bits/dim best"
    rows = {line.cells("model")[0]: dict(zip(titles, line.entries, strict=True)) for line in table.lines}
    assert (rows["ddpm"]["FID"].value, rows["ddpm"]["FID best"].value) == (3.0, 1.05)
    assert (rows["ddpm"]["bits/dim best"].value, rows["ddpm"]["bits/dim best"].sign) == (3.25, "≤")
    assert (rows["vae"]["FID best"].value, rows["vae"]["FID best"].sign) == (None, "–")
    assert (rows["vae"]["bits/dim best"].value, rows["vae"]["bits/dim best"].sign) == (None, "–")


def test_rows_are_ranked_and_tested_by_the_last_weights_alone(runs: Path) -> None:
    (table,) = compare(runs, Query()).tables
    assert table.lines[0].cells("model")[0] == "vae"  # 2.0 of its last weights before 3.0, not after 1.05
    assert not [name for name in table.leaders if "best" in name]
    places = zip(table.columns, zip(*(line.entries for line in table.lines), strict=True), strict=True)
    bold = [col.title for col, column in places if any(entry.is_best for entry in column)]
    assert bold == ["FID"]


def test_two_sides_compare_by_the_last_weights_alone(runs: Path) -> None:
    measures = compare_sides(*read_sides(runs, runs, ["model=ddpm"], ["model=vae"]))
    assert [measure.column.title for measure in measures] == ["FID", "bits/dim"]


def test_a_note_says_what_they_are_and_when_they_were_chosen(runs: Path) -> None:
    (table,) = compare(runs, Query()).tables
    (note,) = [words for words in notes(table) if words.startswith("best: ")]
    assert "ddpm-0 (by loss, at 45,000 images), ddpm-1 (by loss, at 45,000 images)" in note
    assert "no row is ranked by it" in note


def test_every_format_carries_both(runs: Path) -> None:
    found = compare(runs, Query())
    for text in (markdown(found), latex(found)):
        assert "FID best" in text
        assert "validation split" in text
    record = json.loads(json_text(found))[0]
    names = (FID.format("best"), "best_bits_per_dim", "best_images_seen", "best_by", "best_value")
    assert [record[name] for name in names] == [1.0, 3.25, 45000, "loss", 0.125]
    assert {*names} <= {*next(csv.reader(csv_text(found).splitlines()))}


def test_runs_without_them_have_no_such_column_and_no_such_note(tmp_path: Path, write: Write) -> None:
    write("a", **of("ddpm"))
    found = compare(tmp_path, Query())
    assert "best:" not in markdown(found)
    assert not [name for name in load(tmp_path) if "best" in name]


def test_a_run_with_validation_and_one_without_share_a_table(tmp_path: Path, write: Write) -> None:
    """Scores are against the whole training split in both; the share held back tells the rows apart."""
    trainer = {"keep": "best", "keep_by": "loss", "patience": None, "validate_every_images": 1000}
    for name, share in (("a", None), ("b", 0.1), ("c", ...)):
        data = {"validation": share} if share is not ... else {}
        config = {"budget": {"images": 60000}, "data": data, "trainer": {**trainer, "keep": "last"}}
        write(name, **of("ddpm") | {"config": config, "seed": ord(name)})
    (table,) = compare(tmp_path, Query()).tables
    assert sorted(line.runs for line in table.lines) == [["a", "c"], ["b"]]


def test_a_later_evaluation_of_the_best_weights_joins_the_result(
    tmp_path: Path, write: Write, evaluated: Evaluated
) -> None:
    later = {"bits_per_dim": 3.0, **BOUND}
    evaluated(write("a"), {"metrics": {FID.format("best"): 2.0}, "likelihood": later, "weights": "best"})
    row = load(tmp_path).iloc[0]
    assert (row[FID.format("best")], row["best_bits_per_dim"], row["bits_per_dim"]) == (2.0, 3.0, 3.5)


def test_a_run_that_stopped_early_is_said_not_to_have_spent_its_budget(tmp_path: Path, write: Write) -> None:
    cost = {"images_seen": 32000, "ended_early": "trainer.patience=3: no better loss", "device": "cpu"}
    for seed in (0, 1):
        write(f"vae-{seed}", **of("vae", seed) | {"cost": cost})
        write(f"ddpm-{seed}", **of("ddpm", seed))
    found = compare(tmp_path, Query())
    text = markdown(found)
    assert "Budgets are not all spent: vae has runs stopped early." in text
    assert "vae-0 (after 32,000 images of 60,000 images), vae-1" in text
    assert "budget 60,000 images (not spent by 2 of 4 runs)" in text
    (table,) = found.tables
    assert "images" in [column.title for column in table.columns]  # else the budget would say it


def test_one_result_shows_the_last_and_the_best_side_by_side(
    result: dict, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {FID.format("ema"): 3.0, FID.format("best"): 2.0, FID.format("raw"): 4.0}
    print_result(Result.of(result | chosen(2.0) | {"metrics": names}), Console(width=100))
    text = capsys.readouterr().out
    assert ["metric", "EMA", "best", "raw"] in [line.split() for line in text.splitlines()]
    assert ["fid", "3", "2", "4"] in [line.split() for line in text.splitlines()]
    assert "bits/dim best       3.25 (upper bound on bits/dim: elbo, 359 test images)" in text
    assert "best validation by loss (0.125), at 45,000 images: a selection" in text


def test_a_model_card_of_the_best_weights_says_that_they_are_a_selection(result: dict) -> None:
    card = model_card(Result.of(result | chosen(2.0)), weights="best", made="x", license_name=None)
    assert "weights: best (the best on the validation split by loss, at 45,000 images: a selection)" in card
    assert FID.format("ema") not in card
    assert FID.format("best") in card.replace("\\", "")
    assert "3.25" in card
