"""The tables as a terminal shows them, whatever its width."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from genbench.report import Query
from genbench.report.compare import Comparison, compare
from genbench.report.formats.markdown import markdown
from genbench.report.formats.terminal import print_comparison

Write = Callable[..., Path]
KINDS = ("fid", "is", "kid", "precision", "recall", "swd", "authenticity")


@pytest.fixture
def found(tmp_path: Path, write: Write, result: dict) -> Comparison:
    """Two models with their intervals, and a copy of one of them under another name."""
    for folder, model, identity in (("a", "ddpm", "x"), ("a", "flow_matching", "y"), ("b", "ddpm", "x")):
        metrics = {}
        for kind in KINDS:
            for end, value in (("", 1.5), ("_low", 1.25), ("_high", 1.75)):
                metrics[f"{kind}{end}[digits-cnn-v1,n=359,splits=10,ref=train,ema]"] = value + len(model)
        choices = result["choices"] | {"model": model}
        write(f"{folder}/{model}", identity=identity, group=folder, choices=choices, metrics=metrics)
    return compare(tmp_path, Query())


def printed(found: Comparison, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    print_comparison(found, console)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 80, 120, 400])
def test_no_line_is_wider_than_the_terminal_and_no_value_is_broken(found: Comparison, width: int) -> None:
    lines = printed(found, width)
    assert max(map(cell_len, lines)) <= width
    text = "\n".join(lines)
    for value in ("5.50 [5.25, 5.75]", "14.50 [14.25, 14.75]"):
        assert text.count(value) == len(KINDS)
    for title in ("FID", "precision", "authentic", "bits/dim"):
        assert re.search(rf"{title}\S* ?[↓↑]?", text)


def test_each_block_says_which_row_is_which(found: Comparison) -> None:
    lines = printed(found, 80)
    rules = [i for i, line in enumerate(lines) if line.startswith("───")]
    assert len(rules) > 1
    for i in rules:
        assert lines[i - 1].startswith("model ")
        assert [line.split()[0] for line in lines[i + 1 : i + 3]] == ["ddpm", "flow_matching"]


def test_rows_are_numbered_where_what_tells_them_apart_is_wide(found: Comparison) -> None:
    lines = printed(found, 24)  # no number has room beside "flow_matching"
    lines = lines[next(i for i, line in enumerate(lines) if line.startswith("──")) :]
    starts = [line.split()[0] for line in lines if re.match(r"\d ", line)]
    assert starts
    assert starts == ["1", "2"] * (len(starts) // 2)


def test_what_a_wide_terminal_shows_is_what_markdown_says(found: Comparison) -> None:
    rows = [line.strip("| ").split(" | ") for line in markdown(found).splitlines() if line[:1] == "|"]
    lines = printed(found, 400)
    for row in (rows[0], *rows[2:]):
        cells = [cell.strip().replace("**", "") for cell in row]
        assert any(re.split(r" {2,}", line.strip()) == cells for line in lines)


def test_a_run_that_is_not_counted_is_said_before_the_tables(found: Comparison) -> None:
    first = " ".join(printed(found, 400)[2].split())  # behind the head and an empty line
    assert first.startswith("Runs of the same configuration and seed count once")
    assert "those in a for those in b (ddpm)" in first


def test_a_single_row_that_is_too_wide_stands_upright(tmp_path: Path, write: Write) -> None:
    write("a")
    lines = printed(compare(tmp_path, Query()), 40)
    assert re.fullmatch(r"FID¹ ↓ +3\.142 *", next(line for line in lines if line.startswith("FID")))
    assert re.fullmatch(r"bits/dim ↓ +≤ 3\.500 *", next(x for x in lines if x.startswith("bits/dim")))


def test_what_is_read_first_stands_in_the_first_block(found: Comparison) -> None:
    lines = printed(found, 80)
    assert any(re.match(r"model +FID¹ ↓ +IS¹ ↑ +bits/dim ↓", line) for line in lines)
