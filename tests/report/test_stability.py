"""The table of stability: which runs count as diverged, and where they rank."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genbench.report.compare import compare
from genbench.report.formats.markdown import markdown
from genbench.report.page import html
from genbench.report.runs import read
from genbench.report.stability import Stability, median, stability
from genbench.report.table import Query

FID = "fid[digits-cnn-v1,n=359,ref=train,ema]"
Write = Callable[..., Path]
Sow = Callable[..., None]


@pytest.fixture
def sow(write: Write, result: dict[str, Any]) -> Sow:
    """Writes one run: its factor on the rate, its seed, and its FID, None where it ended by an error."""

    def sown(scale: float, seed: int, fid: float | None, model: str = "vae", *, fault: bool = False) -> None:
        rate = {"warmup_images": 0} | ({} if scale == 1 else {"scale": scale})
        config = result["config"] | {"lr_schedule": rate, "of": {"model": model}}
        choices = {"model": model, "data": "digits"}
        name = f"{model}-{scale}-{seed}"
        path = write(name, config=config, choices=choices, seed=seed, metrics={FID: fid or 0.0})
        status = "done" if fid is not None else "failed"
        record = {"status": status, "config": config, "seed": seed, "error": "nan", "machine_fault": fault}
        (path.parent / "run.json").write_text(json.dumps(record))
        if fid is None:
            path.unlink()

    return sown


def found(tmp_path: Path) -> Stability:
    table = stability(read(tmp_path))
    assert table is not None
    return table


def row(table: Stability, number: int = 0) -> dict[str, str]:
    return dict(zip(table.heads, table.texts[number], strict=True))


def test_diverged_runs_are_counted_with_an_interval_and_rank_last(sow: Sow, tmp_path: Path) -> None:
    for scale, fids in ((0.3, (4.0, 5.0, 6.0)), (1, (1.0, 2.0, 3.0)), (3, (9.0, None, None))):
        for seed, fid in enumerate(fids):
            sow(scale, seed, fid)
    places = row(found(tmp_path))
    assert places["model"] == "vae"
    assert places["runs"] == "9"
    assert places["diverged"] == "2 of 9 [0.06, 0.55]"
    assert [places[name] for name in ("best", "median", "worst")] == ["1.0", "5.0", "diverged"]
    assert [places[f"×{scale}"] for scale in ("0.3", "1", "3")] == ["5.0 ± 1.0", "2.0 ± 1.0", "9.0 (1 of 3)"]
    assert places["std over seeds"] == "1.0"
    assert places["std over rates"] == "3.5"
    assert found(tmp_path).notes[1].startswith("×0.3, ×1, ×3: mean ± ")


def test_large_factors_are_written_out(sow: Sow, tmp_path: Path) -> None:
    for scale in (0.25, 1, 100_000):
        sow(scale, 0, 2.0)
    assert found(tmp_path).notes[1].startswith("×0.25, ×1, ×100,000: mean ± ")
    assert "×100,000" in found(tmp_path).heads


def test_a_rate_at_which_all_runs_diverged_says_so(sow: Sow, tmp_path: Path) -> None:
    for seed in range(3):
        sow(1, seed, 2.0 + seed)
        sow(3, seed, None)
    places = row(found(tmp_path))
    assert places["×3"] == "diverged"
    assert places["median"] == "diverged"  # half of the runs: one of the two in the middle


@pytest.mark.parametrize(
    ("ranked", "expected"),
    [
        ([1.0], 1.0),
        ([1.0, 2.0, 9.0], 2.0),
        ([1.0, 2.0, 4.0, 9.0], 3.0),
        ([1.0, 2.0, 4.0, None], 3.0),
        ([1.0, 2.0, None, None], None),
        ([1.0, None, None], None),
    ],
)
def test_the_median_of_an_even_number_of_runs_is_midway_and_no_mean_with_one_that_diverged(
    ranked: list[float | None], expected: float | None
) -> None:
    assert median(ranked) == expected


def test_a_full_disk_is_no_divergence_and_models_are_rows(sow: Sow, tmp_path: Path) -> None:
    for seed in range(2):
        for scale in (1, 3):
            sow(scale, seed, 2.0 + seed, "vae")
            sow(scale, seed, 3.0 + seed, "gan")
    sow(1, 7, None, "vae", fault=True)
    table = found(tmp_path)
    assert sorted(texts[0] for texts in table.texts) == ["gan", "vae"]
    assert [row(table, i)["diverged"][:6] for i in range(2)] == ["0 of 4", "0 of 4"]


def test_a_filter_that_leaves_out_some_of_the_runs_makes_no_share_of_the_rest(
    sow: Sow, tmp_path: Path
) -> None:
    for seed in range(2):
        sow(0.3, seed, 2.0)
        sow(1, seed, 2.0 + seed)
        sow(3, seed, None)
    whole = compare(tmp_path, Query())
    assert stability(whole.runs) is not None
    assert stability(compare(tmp_path, Query(), conditions=["fid<2.5"]).runs) is None


def test_runs_of_one_rate_have_no_such_table(sow: Sow, tmp_path: Path) -> None:
    for seed in range(3):
        sow(1, seed, 2.0)
    sow(1, 3, None)
    assert stability(read(tmp_path)) is None


def test_the_report_shows_the_table_in_markdown_and_on_the_page(sow: Sow, tmp_path: Path) -> None:
    for seed in range(2):
        sow(1, seed, 2.0 + seed)
        sow(3, seed, None)
    comparison = compare(tmp_path, Query())
    text = markdown(comparison)
    assert "Stability over learning rates and seeds (FID ↓)" in text
    assert "2 of 4 [0.15, 0.85]" in text
    assert "2 of 4 [0.15, 0.85]" in html(comparison, title="t")


def test_the_usual_rate_has_the_factor_1_in_a_column_beside_others(sow: Sow, tmp_path: Path) -> None:
    for scale in (0.3, 1):
        for seed in range(2):
            sow(scale, seed, 2.0 + seed)
    assert sorted(read(tmp_path).frame["lr_schedule.scale"]) == [0.3, 0.3, 1.0, 1.0]
