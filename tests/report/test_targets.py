"""Runs with a target: the time to it ranks them, and one that did not reach it says so."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from genbench.report.compare import compare
from genbench.report.conclusion import conclusion
from genbench.report.formats.markdown import markdown
from genbench.report.page import html
from genbench.report.table import Query

Write = Callable[..., Path]
TARGET = "fid 5 or lower, of 200 samples against the validation images, checked every 64 images"
BUDGET = {"images": 60000, "seconds": None, "until": 5.0, "objective": "fid"}
FID = "fid[digits-cnn-v1,n=359,ref=train,ema]"


def sow(write: Write, model: str, seed: int, seconds: float | None, fid: float, device: str = "cpu") -> Path:
    cost = {
        "images_seen": 640,
        "training_seconds": 9.0,
        "device": device,
        "target": TARGET,
        "target_checks": 3,
    }
    cost |= {"checking_seconds": 2.0} | ({} if seconds is None else {"target_seconds": seconds})
    choices = {"model": model, "data": "digits"}
    config = {"budget": BUDGET}
    return write(f"{model}-{seed}", choices=choices, config=config, cost=cost, seed=seed, metrics={FID: fid})


def test_rows_are_ranked_by_the_time_to_their_target_and_by_no_score(tmp_path: Path, write: Write) -> None:
    for seed in range(4):
        sow(write, "vae", seed, 10.0 + 0.1 * seed, 4.9 + 0.01 * seed)
        sow(write, "ddpm", seed, 30.0 + 0.1 * seed, 1.0 + 0.01 * seed)
        sow(write, "gan", seed, None, 9.0 + 0.01 * seed)
    (table,) = compare(tmp_path, Query()).tables
    assert [line.cells("model")[0] for line in table.lines] == ["vae", "ddpm", "gan"]
    place = [col.title for col in table.columns].index("time to target")
    bold = [(i, j) for i, line in enumerate(table.lines) for j, x in enumerate(line.entries) if x.is_best]
    assert bold == [(0, place)]
    assert [line.entries[place].sign for line in table.lines] == ["", "", "not reached"]
    assert re.match(
        r"vae has the lowest time to target \([\d.]+ s\); its lead over ddpm \([\d.]+ s\)", conclusion(table)
    )
    text = markdown(compare(tmp_path, Query()))
    assert f"{TARGET}; reached by 8 of 12 runs. No test image takes part in it" in text
    assert "The checks took 24 seconds in all" in text
    assert "budget 60,000 images until fid 5" in text


def test_a_row_that_reached_its_target_with_some_of_its_seeds_is_never_the_best(
    tmp_path: Path, write: Write
) -> None:
    for seed in range(4):
        sow(write, "vae", seed, 10.0 + 0.1 * seed if seed else None, 5.0)
        sow(write, "ddpm", seed, 30.0 + 0.1 * seed, 5.0)
    (table,) = compare(tmp_path, Query()).tables
    assert not any(x.is_best for line in table.lines for x in line.entries)
    assert "(3 of 4)" in markdown(compare(tmp_path, Query()))


def test_times_to_a_target_on_two_devices_are_not_ranked(tmp_path: Path, write: Write) -> None:
    for seed in range(4):
        sow(write, "vae", seed, 10.0 + 0.1 * seed, 5.0)
        sow(write, "ddpm", seed, 1.0 + 0.1 * seed, 5.0, device="NVIDIA H200")
    text = markdown(compare(tmp_path, Query()))
    assert "**" not in text
    assert "Budgets differ" in text


def test_a_page_draws_scores_over_the_seconds_of_training_with_the_names_in_it(
    tmp_path: Path, write: Write
) -> None:
    name = "validation/fid[digits-cnn-v1,n=200,ref=validation,ema]"
    for k, model in enumerate(("vae", "ddpm")):
        path = sow(write, model, 0, 10.0, 5.0)
        events = [
            {"images_seen": 64 * i, "training_seconds": (1 + k) * i, name: 9.0 / i, "net/loss": 1 / i}
            for i in range(1, 6)
        ]
        lines = [json.dumps(event) for event in events]
        lines.append(json.dumps({"images_seen": 1, name: 1.0}))  # of a version that logged no seconds
        (path.parent / "metrics.jsonl").write_text("\n".join(lines))
    page = html(compare(tmp_path, Query()), title="runs")
    figure = page.partition("<h3>Scores over training time</h3>")[2].partition("</figure>")[0]
    assert "over seconds of training (digits-cnn-v1,n=200)" in figure
    assert all(f">{model}</text>" in figure for model in ("vae", "ddpm"))
    assert "seconds of training" in figure
