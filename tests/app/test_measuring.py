"""The choices of `metrics=`, as a user asks for them."""

import json
from pathlib import Path
from typing import Any

from genbench.config.groups import accepted_groups
from genbench.records.metric_name import MetricName, is_metric
from tests.conftest import Command
from tests.toys import TINY

UNDRAWN = tuple(word for word in TINY if not word.startswith("metrics.samples"))


def result_of(main: Command, folder: Path, *words: str) -> tuple[dict[str, Any], Path]:
    done = main(*words, f"runs_dir={folder}")
    assert done.returncode == 0, done.stderr
    (path,) = folder.rglob("result.json")
    return json.loads(path.read_text()), path.parent


def test_full_takes_every_score_with_its_interval_and_shows_the_likeliest_copies(
    main: Command, tmp_path: Path
) -> None:
    # fid_inf needs 308 samples, 4.8 for each of 64 features.
    words = (*UNDRAWN, "metrics.samples=320")
    result, run = result_of(main, tmp_path, *words, "metrics=full", "conditional=true")
    metrics = result["metrics"]
    assert all(map(is_metric, metrics))
    kinds = {MetricName.parse(name).kind for name in metrics}
    assert {"is", "fid", "kid", "precision", "recall", "density", "coverage"} <= kinds
    assert {
        "fid_inf",
        "swd",
        "fid_class",
        "fid_gap",
        "authenticity",
        "nearest",
        "nearest_ratio",
        "sharpness",
    } <= kinds
    for name, value in metrics.items():
        kind = MetricName.parse(name).kind
        if f"{kind}_se" in kinds and ",class=" not in name:
            low, high, se = (metrics[name.replace("[", f"{end}[", 1)] for end in ("_low", "_high", "_se"))
            assert low <= value <= high
            assert se >= 0
    assert len(list((run / "samples").glob("neighbours_*.png"))) == 1


def test_none_measures_nothing_and_the_record_says_so(main: Command, tmp_path: Path) -> None:
    result, run = result_of(main, tmp_path, *UNDRAWN, "metrics=none")
    assert result["metrics"] == {}
    assert (result["likelihood"]["n"], result["likelihood"]["bits_per_dim"]) == (0, None)
    assert result["cost"]["passes_per_sample"] is None
    assert result["cost"]["parameters"] > 0
    assert result["choices"]["metrics"] == "none"
    assert not list((run / "samples").glob("neighbours_*.png"))


def test_likelihood_alone_needs_no_samples(main: Command, tmp_path: Path) -> None:
    result, _ = result_of(main, tmp_path, *UNDRAWN, "metrics=likelihood", "metrics.likelihood_samples=8")
    assert result["metrics"] == {}
    assert result["likelihood"]["n"] == 8


def test_the_refusal_of_an_axis_names_the_metrics_that_were_asked_for() -> None:
    assert accepted_groups(["metrics=likelihood", "features=dinov2"])[0] == "model=ddpm metrics=likelihood"
    assert accepted_groups(["metrics=standard"])[1][-2:] == ["features", "scores"]
