"""One result on the terminal."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from genbench.records.metric_name import OF, MetricName, rank
from genbench.report.columns import CONVERGED_BITS
from genbench.report.noise import Estimate
from genbench.report.rounding import decimals, rounded
from genbench.report.runs import renamed
from genbench.report.written import spread, written

__all__ = ["print_quality", "print_result"]

NOT_MEASURED = "not measured"  # as asked for by metrics=likelihood or metrics=none
TITLES = {"ema": "EMA", "raw": "raw", "given": "given images", "test": "held-out test"}


def print_result(result: Mapping[str, Any], console: Console) -> None:
    """Print what a run is, how good (EMA, raw weights, real test images side by side), and what it cost."""
    axes = {**result["choices"], "seed": result["seed"]}
    console.print(pairs(f"{result['group']}/{result['run']}", axes))
    for table in qualities(result["metrics"], console):
        console.print(table)
    if not result["metrics"]:
        console.print(pairs("quality", {"scores": NOT_MEASURED}))
    real = {**bits(result["likelihood"]), **error(result.get("reconstruction", {}))}
    console.print(pairs("real test images", real))
    console.print(pairs("cost", result["cost"]))


def print_quality(record: Mapping[str, Any], console: Console) -> None:
    """Print what an evaluation found."""
    for table in qualities(record["metrics"], console):
        console.print(table)
    if record["likelihood"] is not None:
        console.print(pairs("real test images", bits(record["likelihood"])))


def pairs(title: str, values: Mapping[str, Any]) -> Table:
    """Keys and values, one a line."""
    # Text throughout: names hold brackets, which rich would take for markup.
    grid = Table(title=Text(title), show_header=False, title_justify="left", min_width=len(title))
    for key, value in values.items():
        grid.add_row(Text(key.replace("_", " ")), Text(shown(value)))
    return grid


def qualities(metrics: Mapping[str, float | None], console: Console) -> Iterator[Table]:
    """A table for each set of features and number of samples; where they are too wide, in more lines."""
    found: dict[str, list[MetricName]] = {}
    for name in values_of(metrics):
        found.setdefault(name.basis, []).append(name)
    for shared, names in found.items():
        wide = quality(metrics, shared, names, " ")
        fits = Measurement.get(console, console.options, wide).maximum < console.width
        yield wide if fits else quality(metrics, shared, names, "\n")


def quality(
    metrics: Mapping[str, float | None], shared: str, names: Sequence[MetricName], between: str
) -> Table:
    """One line a metric under one protocol, with its value on the images of each kind.

    shared: the features and the number of samples; names: the metrics, each once, whosever images.
    """
    title = f"quality: {shared.replace(',', ', ')}"
    grid = Table(title=Text(title), title_justify="left", min_width=len(title))
    grid.add_column("metric")
    there = {MetricName.parse(name).of for name in metrics}
    kinds = [of for of in OF if of in there]
    for of in kinds:
        grid.add_column(TITLES[of], justify="right")
    for name in names:
        title = " ".join(filter(None, (name.kind, ", ".join(name.details))))
        grid.add_row(Text(title), *(Text(with_spread(metrics, name.of_images(of), between)) for of in kinds))
    return grid


def values_of(metrics: Iterable[str]) -> list[MetricName]:
    """The metrics, each once whosever images were measured, without spreads and single classes."""
    names = map(MetricName.parse, sorted(metrics, key=rank))
    values = (name for name in names if not name.spread and name.setting("class") is None)
    return list(dict.fromkeys(name.of_images(OF[0]) for name in values))


def with_spread(metrics: Mapping[str, float | None], name: MetricName, between: str = " ") -> str:
    """A value with its 95 % interval over samples, or the spread that belongs to it, where it has one."""
    value = metrics.get(str(name))
    std, low, high = (metrics.get(str(name.beside(end))) for end in ("_std", "_low", "_high"))
    if not isinstance(value, int | float) or not math.isfinite(value):
        return shown(value)
    x = Estimate(float(value), None, 1, low, high) if low is not None else Estimate(float(value), std, 1)
    words = spread(x, decimals(x))
    return f"{rounded(value, decimals(x))}{between}{words}" if words else shown(value)


def bits(likelihood: Mapping[str, Any]) -> dict[str, str]:
    """Bits per dimension with their kind, the error of their solver, and what no model can go below."""
    if likelihood.get("n") == 0:
        return {"bits/dim": NOT_MEASURED}
    likelihood = renamed(likelihood)
    value, kind = likelihood["bits_per_dim"], (likelihood["bound"], likelihood.get("method"))
    text = with_kind(value, ", ".join(word for word in kind if word))
    if (change := likelihood.get("solver_error_bits")) is not None:
        warning = "" if abs(change) < CONVERGED_BITS else ": not converged"
        text += f"; finer steps would change it by {change:+.4f}{warning}"
    if (floor := likelihood.get("floor_bits_per_dim")) is not None:
        gap, error = likelihood["gap_bits_per_dim"], likelihood["gap_se"]
        text += f"; floor {shown(floor)}, gap {shown(gap)} ± {shown(error)}"
    return {"bits/dim": text}


def error(reconstruction: Mapping[str, Any]) -> dict[str, str]:
    """The error of rebuilt images."""
    if reconstruction.get("n") == 0:
        return {"reconstruction MSE": NOT_MEASURED}
    return {"reconstruction MSE": with_kind(reconstruction.get("mse"), "pixels in [0, 1]")}


def with_kind(value: float | None, kind: str) -> str:
    """A number with what kind it is, where there is one."""
    return shown(value) if value is None else f"{shown(value)} ({kind})"


def shown(value: object) -> str:
    """Numbers to four figures, all else as it is."""
    return written(value) if value is None or isinstance(value, int | float) else str(value)
