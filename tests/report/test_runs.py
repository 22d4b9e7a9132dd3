import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from genbench.report import Query, load
from genbench.report.compare import compare
from genbench.report.formats.markdown import markdown
from genbench.report.runs import read

FID = "fid[digits-cnn-v1,n=359,ref=train,{}]"
Write = Callable[..., Path]
Evaluated = Callable[..., None]
NEW = "fid[inception,res=tf1,n=50000,ref=train,ema]"

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
    expected |= {
        "reconstruction_mse": 0.0123,
        "reconstruction_n": 359,
        "budget": "60,000 images",
        "identity": "1",
    }
    expected |= {"data_name": "digits", "data_key": "images"}
    own = {"run": "a/b", "group": "digits", "status": "done", "seed": 1, "counted": True}
    assert row == {**expected, **own}
    assert type(row["parameters"]) is int


def test_random_initial_weights_are_no_choice_of_those_of_a_run(tmp_path: Path, write: Write) -> None:
    init = {"_target_": "genbench.app.initial_weights.initial_weights", "run_dir": None, "fingerprint": None}
    for run, part in (("random", init), ("begun", init | {"run_dir": "a", "fingerprint": "b"})):
        write(run, choices={"model": "consistency", "init": "run"}, config={"init": part})
    row = load(tmp_path).set_index("run")["init"]
    assert (row["begun"], row["random"]) == ("run", None)


def test_a_setting_in_which_runs_differ_is_a_column_under_its_key(tmp_path: Path, write: Write) -> None:
    write("a", config={"optim": {"lr": 0.1, "betas": [0.9, 0.99]}, "model": {"width": 8}})
    write("b", config={"optim": {"lr": 0.2, "betas": [0.9, 0.99]}, "model": {}})
    runs = load(tmp_path)
    assert runs.attrs["settings"] == ["model.width", "optim.lr"]
    assert list(runs["optim.lr"]) == [0.1, 0.2]
    assert runs["model.width"].dtype == float
    assert runs["model.width"].iloc[0] == 8
    assert math.isnan(runs["model.width"].iloc[1])


def test_runs_without_a_result_are_named_with_the_reason(tmp_path: Path, write: Write) -> None:
    write("good")
    for name, status, error in (
        ("a", "failed", "FloatingPointError: loss"),
        ("b", "stopped", None),
        ("c", "running", None),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps({"status": status, "error": error}))
    with pytest.warns(UserWarning, match="is not included"):
        left_out = load(tmp_path).attrs["left_out"]
    assert left_out == {
        "a": "failed: FloatingPointError: loss",
        "b": "stopped before its end; the same command again resumes it",
        "c": "still running or killed; if it was killed, the same command again resumes it",
    }


def test_a_runs_own_directory_can_be_reported(tmp_path: Path, write: Write) -> None:
    write("mine")
    assert list(load(tmp_path / "mine")["run"]) == ["mine"]


def test_a_value_that_is_not_finite_differs_from_a_missing_one(tmp_path: Path, write: Write) -> None:
    write("a", metrics={FID.format("ema"): "nan", FID.format("raw"): "-inf", FID.format("test"): None})
    (row,) = read(tmp_path).frame.to_dict("records")
    assert math.isnan(row[FID.format("ema")])
    assert row[FID.format("raw")] == -math.inf
    assert row[FID.format("test")] is None


def test_numbers_are_numbers_to_pandas_and_runs_that_tables_leave_out_are_marked(
    tmp_path: Path, write: Write, result: dict
) -> None:
    cost = result["cost"]
    write("a", identity="x", cost=cost | {"parameters": 10})
    write("a-2", identity="x", cost=cost | {"parameters": 10})
    write("b", cost={key: value for key, value in cost.items() if key != "seconds_per_image"})
    runs = load(tmp_path)
    assert runs.set_index("run")["counted"].to_dict() == {"a": False, "a-2": True, "b": True}
    assert runs.nlargest(1, "parameters")["run"].item() == "b"
    assert runs["seconds_per_image"].describe()["count"] == 2
    assert math.isnan(runs["seconds_per_image"].iloc[2])


def test_two_protocols_never_share_a_column(tmp_path: Path, write: Write) -> None:
    write("a", metrics={"fid[f,n=10,ref=train,ema]": 1.0})
    write("b", metrics={"fid[f,n=20,ref=train,ema]": 2.0})
    runs = load(tmp_path)
    assert runs["fid[f,n=10,ref=train,ema]"].dropna().tolist() == [1.0]
    assert runs["fid[f,n=20,ref=train,ema]"].dropna().tolist() == [2.0]


@pytest.mark.parametrize(
    "content",
    [
        b'{"genbench": "0.1.0", "cost": {"parameters": 1' + b"0" * 400 + b"}}",
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
    ids=range(12),
)
def test_a_foreign_or_damaged_file_is_named_in_a_warning_and_the_others_still_load(
    tmp_path: Path, write: Write, content: bytes
) -> None:
    write("good")
    bad = write("bad")
    bad.write_bytes(content)
    with pytest.warns(UserWarning, match="bad is not included: damaged: result.json"):
        runs = load(tmp_path)
    assert list(runs["run"]) == ["good"]


def test_a_directory_that_is_missing_or_holds_no_result_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere is not a directory"):
        load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"no result\.json below"):
        load(tmp_path)


