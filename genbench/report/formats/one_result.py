"""One result, or one evaluation, on the terminal."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from genbench.records.feature_network import WEAK_SIGN, FeatureNetwork, recorded_networks
from genbench.records.metric_name import OF, MetricName, rank
from genbench.records.result import Likelihood, Reconstruction, Result
from genbench.report.columns import CONVERGED_BITS, LONG_TITLES
from genbench.report.numbers import decimals, rounded, uncertainty, written
from genbench.report.statistics import Estimate

__all__ = ["print_quality", "print_result", "with_interval"]

ON_TEST = "likelihood and reconstruction on test images"
NOT_MEASURED = "not measured"  # as asked for by metrics=likelihood or metrics=none
TITLES = {"ema": "EMA", "raw": "raw", "given": "given images", "test": "held-out test"}


def print_result(result: Result, console: Console) -> None:
    """Print a result as tables: choices, scores (EMA, raw weights, test images side by side), costs.

    result: as a run wrote it, or as it was read; console: where to, which also says how wide it may be.
    """
    console.print(pairs(f"{result.group}/{result.run}", {**result.choices, "seed": result.seed}))
    for table in qualities(result.metrics, result.feature_networks, console):
        console.print(table)
    if not result.metrics:
        console.print(pairs("quality", {"scores": NOT_MEASURED}))
    console.print(pairs(ON_TEST, {**bits(result.likelihood), **error(result.reconstruction)}))
    cost = {LONG_TITLES.get(name, name): value for name, value in result.cost.to_record().items()}
    console.print(pairs("cost", cost))


def print_quality(record: Mapping[str, Any], console: Console) -> None:
    """Print the scores and the likelihood of one evaluation, as a line of evaluations.jsonl holds them."""
    for table in qualities(record["metrics"], recorded_networks(record), console):
        console.print(table)
    if record["likelihood"] is not None:
        console.print(pairs(ON_TEST, bits(Likelihood.of(record["likelihood"]))))


def pairs(title: str, values: Mapping[str, Any]) -> Table:
    """Keys and values, one a line."""
    # Text throughout: names hold brackets, which rich would take for markup.
    grid = Table(title=Text(title), show_header=False, title_justify="left", min_width=len(title))
    for key, value in values.items():
        is_known = value is None or isinstance(value, int | float)
        grid.add_row(Text(key.replace("_", " ")), Text(written(value) if is_known else str(value)))
    return grid


def qualities(
    metrics: Mapping[str, float | None], networks: Mapping[str, FeatureNetwork], console: Console
) -> Iterator[Table]:
    """A table for each set of features and number of samples; if it is too wide, intervals get own lines.

    networks: those behind the features, by protocol; what is known of each stands below its table.
    """
    found: dict[str, dict[MetricName, None]] = {}
    for name in map(MetricName.parse, sorted(metrics, key=rank)):
        if not name.spread and name.setting("class") is None:
            found.setdefault(name.basis, {})[name.of_images(OF[0])] = None  # once for all kinds of images
    for names in map(list, found.values()):
        network = networks.get(names[0].protocol)
        wide = quality(metrics, names, " ", network)
        fits = Measurement.get(console, console.options, wide).maximum < console.width
        yield wide if fits else quality(metrics, names, "\n", network)


def quality(
    metrics: Mapping[str, float | None],
    names: Sequence[MetricName],
    between: str,
    network: FeatureNetwork | None,
) -> Table:
    """One line a metric of one basis, with its value on the images of each kind.

    names: the metrics, each once; between: what separates a value from its interval; network: behind the
    features, whose accuracy stands below, with a sign at each value where it is weak.
    """
    title = f"quality: {names[0].basis.replace(',', ', ')}"
    grid = Table("metric", title=Text(title), title_justify="left", min_width=len(title))
    sign = ""
    if network is not None:
        sign = f"{WEAK_SIGN} " if network.is_weak else ""
        grid.caption, grid.caption_justify = Text(f"{names[0].protocol}: {network.words}"), "left"
        if sign:
            grid.caption.append(f"\n{sign}weak features: {network.weakness}.")
    there = {MetricName.parse(name).of for name in metrics}
    kinds = [of for of in OF if of in there]
    for of in kinds:
        grid.add_column(TITLES[of], justify="right")
    for name in names:
        label = " ".join(filter(None, (name.kind, ", ".join(name.details))))
        values = [with_interval(metrics, name.of_images(of), between) for of in kinds]
        values = [value if value == written(None) else sign + value for value in values]
        grid.add_row(*map(Text, (label, *values)))
    return grid


def with_interval(metrics: Mapping[str, float | None], name: MetricName, between: str) -> str:
    """Return a value as text with its 95 % interval over samples, or its standard deviation over parts of
    them, if one was recorded.

    metrics: values by their full names; name: of the value; between: what separates both.
    """
    value = metrics.get(str(name))
    std, low, high = (metrics.get(str(name.beside(end))) for end in ("_std", "_low", "_high"))
    if not isinstance(value, int | float) or not math.isfinite(value):
        return written(value)
    x = Estimate(float(value), None, 1, low, high) if low is not None else Estimate(float(value), std, 1)
    words = uncertainty(x, decimals(x))
    return f"{rounded(value, decimals(x))}{between}{words}" if words else written(value)


def bits(likelihood: Likelihood) -> dict[str, str]:
    """Bits per dimension with their kind, the error of their solver, and the least that any model needs."""
    if likelihood.n == 0:
        return {"bits/dim": NOT_MEASURED}
    text = with_kind(likelihood.bits_per_dim, ", ".join(filter(None, (likelihood.bound, likelihood.method))))
    if (change := likelihood.solver_error_bits) is not None:
        warning = "" if abs(change) < CONVERGED_BITS else ": not converged"
        text += f"; finer steps would change it by {change:+.4f}{warning}"
    if (floor := likelihood.floor_bits_per_dim) is not None:
        gap, se = likelihood.gap_bits_per_dim, likelihood.gap_se
        text += f"; floor {written(floor)}, gap {written(gap)} ± {written(se)}"
    return {"bits/dim": text}


def error(reconstruction: Reconstruction) -> dict[str, str]:
    """Mean squared error of rebuilt images, with its unit."""
    text = with_kind(reconstruction.mse, "pixels in [0, 1]")
    return {"reconstruction MSE": NOT_MEASURED if reconstruction.n == 0 else text}


def with_kind(value: float | None, kind: str) -> str:
    """A number with its kind in brackets; n/a alone where there is none."""
    return written(value) if value is None else f"{written(value)} ({kind})"
