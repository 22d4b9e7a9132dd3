"""One trained model measured over ways of drawing from it: samplers, their steps, scales of guidance."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from genbench.data import ImageSource, cache_dir, prepare, to_uint8
from genbench.evaluation.draw import samples
from genbench.evaluation.gallery import classes_in_turn
from genbench.evaluation.pictures import curves_figure, save_grid
from genbench.evaluation.samples import evaluate
from genbench.generator import Generator
from genbench.metrics import Metrics, reference
from genbench.records.metric_name import MetricName, is_metric
from genbench.records.run_directory import atomic_file
from genbench.runtime import rng
from genbench.runtime.progress import Progress
from genbench.runtime.stop import StopRequest

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["sampler_sweep", "ways"]

Way = Mapping[str, object]
"""A setting of the sampling -> its value, such as {"sampler": "ddim", "steps": 20}."""
COLUMNS = 10  # of the picture of scales


def ways(samplers: Sequence[str], steps: Sequence[int], scales: Sequence[float]) -> list[Way]:
    """Every combination; what is not varied is left to the run's own configuration."""
    axes = {"sampler": samplers, "steps": steps, "guidance.scale": scales}
    varied = {key: values for key, values in axes.items() if values}
    return [dict(zip(varied, values, strict=True)) for values in itertools.product(*varied.values())]


def sampler_sweep(
    load: Callable[[Way], Generator],
    todo: Sequence[Way],
    out: Path,
    *,
    source: ImageSource,
    metrics: Metrics,
    seed: int,
    device: torch.device,
    progress: Progress,
) -> "pd.DataFrame":
    """Measure each way by the run's own protocol; write table.csv, distance.png and, for scales, scales.png.

    load: the trained model for a way. The table grows on disk as rows come about, a line each.
    Raises ValueError on a way that the model does not have, before any is measured.
    """
    import pandas as pd

    for way in todo:
        samples(load(way))  # refuses what the model lacks; not kept, since the ways may be many
    data = prepare(source, cache=cache_dir(), progress=progress)
    extractor = metrics.extractor(data, device=device, progress=progress)
    train_set = reference(extractor, data, split="train", device=device, progress=progress)
    rows: list[dict[str, Any]] = []
    for way in todo:
        found = evaluate(
            load(way),
            data,
            metrics=metrics,
            extractor=extractor,
            references=[train_set],
            of="ema",
            seed=seed,
            device=device,
            progress=progress,
            stop=StopRequest(),
        )
        cost = {"passes": found.passes_per_sample, "seconds_per_image": found.seconds_per_image}
        rows.append({**way, **cost, **found.metrics})
        with atomic_file(out / "table.csv") as file:
            file.write(pd.DataFrame(rows).to_csv(index=False).encode())
    table = pd.DataFrame(rows)
    distance_figure(table, out / "distance.png")
    if "guidance.scale" in table:
        first = {way["guidance.scale"]: way for way in reversed(todo)}
        scales_figure([load(first[scale]) for scale in sorted(first)], out / "scales.png", seed, device)
    return table


def distance_figure(table: "pd.DataFrame", path: Path) -> None:
    """The distance to the training images against passes of the network, or scales where they alone vary; the
    first score where FID is none of them.
    """
    scores = [str(column) for column in table if is_metric(str(column))]
    name = next((score for score in scores if MetricName.parse(score).kind == "fid"), scores[0])
    varied = [key for key in ("sampler", "steps", "guidance.scale") if key in table]
    against = "guidance.scale" if varied == ["guidance.scale"] else "passes"
    groups = [key for key in varied if key not in (against, "steps")]
    lines = {}
    for values, part in table.groupby(groups, sort=False) if groups else [(("model",), table)]:
        part = part.sort_values(against)
        lines[" ".join(map(str, values))] = (part[against].to_numpy(), part[name].to_numpy())
    curves_figure(lines, path, x=against, y=name, logarithmic=against == "passes")


def scales_figure(models: Sequence[Generator], path: Path, seed: int, device: torch.device) -> None:
    """One row a scale, all from the same noise, the classes in turn."""
    rows = []
    for model in models:
        stream = rng.generator(device, seed, "scales")
        y = classes_in_turn(model, COLUMNS, device)
        with torch.no_grad():
            rows.append(to_uint8(model.sample(COLUMNS, y, rng=stream)).cpu())
    save_grid(torch.cat(rows), path, columns=COLUMNS)
