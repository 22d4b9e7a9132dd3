"""Scores of one trained model over the length of the average of its weights, rebuilt from the snapshots of
its training; for `genbench ema`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from genbench.data import ImageSource, prepare
from genbench.evaluation.evaluator import Evaluator
from genbench.evaluation.figures import Curve, curves_figure
from genbench.evaluation.reevaluate import Origin, check_fits
from genbench.evaluation.sampler_sweep import HELD_OUT, title_of
from genbench.generator import Generator
from genbench.metrics import Metrics
from genbench.records.feature_network import FeatureNetwork
from genbench.records.files import atomic_file
from genbench.records.metric_name import MetricName, is_metric
from genbench.records.run_directory import Run
from genbench.runtime.context import Context
from genbench.training.closed_form_fit import fit, fit_images
from genbench.training.snapshots import set_average
from genbench.training.step import read_captions

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["POWER", "TITLES", "EmaSweep", "ema_sweep"]

POWER = "power"
TITLES = {"ema": "EMA of the training", "raw": "raw weights"}
"""Words for the weights that a run has itself, beside the averages that are rebuilt."""
WEIGHTS = "of"  # the column that says which weights a row has


class EmaSweep(NamedTuple):
    """Results of `ema_sweep`: a row for each average, and what real held-out images score."""

    table: "pd.DataFrame"
    """Columns: `of`, "power" for rebuilt averages, "ema" for the training's own, "raw" for its last weights;
    std, of a power average as a share of the training; profile_error, of its rebuilding; and each metric by
    its full name, those of raw weights by names of their own."""
    held_out: float | None
    """The first score of as many held-out images, None where there are fewer images."""
    score: MetricName
    """The first score, under the name that averages have it by."""
    model: Generator
    """The model with the last of the averages as its weights."""
    real: dict[str, float]
    """All scores of held-out images, by their full names; empty where there are too few."""
    networks: dict[str, FeatureNetwork]
    """The feature networks that the scores were taken by, with their accuracy."""

    @property
    def heights(self) -> dict[str, float]:
        """The first score of the training's own average and of its last weights, by "ema" and "raw"."""
        rows = {of: self.table[self.table[WEIGHTS] == of] for of in TITLES}
        return {of: float(rows[of][str(self.score.of_images(of))].iloc[0]) for of in TITLES}

    @property
    def scores(self) -> dict[str, float]:
        """The metrics of the last of the averages, and of held-out images, by their full names."""
        row = self.table[self.table[WEIGHTS] == POWER].iloc[-1]
        return self.real | {str(name): float(x) for name, x in row.items() if is_metric(str(name)) and x == x}

    @property
    def curve(self) -> "pd.DataFrame":
        """The rows of the rebuilt averages, in the order of their lengths."""
        return self.table[self.table[WEIGHTS] == POWER].sort_values("std")


def ema_sweep(
    load: Callable[[str], Generator],
    run_dir: Path,
    stds: Sequence[float],
    out: Path,
    *,
    source: ImageSource,
    metrics: Metrics,
    context: Context,
) -> EmaSweep:
    """Score averages of several lengths of a run's weights by the run's own protocol, and its usual EMA and
    raw weights beside them; write table.csv and ema.png, and return the results.

    load: builds the trained model with its "ema" or "raw" weights. stds: standard deviations of the averages,
    as shares of the training. What a model fits after its training is fitted to each average anew.
    Raises ValueError and Damaged as `set_average` does, before anything is measured.
    """
    import pandas as pd  # here, since --help must not wait for it

    if not metrics.scores:
        raise ValueError("there are no scores to compare averages by: add --set 'scores=[fid]'")
    seen, checkpoints = Origin.of(run_dir).images_seen, Run(run_dir).checkpoints
    model = load("ema")
    for std in stds:  # raises before anything is measured; an average is rebuilt again when its turn comes
        set_average(model, checkpoints, std, images_seen=seen)
    check_fits(model, source)
    metrics.check_source(source, "--set ")
    data = prepare(source, progress=context.progress, captions=model.takes_text)
    read_captions(model, data)
    evaluator = Evaluator(data, metrics, context)
    rows: list[dict[str, Any]] = []

    def score(model: Generator, of: str, facts: dict[str, Any]) -> None:
        found = evaluator.score_model(model, "raw" if of == "raw" else "ema", splits=["train"])
        rows.append({WEIGHTS: of, "std": np.nan, "profile_error": np.nan, **facts, **found.metrics})
        # After each row: a sweep that is stopped leaves what it has.
        with atomic_file(out / "table.csv") as file:
            file.write(pd.DataFrame(rows).to_csv(index=False).encode())

    for std in stds:
        error = set_average(model, checkpoints, std, images_seen=seen)
        fit(model, data.train, fit_images(seen), context)
        score(model, POWER, {"std": std, "profile_error": error})
    for of in TITLES:
        own = load(of)
        read_captions(own, data)
        score(own, of, {})
    names = [MetricName.parse(str(name)) for name in rows[0] if is_metric(str(name))]
    name = next((name for name in names if name.kind == "fid"), names[0])
    real = evaluator.score_held_out(labelled=bool(model.num_classes), captioned=model.takes_text)
    held_out = real.get(str(replace(name, of="test")))
    sweep = EmaSweep(pd.DataFrame(rows), held_out, name, model, real, evaluator.networks)
    ema_figure(sweep, out / "ema.png")
    return sweep


def ema_figure(sweep: EmaSweep, path: Path) -> None:
    """Plot the first score, with its interval over samples, against the length of the average, and the scores
    of the training's own average, of raw weights and of held-out images as horizontal lines.
    """
    table, name = sweep.curve, sweep.score
    ends = [str(replace(name, kind=f"{name.kind}{end}")) for end in ("_low", "_high")]
    low, high = (table[end].to_numpy() if end in table else None for end in ends)
    x = table["std"].to_numpy()
    lines = {"average, rebuilt afterwards": Curve(x, table[str(name)].to_numpy(), low, high)}
    levels = {} if sweep.held_out is None else {HELD_OUT: sweep.held_out}
    levels |= {TITLES[of]: height for of, height in sweep.heights.items()}
    axis = "standard deviation of the average, as a share of the training"
    curves_figure(lines, path, x=axis, y=title_of(name), levels=levels)