def test_a_thousand_runs_are_reported_in_two_seconds(tmp_path: Path, write: Write, result: dict) -> None:
    config = {
        group: {f"key{i}": [i, 0.5, None] for i in range(12)} for group in ("network", "optim", "trainer")
    }
    scores = {
        f"{kind}[f,n={n},k=5,ref={ref},{of}]": 1.5
        for kind in ("fid", "kid", "kid_std", "recall")
        for n in (1000, 1001)
        for ref in ("train", "test")
        for of in ("ema", "raw")
    }
    for i in range(1000):
        write(
            f"group{i % 7}/run{i}",
            identity=str(i),
            seed=i % 4,
            choices=result["choices"] | {"loss": f"loss{i // 40}"},
            config=config | {"sampler": {"steps": i // 4 % 10}},
            metrics=scores,
        )
    assert (tmp_path / "group0" / "run0" / "result.json").stat().st_size > 4000
    started = time.process_time()
    text = markdown(compare(tmp_path, Query()))
    # Processor time, so that a busy machine does not fail it; 0.6 s where it was written.
    assert time.process_time() - started < 2
    table, _, pivot = text.partition("FID ↓ by loss (rows)")
    assert table.count("\n| loss") == 1 + 250
    assert pivot.count("\n| loss") == 1 + 25


def test_reports_import_no_torch(tmp_path: Path, write: Write) -> None:
    write("a")
    code = (
        "import json, sys; from pathlib import Path; from rich.console import Console;"
        "from genbench.records.result import Result;"
        "from genbench.report import load, print_result, Query; from genbench.report.compare import compare;"
        "from genbench.report.formats.data import csv_text; from genbench.report.formats.latex import latex;"
        "from genbench.report.formats.markdown import markdown;"
        "runs = Path(sys.argv[1]); load(runs); found = compare(runs, Query());"
        "markdown(found); csv_text(found); latex(found);"
        "print_result(Result.of(json.loads((runs / 'a' / 'result.json').read_text())), Console(quiet=True));"
        "print([name for name in ('torch', 'torchmetrics', 'wandb') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "[]\n", done.stderr


def test_later_evaluations_of_a_run_on_its_own_data_join_its_result(
    tmp_path: Path, write: Write, evaluated: Evaluated
) -> None:
    evaluated(write("a"), {"metrics": {NEW: 7.0, FID.format("ema"): 99.0}}, {"metrics": {NEW: 6.0}})
    row = load(tmp_path).iloc[0]
    assert row[NEW] == 6.0  # the newest
    assert row[FID.format("ema")] == 3.14159  # the result itself stands


@pytest.mark.parametrize(
    "other",
    [{"identity": "?"}, {"images_seen": 32000}, {"data_key": "?"}, {"seed": 7}, {"identity": None}],
    ids=lambda other: next(iter(other)),
)
def test_evaluations_of_another_model_other_data_or_another_seed_do_not(
    tmp_path: Path, write: Write, evaluated: Evaluated, other: dict
) -> None:
    """However they were asked for: images_seen, of a run that had not finished when it was evaluated."""
    evaluated(write("a"), {"metrics": {NEW: 7.0}, "overrides": []} | other)
    assert NEW not in load(tmp_path)


@pytest.mark.parametrize(
    ("bound", "method", "expected"),
    [
        ("exact", "uniform dequantization", ("lower", "one draw of uniform dequantization")),
        ("lower", "variational dequantization", ("lower", "one draw of variational dequantization")),
        ("exact", "pixel by pixel", ("exact", "pixel by pixel")),
        ("lower", "elbo", ("lower", "elbo")),
    ],
)
def test_a_flows_bound_in_an_earlier_result_reads_as_what_it_is(
    tmp_path: Path, write: Write, bound: str, method: str, expected: tuple[str, str]
) -> None:
    write("a", likelihood={"bits_per_dim": 3.5, "bound": bound, "method": method, "n": 8})
    runs = load(tmp_path)
    assert (runs["bound"][0], runs["method"][0], runs["bits_per_dim"][0]) == (*expected, 3.5)


def test_a_later_likelihood_joins_a_result_that_has_none(
    tmp_path: Path, write: Write, evaluated: Evaluated
) -> None:
    found = {"bits_per_dim": 4.5, "bound": "exact", "method": "m", "n": 8}
    missing = {"bits_per_dim": None, "bound": "exact", "method": "m", "n": 0}
    raw = {"metrics": {}, "likelihood": found | {"bits_per_dim": 9.0}, "weights": "raw"}
    for name, likelihood in (("a", missing), ("b", found | {"bits_per_dim": 3.5})):
        evaluated(write(name, likelihood=likelihood), {"metrics": {}, "likelihood": found}, raw)
    runs = load(tmp_path)
    assert list(runs["bits_per_dim"]) == [4.5, 3.5]
    assert list(runs["likelihood_n"]) == [8, 8]


@pytest.mark.parametrize(
    "line",
    [
        b'{"metrics": {"fid[f,n=1,',
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"metrics": {"fid": 1.0}}',
        b'{"metrics": {"fid[f,n=1,ema]": "low"}}',
        b'{"metrics": {}, "likelihood": [1]}',
    ],
    ids=range(8),
)
def test_a_bad_line_of_evaluations_is_named_and_the_others_join(
    tmp_path: Path, write: Write, evaluated: Evaluated, line: bytes
) -> None:
    evaluated(write("a"), {"metrics": {NEW: 7.0}}, line)
    with pytest.warns(UserWarning, match=r"a: evaluations that cannot be read: evaluations.jsonl, line 2"):
        row = load(tmp_path).iloc[0]
    assert row[NEW] == 7.0
    assert row[FID.format("ema")] == 3.14159
    said = markdown(compare(tmp_path, Query()))
    assert "Evaluations that cannot be read: a (evaluations.jsonl, line 2)." in said
