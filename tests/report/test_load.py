import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from genbench.report import json_text, load, markdown

FID = "fid[digits-cnn-v1,n=359,ref=train,{}]"
Write = Callable[..., Path]

ROOT = Path(__file__).parents[2]


def test_every_result_below_the_directory_is_a_row_in_the_order_of_the_paths(
    tmp_path: Path, write: Write
) -> None:
    for run in ("b/2", "b/1", "a/deep/er/x"):
        write(run)
    assert list(load(tmp_path)["run"]) == ["a/deep/er/x", "b/1", "b/2"]


def test_a_row_holds_the_results_values_as_they_are(tmp_path: Path, write: Write, result: dict) -> None:
    write("a/b")
    row = load(tmp_path).iloc[0].to_dict()
    expected = {**result["choices"], **result["metrics"], **result["cost"]}
    expected |= {"bits_per_dim": 3.5, "bound": "lower", "method": "elbo", "likelihood_n": 359}
    expected |= {"reconstruction_mse": 0.0123}
    assert row == {**expected, "run": "a/b", "group": "digits", "status": "done", "seed": 1}
    assert type(row["parameters"]) is int


def test_a_runs_own_directory_can_be_reported(tmp_path: Path, write: Write) -> None:
    write("mine")
    assert list(load(tmp_path / "mine")["run"]) == ["mine"]


def test_a_value_that_is_not_finite_differs_from_a_missing_one(tmp_path: Path, write: Write) -> None:
    write("a", metrics={FID.format("ema"): "nan", FID.format("raw"): "-inf", FID.format("test"): None})
    row = load(tmp_path).iloc[0]
    assert math.isnan(row[FID.format("ema")])
    assert row[FID.format("raw")] == -math.inf
    assert row[FID.format("test")] is None


def test_two_protocols_never_share_a_column(tmp_path: Path, write: Write) -> None:
    write("a", metrics={"fid[f,n=10,ref=train,ema]": 1.0})
    write("b", metrics={"fid[f,n=20,ref=train,ema]": 2.0})
    runs = load(tmp_path)
    assert list(runs["fid[f,n=10,ref=train,ema]"]) == [1.0, None]
    assert list(runs["fid[f,n=20,ref=train,ema]"]) == [None, 2.0]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[]",
        b'{"result": 1}',
        b"[" * 100_000,
        b'{"genbench": "0.1.0", "metrics": {"fid": 1.0}}',
        b'{"genbench": "0.1.0", "metrics": {"fid[f,n=1,ema]": "low"}}',
        b'{"genbench": "0.1.0", "metrics": {"fid[f,n=1,ema]": true}}',
        b'{"genbench": "0.1.0", "metrics": [1]}',
        b'{"genbench": "0.1.0", "cost": {"device": {"name": "cpu"}}}',
    ],
    ids=range(11),
)
def test_a_foreign_or_damaged_file_is_named_in_a_warning_and_the_others_still_load(
    tmp_path: Path, write: Write, content: bytes
) -> None:
    write("good")
    bad = write("bad")
    bad.write_bytes(content)
    with pytest.warns(UserWarning, match="bad.result.json is left out"):
        runs = load(tmp_path)
    assert list(runs["run"]) == ["good"]


def test_a_directory_that_is_missing_or_holds_no_result_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere is not a directory"):
        load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"no result\.json below"):
        load(tmp_path)


def test_a_thousand_runs_are_reported_in_two_seconds(tmp_path: Path, write: Write) -> None:
    for i in range(1000):
        n = 1000 + i % 20  # 20 protocols, each with its columns
        write(
            f"group{i % 7}/run{i}",
            metrics={f"fid[f,n={n},ref=train,{of}]": i for of in ("ema", "raw")},
        )
    load(tmp_path)  # pandas itself is imported outside the measurement
    started = time.process_time()
    text = markdown(load(tmp_path))
    json_text(load(tmp_path))
    # Processor time, so that a busy machine does not fail it; 0.5 s where it was written.
    assert time.process_time() - started < 2
    assert text.count("\n") == 1002


def test_reports_import_no_torch(tmp_path: Path, write: Write) -> None:
    write("a")
    code = (
        "import json, sys; from pathlib import Path; from rich.console import Console;"
        "from genbench.report import load, markdown, print_result;"
        "runs = Path(sys.argv[1]); markdown(load(runs));"
        "print_result(json.loads((runs / 'a' / 'result.json').read_text()), Console(quiet=True));"
        "print([name for name in ('torch', 'torchmetrics', 'wandb') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "[]\n", done.stderr
