"""The verbs `report` and `serve` as a user calls them."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from genbench.cli import report as cli_report
from genbench.cli import serve as cli_serve

ROOT = Path(__file__).parents[2]
FID = "fid[f-cnn,n=1000,ref=train,ema]"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Four finished runs of two losses, and one that failed."""
    for loss, seed, fid in (("l1", 0, 1.0), ("l1", 1, 1.25), ("l2", 0, 5.0), ("l2", 1, 5.25)):
        choices = {"model": "ddpm", "data": "digits", "loss": loss}
        result = {"genbench": "0.1.0", "choices": choices, "seed": seed, "metrics": {FID: fid}}
        path = tmp_path / "runs" / f"{loss}-{seed}" / "result.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(result))
    failed = tmp_path / "runs" / "failed"
    failed.mkdir()
    (failed / "run.json").write_text('{"status": "failed", "error": "FloatingPointError: loss"}')
    return tmp_path / "runs"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli_report.verbs, list(map(str, arguments)))


def shown(*arguments: object) -> list[list[str]]:
    """The rows of a Markdown table."""
    done = call("report", *arguments)
    assert done.exit_code == 0, done.output
    lines = [line for line in done.stdout.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_a_report_is_a_row_a_configuration_with_its_seeds_and_what_is_left_out(runs: Path) -> None:
    head, _, first, second = shown(runs)
    assert head[:2] == ["loss", "FID¹ ↓"]
    assert first[:2] == ["l1", "**1.12 ± 0.18**"]
    assert second[:2] == ["l2", "5.12 ± 0.18"]
    assert "Not included: failed (failed: FloatingPointError: loss)." in call("report", runs).stdout


def test_rows_columns_order_and_runs_can_be_chosen(runs: Path) -> None:
    assert [row[0] for row in shown(runs, "--by", "run")[2:]] == ["l1-0", "l1-1", "l2-0", "l2-1"]
    assert [row[0] for row in shown(runs, "--sort", "-fid")[2:]] == ["l2", "l1"]
    assert len(shown(runs, "--filter", "loss=l1")) == 3
    assert len(shown(runs, "--filter", "seed=0", "--by", "run", "--filter", "fid<2")) == 3
    assert shown(runs, "--columns", FID)[0] == ["loss", "FID¹ ↓"]


def test_csv_has_a_line_a_run_and_names_what_is_left_out_on_stderr(runs: Path) -> None:
    done = call("report", runs, "--format", "csv")
    assert len(done.stdout.splitlines()) == 5
    assert "Not included: failed" in done.stderr


@pytest.mark.parametrize(
    ("ending", "start"), [("tex", "% needs"), ("html", "<!doctype html>"), ("HTM", "<!doctype html>")]
)
def test_the_ending_decides_the_format(runs: Path, tmp_path: Path, ending: str, start: str) -> None:
    out = tmp_path / f"a.{ending}"
    done = call("report", runs, "--out", out)
    assert (done.exit_code, done.stdout) == (0, f"{out} is written\n")
    assert out.read_text().lstrip().startswith(start)


def test_assets_are_a_new_folder_of_html(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = call("report", runs, "--assets", "--out", out)
    assert (done.exit_code, done.stdout) == (0, f"{out}/index.html is written\n")
    assert (out / "index.html").read_text().lstrip().startswith("<!doctype html>")
    assert "is not an empty folder" in str(call("report", runs, "--assets", "--out", out).exception)
    assert "--format html --out DIR" in str(call("report", runs, "--assets").exception)
    wrong = call("report", runs, "--assets", "--out", tmp_path / "new", "--format", "md")
    assert "--format html --out DIR" in str(wrong.exception)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["--by", "modle"],
            "'modle' is no column of these runs; did you mean model? `genbench report RUNS --keys` lists"
            " them",
        ),
        (["--filter", "loss=l3"], "no run is left; loss is l1, l2"),
        (["--columns", "fdi"], "'fdi' is no column"),
        (["--sort", "x"], "'x' is no column"),
    ],
)
def test_what_is_not_there_is_refused_with_what_there_is(runs: Path, words: list[str], says: str) -> None:
    assert says in str(call("report", runs, *words).exception)


