"""Scores of one trained model over settings of its sampling (samplers, their numbers of steps, scales of
guidance), without training again; for `genbench sampler-sweep`.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from genbench.data import ImageSource, prepare, to_uint8
from genbench.evaluation.evaluator import Evaluator
from genbench.evaluation.gallery import classes_in_turn
from genbench.evaluation.pictures import curves_figure, save_grid
from genbench.generator import Generator, Trajectory
from genbench.metrics import Metrics
from genbench.records.files import atomic_file
from genbench.records.metric_name import MetricName, is_metric
from genbench.runtime.context import Context

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["combinations", "sampler_sweep"]

Setting = Mapping[str, object]
"""A setting of the sampling -> its value, such as {"sampler": "ddim", "steps": 20}."""
COLUMNS = 10  # of the picture of scales


def combinations(samplers: Sequence[str], steps: Sequence[int], scales: Sequence[float]) -> list[Setting]:
    """Combine samplers, numbers of steps and scales of guidance to all settings of the sampling; an axis
    without values is left to the run's own configuration, so that no values at all give one empty setting.
    """
    axes = {"sampler": samplers, "steps": steps, "guidance.scale": scales}
    varied = {key: values for key, values in axes.items() if values}
    return [dict(zip(varied, values, strict=True)) for values in itertools.product(*varied.values())]


def sampler_sweep(
    load: Callable[[Setting], Generator],
    todo: Sequence[Setting],
    out: Path,
    *,
    source: ImageSource,
    metrics: Metrics,
    context: Context,
) -> "pd.DataFrame":
    """Score the model under each setting by the run's own protocol; write table.csv, distance.png and, for
    scales, scales.png, and return the table.
    load: builds the trained model with a setting. The table grows on disk by a row after each.
    Raises ValueError on a setting that the model does not have, before any is measured.
    """
    import pandas as pd  # here, since --help must not wait for it

    for setting in todo:
        model = load(setting)  # raises on what it lacks; built again later: many at once would fill memory
        if not isinstance(model, Trajectory):
            raise ValueError(
                f"{type(model).__name__} draws its samples in one step, so there is nothing to vary: give a "
                "run of a model that draws step by step, such as model=ddpm"
            )
    evaluator = Evaluator(prepare(source, progress=context.progress), metrics, context)
    rows: list[dict[str, Any]] = []
    for setting in todo:
        found = evaluator.score_model(load(setting), "ema", splits=["train"])
        cost = {"passes": found.passes_per_sample, "seconds_per_image": found.seconds_per_image}
        rows.append({**setting, **cost, **found.metrics})
        # After each row: a sweep that is stopped leaves what it has.
        with atomic_file(out / "table.csv") as file:
            file.write(pd.DataFrame(rows).to_csv(index=False).encode())
    table = pd.DataFrame(rows)
    distance_figure(table, out / "distance.png")
    if "guidance.scale" in table:
        # The first setting with each scale, since one row shows one model.
        first = {cast("float", setting["guidance.scale"]): setting for setting in reversed(todo)}
        scales_figure([load(first[scale]) for scale in sorted(first)], out / "scales.png", context)
    return table


def distance_figure(table: "pd.DataFrame", path: Path) -> None:
    """Plot the distance to the training images against network evaluations, or against scales where they
    alone vary; of FID, or of the first score where there is none.
    """
    scores = [str(column) for column in table if is_metric(str(column))]
    name = next((score for score in scores if MetricName.parse(score).kind == "fid"), scores[0])
    varied = [key for key in ("sampler", "steps", "guidance.scale") if key in table]
    against = "guidance.scale" if varied == ["guidance.scale"] else "passes"
    # One curve for each remaining setting; numbers of steps are the points along it.
    groups = [key for key in varied if key not in (against, "steps")]
    lines = {}
    for values, part in table.groupby(groups, sort=False) if groups else [(("model",), table)]:
        part = part.sort_values(against)
        lines[" ".join(map(str, values))] = (part[against].to_numpy(), part[name].to_numpy())
    curves_figure(lines, path, x=against, y=name, logarithmic=against == "passes")


def scales_figure(models: Sequence[Generator], path: Path, context: Context) -> None:
    """Write a grid of samples to `path`: one row for each model, which differ in their guidance scale alone,
    all from the same noise, with the classes in turn as columns.
    """
    rows = []
    for model in models:
        y = classes_in_turn(model, COLUMNS, context.device)
        with torch.no_grad():
            rows.append(to_uint8(model.sample(COLUMNS, y, rng=context.generator("scales"))).cpu())
    save_grid(torch.cat(rows), path, columns=COLUMNS)
