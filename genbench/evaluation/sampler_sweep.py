"""Scores of one trained model over settings of its sampling (samplers, their numbers of steps, scales of
guidance), without training again; for `genbench sampler-sweep`.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from genbench.data import ImageData, ImageSource, prepare, to_uint8
from genbench.evaluation.evaluator import Evaluator
from genbench.evaluation.figures import Curve, Panel, curves_figure, panels_figure
from genbench.evaluation.pictures import save_grid
from genbench.evaluation.prompts import held_out_captions, in_turn, write_prompts
from genbench.evaluation.reevaluate import check_fits
from genbench.evaluation.sampling_mode import sampling_mode
from genbench.generator import Generator, Trajectory
from genbench.metrics import Metrics
from genbench.records.files import atomic_file
from genbench.records.metric_kinds import KINDS
from genbench.records.metric_name import MetricName, is_metric
from genbench.runtime import rng
from genbench.runtime.context import Context
from genbench.training.step import read_captions

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SCALE", "Sweep", "combinations", "sampler_sweep"]

Setting = Mapping[str, object]
"""A setting of the sampling -> its value, such as {"sampler": "ddim", "sampler.steps": 20}."""
SCALE = "guidance.scale"
COLUMNS = 10  # of the picture of scales
NFE = "network evaluations per sample (NFE)"
HELD_OUT = "held-out images"
PANELS = (("fid",), ("caption_accuracy", "caption_seen", "caption_held_out"), ("clip_score",))
"""Kinds of scores of each panel of the figure of guidance scales."""
REFERENCES = {"train": "the training images", "test": "the test images"}


class Sweep(NamedTuple):
    """Results of a sweep: a row for each setting, and what real held-out images score."""

    table: "pd.DataFrame"
    """Columns: the settings that vary, passes, seconds_per_image, and each metric by its full name."""
    real: Mapping[str, float]
    """The metrics of as many held-out images, as of a perfect model, by their full names; none where there
    are fewer images."""

    @property
    def scores(self) -> list[str]:
        """The full names of FID to the training images, or of the first score where there is none, and of the
        shares of right captions and the CLIP score, where they are there; to be shown in this order.
        """
        names = [MetricName.parse(str(column)) for column in self.table if is_metric(str(column))]
        first = next((name for name in names if name.kind == PANELS[0][0]), names[0])
        others = [name for kinds in PANELS[1:] for kind in kinds for name in names if name.kind == kind]
        return list(map(str, dict.fromkeys((first, *others))))

    @property
    def score(self) -> str:
        """The full name of the first of `scores`."""
        return self.scores[0]

    def held_out(self, score: str) -> float | None:
        """Look up a score, by its full name, of held-out images; None where there are fewer than samples."""
        return self.real.get(str(replace(MetricName.parse(score), of="test")))

    @property
    def varied(self) -> list[str]:
        """The settings that vary, in the order of the columns."""
        return list(self.table.columns[: self.table.columns.get_loc("passes")])


def combinations(axes: Mapping[str, Sequence[object]]) -> list[Setting]:
    """Combine the values of settings, {"sampler": ["ddim"], "sampler.steps": [5, 10]}, to all settings of the
    sampling; an axis without values is left to the run's own configuration, so that no values at all give one
    empty setting.
    """
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
    validation: bool = False,
) -> Sweep:
    """Score the model under each setting by the run's own protocol; write table.csv, distance.png and, for
    scales, scales.png, and guidance.png where captions are scored too; return the results.
    load: builds the trained model with a setting. The table grows on disk by a row after each. validation:
    scores other samples against the validation images too, by which a setting may be picked.
    Raises ValueError on a setting that the model does not have, or where there are no validation images,
    before any is measured.
    """
    import pandas as pd  # here, since --help must not wait for it

    for setting in todo:
        model = load(setting)  # raises on what it lacks; built again later: many at once would fill memory
        if not isinstance(model, Trajectory) and SCALE not in setting:  # a flow may be guided
            raise ValueError(
                "this model draws its samples in one step, so there is nothing to vary: give a "
                "run of a model that draws step by step, such as model=ddpm"
            )
    model = load(todo[0])
    check_fits(model, source)
    metrics.check_source(source, "--set ")
    data = prepare(source, progress=context.progress, captions=model.takes_text)
    read_captions(model, data)
    if validation:
        check_validation_images(data, metrics)
    evaluator = Evaluator(data, metrics, context)
    rows: list[dict[str, Any]] = []
    for setting in todo:
        found = evaluator.score_model(load(setting), "ema", splits=["train"])
        cost = {"passes": found.passes_per_sample, "seconds_per_image": found.seconds_per_image}
        chosen = validation_scores(evaluator, load(setting)) if validation else {}
        rows.append({**setting, **cost, **found.metrics, **chosen})
        # After each row: a sweep that is stopped leaves what it has.
        with atomic_file(out / "table.csv") as file:
            file.write(pd.DataFrame(rows).to_csv(index=False).encode())
    table = pd.DataFrame(rows)
    real = evaluator.score_held_out(labelled=bool(model.num_classes), captioned=model.takes_text)
    sweep = Sweep(table, real)
    distance_figure(sweep, out / "distance.png")
    if sweep.varied == [SCALE]:
        guidance_figure(sweep, out / "guidance.png")
    if SCALE in table:
        # The first setting with each scale, since one row shows one model.
        first = {str(setting[SCALE]): setting for setting in reversed(todo)}
        texts = held_out_captions(data, COLUMNS, context.seed) if model.takes_text else []
        scales_figure({scale: load(first[scale]) for scale in sorted(first, key=float)}, texts, out, context)
    return sweep


def check_validation_images(data: ImageData, metrics: Metrics) -> None:
    """Raise ValueError unless data have validation images, as many as the scores need."""
    if data.validation is None:
        raise ValueError(
            "--validation needs a run with validation images, data.validation=0.1 say: leave it out, and the "
            "best setting is picked on the samples that are reported"
        )
    metrics.check_count(
        len(data.validation), f"there are {len(data.validation)} validation images", "leave out --validation"
    )


def validation_scores(evaluator: Evaluator, model: Generator) -> dict[str, float]:
    """Score samples of a stream of their own against the validation images: values by their full names, of
    those scores alone that are against them, without intervals.
    """
    seed = rng.derive(evaluator.context.seed, "validation scores")
    found = evaluator.evaluation(model, "ema", evaluator.metrics, ("validation",), seed).metrics
    names = {name: MetricName.parse(name) for name in found}
    return {
        name: value
        for name, value in found.items()
        if names[name].ref == "validation" and not names[name].spread
    }


def distance_figure(sweep: Sweep, path: Path) -> None:
    """Plot the first score, with its interval over samples, against network evaluations, or against scales
    where they alone vary, a curve for each setting but the number of steps; and that of held-out images.
    """
    varied, name = sweep.varied, MetricName.parse(sweep.score)
    against = SCALE if varied == [SCALE] else "passes"
    # One curve for each remaining setting; numbers of steps are the points along it.
    groups = [key for key in varied if key != against and not key.endswith("steps")]
    lines = {}
    for values, part in (
        sweep.table.groupby(groups, sort=False) if groups else [(("this model",), sweep.table)]
    ):
        part = part.sort_values(against)
        pairs = zip(groups or [""], values, strict=True)
        label = ", ".join(f"scale {value:g}" if key == SCALE else str(value) for key, value in pairs)
        lines[label] = curve_of(part, name, against)
    held_out = sweep.held_out(sweep.score)
    curves_figure(
        lines,
        path,
        x=NFE if against == "passes" else "guidance scale",
        y=title_of(name),
        logarithmic=against == "passes",
        levels={} if held_out is None else {HELD_OUT: held_out},
    )


def curve_of(table: "pd.DataFrame", name: MetricName, against: str) -> Curve:
    """Return a score of a table, with its interval over samples, against another column."""
    ends = [str(replace(name, kind=f"{name.kind}{end}")) for end in ("_low", "_high")]
    low, high = (table[end].to_numpy() if end in table else None for end in ends)
    return Curve(table[against].to_numpy(), table[str(name)].to_numpy(), low, high)


def guidance_figure(sweep: Sweep, path: Path) -> None:
    """Plot quality and agreement with captions against guidance scales, a panel each: FID, the shares of
    right captions, the CLIP score, with those of held-out images. Nothing is written where there is one of
    them alone, which is in the other figure.
    """
    names, table = list(map(MetricName.parse, sweep.scores)), sweep.table.sort_values(SCALE)
    panels = []
    for kinds in PANELS:
        found = [name for name in names if name.kind in kinds]
        if found:
            lines = {KINDS[name.kind].title: curve_of(table, name, SCALE) for name in found}
            held_out = sweep.held_out(str(found[0]))
            levels = {} if held_out is None else {HELD_OUT: held_out}
            basis = found[0].basis.replace(",", ", ")
            title = title_of(found[0]) if len(found) == 1 else f"shares of samples ({basis})"
            panels.append(Panel(title, lines, levels))
    if len(panels) > 1:
        panels_figure(panels, path, x="guidance scale")


def title_of(name: MetricName) -> str:
    """Return a score as the title of an axis: FID to the training images (digits-cnn-v1, n=359)."""
    title = KINDS[name.kind].title if name.kind in KINDS else name.kind
    to = f" to {REFERENCES.get(name.ref, name.ref)}" if name.ref is not None else ""
    return f"{title}{to} ({name.basis.replace(',', ', ')})"


def scales_figure(models: Mapping[str, Generator], texts: Sequence[str], out: Path, context: Context) -> None:
    """Write a grid of samples to scales.png: one row for each guidance scale, the name of its model, all from
    the same noise, with the classes, or some texts, in turn as columns; these into scales_prompts.txt.
    """
    rows = []
    for model in models.values():
        y = in_turn(model, COLUMNS, texts, context.device).y
        with sampling_mode(model):
            x = model.sample(COLUMNS, y, rng=context.generator("scales"))
        rows.append(to_uint8(x).cpu())
    labels = [f"scale {float(scale):g}" for scale in models]
    save_grid(torch.cat(rows), out / "scales.png", columns=COLUMNS, labels=labels)
    if texts:
        write_prompts(texts, out / "scales_prompts.txt")
