import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from genbench.report import csv_text, json_text, load, markdown, table
from genbench.report.table import written

FID = "fid[digits-cnn-v1,n=359,ref=train,{}]"
Write = Callable[..., Path]

VAE = {
    "choices": {"model": "vae", "data": "digits"},
    "likelihood": {"bits_per_dim": None, "bound": None, "method": None, "n": None},
    "reconstruction": {"mse": None, "n": None},
    "metrics": {FID.format("ema"): "nan"},
}


@pytest.fixture
def runs(tmp_path: Path, write: Write) -> Path:
    write("g/ddpm")
    write("g/vae", **VAE)
    return tmp_path


def cells(line: str) -> list[str]:
    return line.strip("| \n").split(" | ")


def test_the_columns_are_axes_then_metrics_then_likelihood_then_cost(runs: Path) -> None:
    columns = list(table(load(runs)).columns)
    assert columns[:8] == ["run", "model", "data", "schedule", "loss", "parameterization", "sampler", "seed"]
    assert columns[8:11] == [FID.format(of) for of in ("ema", "raw", "test")]
    assert [name.split("[")[0] for name in columns[11:14]] == ["is", "is_std", "kid"]
    assert columns[14:18] == ["bits_per_dim", "bound", "method", "likelihood_n"]
    assert columns[18:20] == ["reconstruction_mse", "parameters"]
    assert columns[-1] == "device"


def test_another_choice_has_a_column_where_runs_that_have_it_differ(tmp_path: Path, write: Write) -> None:
    write("a", choices={"model": "ddpm", "network": "unet", "optim": "adam"})
    write("b", choices={"model": "ddpm", "network": "unet_folded", "optim": "adam"})
    write("c", choices={"model": "vae", "likelihood": "logistic", "optim": "adam"})
    columns = list(table(load(tmp_path)).columns)
    assert columns[6:9] == ["sampler", "network", "seed"]
    assert not {"optim", "likelihood"} & set(columns)


def test_markdown_has_one_line_a_run_and_says_what_is_missing(runs: Path) -> None:
    head, rule, ddpm, vae = markdown(load(runs)).splitlines()
    assert len(cells(head)) == len(cells(rule)) == len(cells(ddpm)) == len(cells(vae))
    rows = dict(zip(cells(head), cells(vae), strict=True))
    assert (rows["model"], rows["schedule"], rows["bits/dim"]) == ("vae", "n/a", "n/a")
    assert (rows[FID.format("ema")], rows[FID.format("raw")]) == ("nan", "n/a")
    rows = dict(zip(cells(head), cells(ddpm), strict=True))
    assert (rows[FID.format("ema")], rows["parameters"], rows["bound"]) == ("3.142", "1,234,567", "lower")


def test_details_are_in_csv_and_json_and_not_in_markdown(tmp_path: Path, write: Write) -> None:
    shown, hidden = "recall[f,n=9,k=5,ref=train,ema]", "coverage[f,n=9,k=5,ref=train,ema]"
    write("a", metrics={hidden: 0.25, shown: 0.5})
    head, _, row = markdown(load(tmp_path)).splitlines()
    assert dict(zip(cells(head), cells(row), strict=True))[shown] == "0.5"
    assert hidden not in head
    (record,) = json.loads(json_text(load(tmp_path)))
    assert (record[shown], record[hidden]) == (0.5, 0.25)
    assert hidden in csv_text(load(tmp_path))


def test_csv_keeps_all_digits(runs: Path, result: dict) -> None:
    ddpm, vae = csv.DictReader(io.StringIO(csv_text(load(runs))))
    assert float(ddpm[FID.format("ema")]) == result["metrics"][FID.format("ema")]
    assert (vae["schedule"], vae[FID.format("ema")]) == ("n/a", "nan")


def test_json_is_valid_and_a_missing_value_is_null(runs: Path, result: dict) -> None:
    text = json_text(load(runs))
    ddpm, vae = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert ddpm[FID.format("ema")] == result["metrics"][FID.format("ema")]
    assert ddpm["parameters"] == 1234567
    assert (vae["schedule"], vae[FID.format("ema")]) == (None, "nan")


def test_columns_that_no_run_has_are_there_and_empty(tmp_path: Path, write: Write) -> None:
    write("a", **VAE, cost={})
    (row,) = json.loads(json_text(load(tmp_path)))
    assert row["sampler"] is None
    assert row["device"] is None


HOSTILE = "a|b\\|c\nd\r\n| e <script> [red] \ud800 \x00,\"'"


def test_hostile_names_stay_in_their_cells(tmp_path: Path, write: Write) -> None:
    fid = f"fid[{HOSTILE.replace('[', '').replace(']', '')},ema]"
    choices = {"model": HOSTILE, "run": "x", fid: "y", "fid": HOSTILE}
    write("a|b", choices=choices, metrics={fid: 1.0})
    runs = load(tmp_path)
    lines = markdown(runs).split("\n")
    assert len(lines) == 4
    bare = [line.replace("\\\\", "").replace("\\|", "").count("|") for line in lines[:3]]
    assert bare == [bare[0]] * 3
    assert "<script" not in "".join(lines)
    (row,) = csv.DictReader(io.StringIO(csv_text(runs), newline=""))
    assert row["model"] == json.loads(json_text(runs))[0]["model"]
    assert (markdown(runs) + csv_text(runs)).encode()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "n/a"),
        ("x", "x"),
        (3, "3"),
        (1234567, "1,234,567"),
        (10**400, f"{10**400:,}"),
        (3.14159, "3.142"),
        (-0.00012345, "-0.0001234"),
        (12345.6, "12,346"),
        (1e300, "1e+300"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
    ],
)
def test_numbers_are_written_to_four_figures(value: str | float | None, expected: str) -> None:
    assert written(value) == expected