def test_serve_says_where_and_ends_on_ctrl_c(runs: Path) -> None:
    command = [sys.executable, "-m", "genbench", "serve", str(runs), "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[0]
        assert url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(url, timeout=60) as answer:
            assert "2 of 2 rows" in answer.read().decode()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def test_serve_refuses_what_is_no_directory(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli_serve.verbs, ["serve", str(tmp_path / "nowhere"), "--port", "0"])
    assert "is not a directory" in str(done.exception)


def test_keys_lists_what_can_be_asked_for(runs: Path) -> None:
    done = call("report", runs, "--keys", "--filter", "seed=0")
    assert done.exit_code == 0
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["run", "l1-0,", "l2-0"],
        ["seed", "0"],
        ["loss", "l1,", "l2"],
        ["fid", "1,", "5"],
        ["3", "more,", "in", "which", "these", "runs", "do", "not", "differ:", "--keys", "--all"],
    ]
    every = call("report", runs, "--keys", "--all").stdout.splitlines()
    assert {"data", "model"} <= {line.split()[0] for line in every}
    assert "--all belongs to --keys" in str(call("report", runs, "--all").exception)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["--out", "x.foo"],
            "--out x.foo: its ending names no format: choose from .md, .csv, .json, .latex,",
        ),
        (["--out", "x.html", "--format", "csv"], "--out x.html ends as html does, --format is csv"),
        (["--out", "x.tex", "--format", "md"], "--out x.tex ends as latex does, --format is md"),
    ],
)
def test_a_file_whose_ending_says_another_format_or_none_is_refused(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert says in str(call("report", runs, *words).exception)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_an_ending_of_no_format_is_taken_with_the_word_of_the_user(runs: Path, tmp_path: Path) -> None:
    for name, format in (("x.foo", "csv"), ("x.tex", "latex"), ("x.HTM", "html")):
        assert call("report", runs, "--out", tmp_path / name, "--format", format).exit_code == 0
    assert (tmp_path / "x.foo").read_text().startswith("run,")


def test_a_terminal_gets_tables_as_wide_as_it_is_and_a_pipe_markdown(runs: Path) -> None:
    command = [sys.executable, "-m", "genbench", "report", str(runs)]
    ours, theirs = os.openpty()
    environment = {**os.environ, "COLUMNS": "60", "TERM": "xterm", "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(command, cwd=ROOT, stdout=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        while part := read(ours):
            shown += part
        assert process.wait(60) == 0
    os.close(ours)
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in shown.decode().splitlines()]
    assert max(map(len, lines)) <= 60
    rule = next(i for i, line in enumerate(lines) if line.startswith("──"))
    assert [line.split()[:4] for line in lines[rule + 1 : rule + 3]] == [
        ["l1", "1.12", "±", "0.18"],
        ["l2", "5.12", "±", "0.18"],
    ]
    assert b"\x1b[1m1.12" in shown  # the best in bold


def read(file: int) -> bytes:
    """Return what a terminal's other side wrote; nothing where it is closed: Linux tells by an error."""
    try:
        return os.read(file, 4096)
    except OSError:
        return b""


def test_csv_has_all_runs_so_that_none_is_said_to_be_left_out(runs: Path) -> None:
    for name in ("l1-0", "l1-1"):
        path = runs / name / "result.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"identity": "same"}))
    assert "count once" in call("report", runs).stdout
    done = call("report", runs, "--format", "csv")
    assert len(done.stdout.splitlines()) == 5
    assert "count once" not in done.stderr
    assert "count once" in call("report", runs, "--format", "csv", "--by", "loss").stderr


def test_rows_that_pool_unequal_budgets_show_them_and_are_not_ranked(runs: Path) -> None:
    for name, images in (("l1-0", 60000), ("l1-1", 90000), ("l2-0", 60000), ("l2-1", 60000)):
        path = runs / name / "result.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"config": {"budget": {"images": images}}}))
    head, _, first, second = shown(runs, "--by", "loss")
    assert head[:3] == ["loss", "budget", "FID¹ ↓"]
    assert first[:3] == ["l1", "60,000 images, 90,000 images", "1.12 ± 0.18"]  # not in bold
    assert second[:3] == ["l2", "60,000 images", "5.12 ± 0.18"]
    text = call("report", runs, "--by", "loss").stdout
    for words in ("the rows are not ranked", "deviation over runs", "Rows pool runs that differ in budget"):
        assert words in text


def test_two_models_of_one_directory_are_compared(runs: Path) -> None:
    done = call("compare", runs, "--a", "loss=l1", "--b", "loss=l2")
    assert done.exit_code == 0
    assert done.stdout == call("compare", runs, runs, "--a", "loss=l1", "--b", "loss=l2").stdout
    assert "Welch's test, 2 and 2 runs" in done.stdout.splitlines()[0]
    assert "loss=l1" in done.stdout
    refused = call("compare", runs, runs, "--a", "loss=l1")
    assert "B is several configurations, which differ in loss" in str(refused.exception)
    assert "--b loss=l" in str(refused.exception)
