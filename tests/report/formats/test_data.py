import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from genbench.report import Query
from genbench.report.compare import compare
from genbench.report.formats.data import csv_text, json_text

FID = "fid[digits-cnn-v1,n=359,ref=train,{}]"
Write = Callable[..., Path]


@pytest.fixture
def runs(tmp_path: Path, write: Write) -> Path:
    write("g/ddpm", config={"sampler": {"steps": 50}, "optim": {"lr": 0.1}})
    write(
        "g/vae",
        choices={"model": "vae"},
        seed=2,
        config={"optim": {"lr": 0.1}},
        metrics={FID.format("ema"): "nan"},
    )
    return tmp_path


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_csv_has_a_row_a_run_with_each_setting_that_differs_and_all_digits(runs: Path, result: dict) -> None:
    ddpm, vae = table(csv_text(compare(runs, Query())))
    assert list(ddpm)[:6] == ["run", "group", "status", "seed", "model", "data"]
    assert float(ddpm[FID.format("ema")]) == result["metrics"][FID.format("ema")]
    assert (ddpm["sampler.steps"], vae["sampler.steps"]) == ("50", "n/a")
    assert "optim.lr" not in ddpm
    assert (vae["schedule"], vae[FID.format("ema")]) == ("n/a", "nan")


def test_json_is_valid_and_a_missing_value_is_null(runs: Path, result: dict) -> None:
    text = json_text(compare(runs, Query()))
    ddpm, vae = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert ddpm[FID.format("ema")] == result["metrics"][FID.format("ema")]
    assert ddpm["parameters"] == 1234567
    assert (vae["schedule"], vae[FID.format("ema")]) == (None, "nan")


def test_columns_and_sorting_hold_for_csv_too(runs: Path) -> None:
    rows = table(csv_text(compare(runs, Query(columns=["model", "passes"], sort="-model"))))
    assert [list(row.items())[2:] for row in rows] == [
        [("model", "vae"), ("passes_per_sample", "50.0")],
        [("model", "ddpm"), ("passes_per_sample", "50.0")],
    ]
    assert list(rows[0])[:2] == ["run", "seed"]


def test_with_by_a_record_is_a_row_of_the_table_with_its_spread(tmp_path: Path, write: Write) -> None:
    for seed, fid in enumerate((1.0, 3.0)):
        write(f"a{seed}", seed=seed, metrics={FID.format("ema"): fid})
    (row,) = json.loads(json_text(compare(tmp_path, Query(by=["model"]))))
    name = FID.format("ema")
    assert (row["model"], row["runs"], row[name], row[f"{name} (n)"]) == ("ddpm", 2, 2.0, 2)
    assert row[f"{name} (std)"] == pytest.approx(2**0.5)


def test_hostile_names_come_back_from_json_and_in_one_line_from_csv(tmp_path: Path, write: Write) -> None:
    hostile = 'a|b\\c\nd\r\n,"e" <script> \ud800'
    write("a", choices={"model": hostile})
    found = compare(tmp_path, Query())
    (row,) = table(csv_text(found))
    expected = hostile.encode(errors="backslashreplace").decode()
    assert json.loads(json_text(found))[0]["model"] == expected
    assert row["model"] == expected.replace("\r", "\\r").replace("\n", "\\n")
