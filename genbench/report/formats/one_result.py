"""One result, or one evaluation, on the terminal."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from genbench.records.feature_network import WEAK_SIGN, FeatureNetwork, recorded_networks
from genbench.records.metric_name import OF, MetricName, rank
from genbench.records.result import Best, Cost, Likelihood, Result
from genbench.records.titles import conditioning, data_name, run_title
from genbench.records.units import device_words, with_unit
from genbench.report.columns import CONVERGED_BITS
from genbench.report.footnotes import DIMENSIONS, FEW
from genbench.report.numbers import decimals, rounded, uncertainty, written
from genbench.report.statistics import Estimate
from genbench.runtime.printable import in_one_line

__all__ = ["bits", "entry", "few_samples", "print_quality", "print_result"]

NOT_MEASURED, NOT_THERE = "–", written(None)
"""Marks of a number that was not measured, as metrics=none leaves it, and of one that a model cannot have."""
TITLES = {"ema": "EMA", "best": "best", "raw": "raw", "given": "given images", "test": "held-out"}
BOUNDS = {"lower": "upper bound on bits/dim", "exact": "exact", "estimate": "estimate"}
"""Kinds of a likelihood -> what its bits/dim are: a lower bound on the likelihood bounds them from above."""
FIRST = ("model", "data", "seed", "conditional")  # of a run, which stand in its first line
PLAIN = ("none", "default")  # options that say nothing of a run
OPERATIONS = "FLOP"
INTERVALS = (99, 1, 0)  # columns with intervals, of which the most that fit are taken


class Where(NamedTuple):
    """A column of scores: whose images were measured, and what they are compared with, None for nothing."""

    of: str
    ref: str | None


def print_result(result: Result, console: Console, given: Sequence[str] = ()) -> None:
    """Print a result as one grid: choices, scores (EMA, raw weights, held-out images side by side), costs.

    result: as a run wrote it, or as it was read; console: where to, which also says how wide it may be.
    given: the settings that the user typed, such as sampler.steps=20, which stand before all choices.
    """
    choices = {key: value for key, value in result.choices.items() if key not in FIRST and value not in PLAIN}
    typed = {word.partition("=")[0].lstrip("+~") for word in given}
    if any(key.startswith("budget.") for key in typed):
        typed.add("budget")  # whose limits are among them
    others = [f"{key}={value}" for key, value in choices.items() if key not in typed]
    console.print(Text(f"{who(result)}, seed {result.seed}: {result.group}/{result.run}", style="bold"))
    words = {"set": [word for word in given if word.partition("=")[0] not in FIRST], "options": others}
    console.print(pairs({name: ", ".join(found) for name, found in words.items() if found}))
    for table in qualities(result.metrics, result.feature_networks, console):
        console.print(table)
    scores = {} if result.metrics else {"scores": NOT_MEASURED}
    facts = scores | on_test_images(result) | of_best(result.best) | costs(result.cost)
    console.print(pairs(facts))
    for line in few_samples(result.metrics):
        console.print(Text(line))


def print_quality(record: Mapping[str, Any], console: Console) -> None:
    """Print the scores and the likelihood of one evaluation, as a line of evaluations.jsonl holds them."""
    for table in qualities(record["metrics"], recorded_networks(record), console):
        console.print(table)
    if record["likelihood"] is not None:
        console.print(pairs({"bits/dim": bits(Likelihood.of(record["likelihood"]))}))
    for line in few_samples(record["metrics"]):
        console.print(Text(line))


def few_samples(metrics: Mapping[str, float | None]) -> list[str]:
    """Return a line on the first FID of so few samples that it is dominated by their number, if there is one.
    metrics: values by their full names, see `MetricName`; the values themselves are not looked at.
    """
    for name in map(MetricName.parse, metrics):
        size = next((size for word, size in DIMENSIONS.items() if word in name.protocol), 0)
        if name.kind == "fid" and not name.spread and 0 < (name.n or 0) < FEW * size:
            few = f"Biased: n={name.n} is below {FEW} x {size} features"
            return [f"{few}; FID is too high, so compare only runs with the same n."]
    return []


def who(result: Result) -> str:
    """Name the model, its data, and what its samples are conditioned on, see `run_title`."""
    choices, config = result.choices, result.config
    data = data_name(choices, config) or "unknown data"
    return run_title(choices.get("model", "a model"), data, conditioning(choices, config))


def pairs(values: Mapping[str, str]) -> Table:
    """Make a grid of names and texts, one a line; long texts continue below themselves."""
    # Text throughout: names hold brackets, which rich would take for markup.
    grid = Table(box=None, show_header=False, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for key, value in values.items():
        grid.add_row(Text(key), Text(value))
    return grid


def qualities(
    metrics: Mapping[str, float | None], networks: Mapping[str, FeatureNetwork], console: Console
) -> Iterator[Table]:
    """Yield a table for each set of features and number of samples; where it is too wide, intervals stand in
    its first column of values alone, or nowhere.

    networks: those behind the features, by protocol; what is known of each stands below its table.
    """
    found: dict[str, list[MetricName]] = {}
    for name in map(MetricName.parse, sorted(metrics, key=rank)):
        if not name.spread and name.setting("class") is None:
            found.setdefault(name.basis, []).append(name)
    for names in found.values():
        network = networks.get(names[0].protocol)
        for count in INTERVALS:
            table = quality(metrics, names, network, with_intervals=count)
            # Measured up to the width of the console, which bounds it.
            if Measurement.get(console, console.options, table).maximum < console.width:
                break
        yield table


def columns_of(names: Sequence[MetricName]) -> list[Where]:
    """Return the columns of scores: each kind of images against the training split, then the first kind
    against every other reference, such as the test split.
    """
    refs = sorted({name.ref for name in names if name.ref is not None}, key=lambda ref: (ref != "train", ref))
    kinds = [of for of in OF if any(name.of == of for name in names)]
    first = refs[0] if refs else None
    return [*(Where(of, first) for of in kinds), *(Where(kinds[0], ref) for ref in refs[1:])]


def quality(
    metrics: Mapping[str, float | None],
    names: Sequence[MetricName],
    network: FeatureNetwork | None,
    *,
    with_intervals: int,
) -> Table:
    """Make the table of the metrics of one basis: a line a metric, a column for each kind of images.

    with_intervals: how many columns of values show an interval behind each value. network: behind the
    features, whose accuracy stands below, with a sign at each value where it is weak.
    """
    columns = columns_of(names)
    against = f", against ref={columns[0].ref}" if columns[0].ref is not None else ""
    title = f"quality: {names[0].basis.replace(',', ', ')}{against}"
    grid = Table(
        "metric",
        title=Text(title),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
    )
    grid.min_width = len(title)
    sign = ""
    if network is not None:
        sign = f"{WEAK_SIGN} " if network.is_weak else ""
        grid.caption, grid.caption_justify = Text(f"{names[0].protocol}: {network.words}"), "left"
        if sign:
            grid.caption.append(f"\n{sign}weak features: {network.weakness}.")
    for of, ref in columns:
        title = TITLES[of] if ref == columns[0].ref else f"{TITLES[of]}, ref={ref}"
        grid.add_column(Text(title), justify="right", no_wrap=True)
    lines = {(name.kind, name.part): name for name in reversed(names)}  # the first name of each line
    for name in reversed(lines.values()):
        cells = [
            entry(metrics, name.at(*where), sign, with_interval=number < with_intervals)
            for number, where in enumerate(columns)
            if name.ref is not None or where.ref == columns[0].ref
        ]
        grid.add_row(*map(Text, (" ".join((name.kind, *name.part)), *cells)))
    return grid


def entry(metrics: Mapping[str, float | None], name: MetricName, sign: str, *, with_interval: bool) -> str:
    """Return a value behind a sign, with its 95 % interval over samples, or its standard deviation over parts
    of them, if it has one; a dash where it was not measured.
    """
    value = metrics.get(str(name))
    if value is None:
        return NOT_MEASURED
    if not math.isfinite(value):
        return sign + written(value)
    std, low, high = (metrics.get(str(name.beside(end))) for end in ("_std", "_low", "_high"))
    x = Estimate(float(value), None, 1, low, high) if low is not None else Estimate(float(value), std, 1)
    words = uncertainty(x, decimals(x))
    if not words:
        return sign + written(value)
    return f"{sign}{rounded(value, decimals(x))}{f' {words}' if with_interval else ''}"


def on_test_images(result: Result) -> dict[str, str]:
    """Return bits per dimension, those of the best weights where they were retained, and the error of rebuilt
    images, in words by their names.
    """
    reconstruction = result.reconstruction
    error = with_kind(reconstruction.mse, "test images, pixels in [0, 1]")
    has_best = result.best.images_seen is not None
    return {
        "bits/dim": bits(result.likelihood),
        **({"bits/dim best": bits(result.best_likelihood)} if has_best else {}),
        "reconstruction MSE": NOT_MEASURED if reconstruction.n == 0 else error,
    }


def of_best(best: Best) -> dict[str, str]:
    """Return when and by what validation the best weights were chosen, in words under their name; nothing
    where none were retained.
    """
    if best.images_seen is None:
        return {}
    by = in_one_line(best.by or "an unknown value").replace("_", " ")
    chosen = f"best validation by {by} ({written(best.value)}), at {best.images_seen:,} images"
    return {"best": f"{chosen}: a selection, so compare runs by EMA"}


def bits(likelihood: Likelihood) -> str:
    """Write bits per dimension with their kind, the error of their solver, and the least that any model
    needs.
    """
    if likelihood.n == 0:
        return NOT_MEASURED
    kind = BOUNDS.get(likelihood.bound or "", likelihood.bound)
    images = f"{likelihood.n:,} test images" if likelihood.n else ""
    kind = ": ".join(filter(None, (kind, likelihood.method)))
    text = with_kind(likelihood.bits_per_dim, ", ".join(filter(None, (kind, images))))
    if (change := likelihood.solver_error_bits) is not None:
        warning = "" if abs(change) < CONVERGED_BITS else ": not converged"
        text += f"; finer steps would change it by {change:+.4f}{warning}"
    if (floor := likelihood.floor_bits_per_dim) is not None:
        gap, se = likelihood.gap_bits_per_dim, likelihood.gap_se
        text += f"; floor {written(floor)}, gap {written(gap)} ± {written(se)}"
    return text


def costs(cost: Cost) -> dict[str, str]:
    """Return the few costs that matter beside the quality, with their units, by what they are of."""
    facts = cost.device, cost.parameters, cost.images_seen, cost.training_seconds
    if all(fact is None for fact in facts):  # of a result that records none
        return {"cost": NOT_MEASURED}
    memory = "" if cost.peak_memory_bytes is None else f"{with_unit(cost.peak_memory_bytes, 'B')} of memory "
    device = device_words(cost.device or "an unknown device")
    return {
        "training": training(cost),
        **target(cost),
        "sampling": sampling(cost),
        "model": f"{written(cost.parameters)} parameters, {memory}on {device}",
        "evaluation": with_unit(cost.evaluation_seconds, "s"),
    }


def training(cost: Cost) -> str:
    """Write what the training took: images, seconds, operations; n/a of a model that is not trained here."""
    if cost.training_seconds is None:
        return NOT_THERE
    fitting = f" and {with_unit(cost.fitting_seconds, 's')} of fitting" if cost.fitting_seconds else ""
    speed = cost.images_per_second
    rate = f"{speed:,.0f}" if speed is not None and speed >= 100 else written(speed)
    energy = "" if cost.training_joules is None else f", {with_unit(cost.training_joules, 'J')}"
    early = "" if cost.ended_early is None else f"; budget not spent: {in_one_line(cost.ended_early)}"
    seconds, first = cost.training_seconds, ""
    if cost.start_images:  # the seconds are those of both runs
        seconds -= cost.start_seconds or 0
        start = f"{cost.start_images:,} images in {with_unit(cost.start_seconds, 's')}"
        first = f", after {start} of the run that it started from"
    skipped = f", {cost.skipped_batches:,} batches skipped" if cost.skipped_batches else ""
    return (
        f"{written(cost.images_seen)} images in {with_unit(seconds, 's')}{fitting} "
        f"({rate} images/s){first}, {with_unit(cost.training_flops, OPERATIONS)}{energy}{skipped}{early}"
    )


def target(cost: Cost) -> dict[str, str]:
    """Return what the training was to end at, if it reached that, and what the checks took; nothing of a run
    without budget.until.
    """
    if cost.target is None:
        return {}
    reached = f"not reached (last check: {written(cost.target_value)})"
    if cost.target_images_seen is not None:
        after = f"{cost.target_images_seen:,} images, {with_unit(cost.target_seconds, 's')}"
        reached = f"reached after {after} ({written(cost.target_value)})"
    several = "" if cost.target_checks == 1 else "s"
    checks = f"{written(cost.target_checks)} check{several} in {with_unit(cost.checking_seconds, 's')}"
    return {"target": f"{in_one_line(cost.target)}: {reached}; {checks}, no part of the training's"}


def sampling(cost: Cost) -> str:
    """Write what one sample took, and the share of pixels clipped; a dash where no sample was drawn."""
    if cost.seconds_per_image is None:
        return NOT_MEASURED
    clipped = (
        "" if cost.out_of_range is None else f"; share of pixels clipped {100 * cost.out_of_range:.3g} %"
    )
    energy = "" if cost.joules_per_sample is None else f", {with_unit(cost.joules_per_sample, 'J')}"
    several = "" if cost.passes_per_sample == 1 else "s"
    return (
        f"{written(cost.passes_per_sample)} network evaluation{several} (NFE), "
        f"{with_unit(cost.seconds_per_image, 's')}, {with_unit(cost.flops_per_sample, OPERATIONS)}{energy} "
        f"a sample{clipped}"
    )


def with_kind(value: float | None, kind: str) -> str:
    """Write a number with its kind in brackets; n/a alone where there is none."""
    return NOT_THERE if value is None else f"{written(value)} ({kind})"
