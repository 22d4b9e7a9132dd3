"""Pivots: which tables have one, what stands where, and that a hostile text stays in its place."""

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from genbench.report import Query, Table
from genbench.report.compare import compare
from genbench.report.formats.markdown import markdown, pivot_markdown
from genbench.report.formats.terminal import print_pivot
from genbench.report.page import html
from genbench.report.pivot import BEST, Pivot, pivot_of, pivot_of_frame

FID = "fid[f-cnn,n=1000,ref=train,ema]"
Write = Callable[..., Path]


@pytest.fixture
def sweep(tmp_path: Path, write: Write, result: dict) -> Callable[..., Table]:
    """Writes a run a place of samplers x steps, seed and value of FID, and returns the table of all."""

    def sweep_of(places: dict[tuple[str, int], list[float]], images: int = 60000) -> Table:
        for (sampler, steps), fids in places.items():
            config = {"sampler": {"steps": steps}, "budget": {"images": images + steps * (images < 1)}}
            choices = result["choices"] | {"sampler": sampler}
            for seed, fid in enumerate(fids):
                name = f"{sampler}-{steps}-{seed}"
                write(name, choices=choices, config=config, seed=seed, metrics={FID: fid})
        (table,) = compare(tmp_path, Query()).tables
        return table

    return sweep_of


def pivot(table: Table) -> Pivot:
    found = pivot_of(table)
    assert found is not None
    return found


GRID = {("heun", 10): [3.0], ("heun", 5): [9.0], ("ddim", 10): [4.0], ("ddim", 5): [5.0]}


def test_numbers_go_across_by_size_and_the_best_mean_is_marked(sweep: Callable[..., Table]) -> None:
    found = pivot(sweep(GRID))
    assert found.title == f"FID ↓ by sampler (rows) and sampler.steps (columns); {BEST}: lowest"
    assert found.heads == ["5", "10"]
    assert found.rows == [("ddim", ["5.000", "4.000"]), ("heun", ["9.000", f"{BEST} 3.000"])]
    assert found.bold == set()  # one seed each


def test_what_is_bold_in_the_table_is_bold_in_the_pivot(sweep: Callable[..., Table]) -> None:
    table = sweep({key: [fid, fid + 0.01, fid - 0.01] for key, (fid,) in GRID.items()})
    assert any(entry.is_best for entry in table.lines[0].entries)
    assert pivot(table).bold == {(1, 1)}
    assert "**★ 3.0000 ± 0.0100**" in pivot_markdown(pivot(table))


def test_a_place_without_a_run_is_empty_and_too_few_places_are_no_pivot(
    sweep: Callable[..., Table],
) -> None:
    some = {key: fids for key, fids in GRID.items() if key != ("ddim", 5)}
    assert pivot(sweep(some)).rows[0] == ("ddim", ["–", "4.000"])
    assert pivot_of(sweep({("unipc", 20): [1.0], ("euler", 50): [1.0]})) is None


def test_unequal_budgets_have_no_best_place(sweep: Callable[..., Table]) -> None:
    found = pivot_of(sweep(GRID, images=0))
    assert found is None or BEST not in str(found)


@pytest.mark.parametrize(
    "axes", [{"loss": ["l1", "l2"]}, {"loss": ["a", "b"], "model": ["c", "d"], "schedule": "ef"}]
)
def test_one_axis_and_three_axes_have_no_pivot(
    tmp_path: Path, write: Write, result: dict, axes: dict[str, str]
) -> None:
    for i in range(2 ** len(axes)):
        choices = {name: values[i >> bit & 1] for bit, (name, values) in enumerate(axes.items())}
        write(str(i), choices=result["choices"] | choices, metrics={FID: 1.0 + i})
    (table,) = compare(tmp_path, Query()).tables
    assert len(table.lines) == 2 ** len(axes)
    assert pivot_of(table) is None


def test_a_data_frame_keeps_the_order_of_its_words_and_averages_repeats() -> None:
    frame = pd.DataFrame(
        {
            "sampler": ["heun", "heun", "ddim", "ddim", "ddim"],
            "steps": [20, 5, 20, 5, 5],
            FID: [1.0, 2.0, 1.5, 2.0, 4.0],
        }
    )
    found = pivot_of_frame(frame, "sampler", "steps", FID)
    assert found is not None
    assert found.heads == ["5", "20"]
    assert [label for label, _ in found.rows] == ["heun", "ddim"]
    assert found.rows[0][1][1].startswith(BEST)
    assert found.rows[1][1][0].startswith("3.0")
    with pytest.raises(ValueError, match="no column 'scale'"):
        pivot_of_frame(frame, "scale", "steps", FID)


def test_it_stands_in_markdown_on_the_terminal_and_on_the_page(
    sweep: Callable[..., Table], tmp_path: Path
) -> None:
    sweep(GRID)
    found = compare(tmp_path, Query())
    assert re.search(r"\| heun +\| +9.000 \| +★ 3.000 \|", markdown(found))
    assert "<h3>FID ↓ by sampler (rows)" in html(found, title="runs")
    console = Console(force_terminal=True, width=24, record=True)  # too narrow for both columns at once
    print_pivot(pivot(found.tables[0]), console)
    lines = console.export_text().splitlines()
    assert all(len(line) <= 24 for line in lines)
    assert sum(line.startswith("heun") for line in lines) >= 1


def test_texts_of_runs_stay_in_their_places(tmp_path: Path, write: Write, result: dict) -> None:
    hostile = "<b>|[red]\x1b[31m"
    for i, (loss, schedule) in enumerate([(a, b) for a in (hostile, "l2") for b in ("x", "y")]):
        choices = result["choices"] | {"loss": loss, "schedule": schedule}
        write(str(i), choices=choices, metrics={FID: 1.0 + i})
    found = compare(tmp_path, Query())
    text = pivot_markdown(pivot(found.tables[0]))
    assert "\x1b" not in text
    assert {line.replace("\\|", "").count("|") for line in text.splitlines()[2:]} == {4}
    assert "<b>" not in html(found, title="runs")
    console = Console(force_terminal=True, width=100, record=True)
    print_pivot(pivot(found.tables[0]), console)
    assert "<b>|[red]\\x1b[31m" in console.export_text()
