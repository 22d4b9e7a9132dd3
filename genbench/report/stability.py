"""Stability of trainings: how many runs diverged over factors on the learning rate and seeds, and how far the
scores of the others vary, as `python main.py -m sweep=stability` trains them.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from genbench.records.feature_network import wilson
from genbench.records.files import read_json
from genbench.report.columns import FIRST, Column, column, measured_metrics, shown_metrics
from genbench.report.data_frame import cells
from genbench.report.numbers import rounded, shared_decimals, whole
from genbench.report.runs import Runs
from genbench.report.settings import differing, settings
from genbench.report.statistics import Estimate, estimate
from genbench.report.table_cell import NOT_MEASURED, Entry
from genbench.report.unfinished import model

__all__ = ["Stability", "median", "stability"]

KEY = "lr_schedule.scale"
DIVERGED = "diverged"


class Trial(NamedTuple):
    """One run: its model, its settings but the factor on the learning rate, that factor, and its score."""

    model: str
    settings: Mapping[str, Any]
    scale: float
    seed: object
    score: float | None  # None of a run that diverged, or has no score
    is_diverged: bool


class Stability(NamedTuple):
    """The table of stability as text, a row for each configuration."""

    title: str
    basis: str  # the score
    heads: list[str]
    are_numbers: list[bool]
    rows: list[list[str]]
    notes: list[str]

    @property
    def texts(self) -> list[list[str]]:
        """The rows, under the name that other tables with notes have."""
        return self.rows


def stability(runs: Runs) -> Stability | None:
    """Return the table of stability of some runs, finished and failed ones; None where no configuration was
    trained with several factors on its learning rate (lr_schedule.scale).

    runs: with the directories of the failed ones, whose run.json says what they were.
    """
    score = main_score(runs)
    if score is None or not (KEY in runs.settings or len(runs.paths) > len(runs.frame)):
        return None
    values = dict(zip(map(str, cells(runs.frame, "run")), cells(runs.frame, score.name), strict=True))
    found: dict[str, dict[tuple[float, object], Trial]] = {}
    hidden = set[str]()
    for name, folder in runs.paths.items():
        if (each := trial(folder, values.get(name))) is None:
            continue
        key = json.dumps([each.model, each.settings], sort_keys=True, default=str)
        found.setdefault(key, {})[each.scale, each.seed] = each  # of reruns the last one counts
        if name not in values and not each.is_diverged:
            hidden.add(key)  # a filter left out some of its runs: the rest is no fair share
    whole = [[*trials.values()] for key, trials in found.items() if key not in hidden]
    parts = [trials for trials in whole if len({each.scale for each in trials}) > 1]
    return laid_out(parts, score) if parts else None


def main_score(runs: Runs) -> Column | None:
    """Return the column of the first score that has a better side, the FID where there is one."""
    names = shown_metrics(measured_metrics(runs.frame.columns), runs.kinds)
    columns = [column(name, runs.kinds) for name in names]
    ranking = [col for col in columns if col.better]
    first = [col for col in ranking if col.name.startswith(f"{FIRST[0]}[")]
    return next(iter(first or ranking), None)


def trial(folder: Path, score: object) -> Trial | None:
    """Return a run as a trial; None where it is neither finished nor ended by an error of its own."""
    try:
        record = read_json(folder / "run.json") or {}
    except (OSError, ValueError):
        return None
    config, status = record.get("config"), record.get("status")
    is_diverged = status == "failed" and not record.get("machine_fault")
    if not isinstance(config, dict) or not (status == "done" or is_diverged):
        return None
    found = {**settings(config), "precision": str(record.get("precision"))}
    scale = found.pop(KEY, 1.0)
    if not isinstance(scale, int | float):
        return None
    number = float(score) if isinstance(score, int | float) and math.isfinite(score) else None
    return Trial(model(folder), found, float(scale), record.get("seed"), number, is_diverged)


def laid_out(parts: Sequence[Sequence[Trial]], score: Column) -> Stability:
    """Return the table of some configurations, each the trials of one."""
    scales = sorted({each.scale for trials in parts for each in trials})
    keys = differing([trials[0].settings for trials in parts])
    models = [trials[0].model for trials in parts]
    rows = []
    for trials in parts:
        first = trials[0]
        is_alone = models.count(first.model) == 1
        own = [] if is_alone else [f"{key}={first.settings.get(key)}" for key in keys]
        rows.append([" ".join([first.model, *own]), *figures(trials, scales, score)])
    spreads = ["std over seeds", "std over rates"]
    heads = [
        "model",
        "runs",
        DIVERGED,
        "best",
        "median",
        "worst",
        *map(factor, scales),
        *spreads,
    ]
    return Stability(
        "Stability over learning rates and seeds",
        f"{score.title} {score.arrow}",
        heads,
        [False] + [True] * (len(heads) - 1),
        rows,
        [
            f"{DIVERGED}: runs that ended by an error of their own, such as a loss that is not finite, with "
            "Wilson's 95 % interval of their share. They rank last in median and worst; the "
            "median of an even number of runs is the mean of its two in the middle, if none diverged.",
            f"{', '.join(map(factor, scales))}: mean ± standard deviation over the seeds that finished, "
            "at this factor on the model's own learning rate (lr_schedule.scale).",
            "A run may finish and have collapsed: its score is then near that of noise, see worst.",
        ],
    )


def factor(scale: float) -> str:
    """Return a factor on the learning rate as tables write it: ×0.3, ×100,000, ×1e-06."""
    return f"×{scale:,.0f}" if scale >= 1000 and scale.is_integer() else f"×{scale:g}"


def figures(trials: Sequence[Trial], scales: Sequence[float], score: Column) -> list[str]:
    """Return the places of a row behind its name: counts, best, median and worst, each rate, and spreads."""
    scores = sorted((x.score for x in trials if x.score is not None), key=lambda x: -score.better * x)
    lost = sum(x.is_diverged for x in trials)
    by_scale = [[x.score for x in trials if x.scale == s and x.score is not None] for s in scales]
    estimates = [estimate(values) if values else None for values in by_scale]
    digits = shared_decimals([x for x in estimates if x]) or 2
    ranked = [*scores, *[None] * lost]
    low, high = wilson(lost, len(trials))
    chosen = [ranked[0], median(ranked), ranked[-1]] if ranked else []
    places = [DIVERGED if x is None else rounded(x, digits) for x in chosen] or [NOT_MEASURED] * 3
    rates = [at_rate(x, trials, s, digits, score) for x, s in zip(estimates, scales, strict=True)]
    means = [x.mean for x in estimates if x]
    within = [x.std for x in estimates if x and x.std is not None]
    spreads = [
        rounded(math.sqrt(sum(std * std for std in within) / len(within)), digits)
        if within
        else NOT_MEASURED,
        rounded(estimate(means).std or 0.0, digits) if len(means) > 1 else NOT_MEASURED,
    ]
    return [str(len(trials)), f"{lost} of {len(trials)} [{low:.2f}, {high:.2f}]", *places, *rates, *spreads]


def median(ranked: Sequence[float | None]) -> float | None:
    """Return the median of scores, best first, in which None is a run that diverged, worse than any score:
    of an even number the mean of the two in the middle, None where one of them diverged.
    """
    better, worse = ranked[(len(ranked) - 1) // 2], ranked[len(ranked) // 2]
    return None if better is None or worse is None else (better + worse) / 2


def at_rate(x: Estimate | None, trials: Sequence[Trial], scale: float, digits: int, score: Column) -> str:
    """Return the mean and the standard deviation at one rate, with how many of its runs they are of."""
    count = sum(each.scale == scale for each in trials)
    if x is None:
        return DIVERGED if count else NOT_MEASURED
    return whole(Entry(x.mean, x, runs=count, digits=digits), score.name)
