"""One result on the terminal."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from genbench.report.names import OF, SPREADS, base, parse, rank
from genbench.report.written import written

__all__ = ["print_quality", "print_result"]

NOT_MEASURED = "not measured"  # as asked for by metrics=likelihood or metrics=none
TITLES = {"ema": "EMA", "raw": "raw", "given": "given images", "test": "held-out test"}


def print_result(result: Mapping[str, Any], console: Console) -> None:
    """Print what a run is, how good (EMA, raw weights, real test images side by side), and what it cost."""
    axes = {**result["choices"], "seed": result["seed"]}
    console.print(pairs(f"{result['group']}/{result['run']}", axes))
    if result["metrics"]:
        console.print(quality(result["metrics"]))
    else:
        console.print(pairs("quality", {"scores": NOT_MEASURED}))
    real = {**bits(result["likelihood"]), **error(result.get("reconstruction", {}))}
    console.print(pairs("real test images", real))
    console.print(pairs("cost", result["cost"]))


def print_quality(record: Mapping[str, Any], console: Console) -> None:
    """Print what an evaluation found."""
    if record["metrics"]:
        console.print(quality(record["metrics"]))
    if record["likelihood"] is not None:
        console.print(pairs("real test images", bits(record["likelihood"])))


def pairs(title: str, values: Mapping[str, Any]) -> Table:
    """Keys and values, one a line."""
    # Text throughout: names hold brackets, which rich would take for markup.
    grid = Table(title=Text(title), show_header=False, title_justify="left", min_width=len(title))
    for key, value in values.items():
        grid.add_row(Text(key.replace("_", " ")), Text(shown(value)))
    return grid


def quality(metrics: Mapping[str, float | None]) -> Table:
    """One line a metric and protocol, with its value on the images of each kind."""
    grid = Table(title=Text("quality"), title_justify="left")
    grid.add_column("metric", overflow="fold")
    there = {parse(name).of for name in metrics}
    kinds = [of for of in OF if of in there]
    for of in kinds:
        grid.add_column(TITLES[of], justify="right")
    for label in labels(metrics):
        grid.add_row(Text(f"{label}]"), *(Text(with_spread(metrics, label, of)) for of in kinds))
    return grid


def labels(metrics: Iterable[str]) -> list[str]:
    """The metrics' names up to whose images were measured, each once, without spreads and single classes."""
    parsed = [(name, parse(name)) for name in sorted(metrics, key=rank)]
    values = [name for name, (kind, on, _) in parsed if base(kind) == kind and ",class=" not in on]
    return list(dict.fromkeys(name.rpartition(",")[0] for name in values))


def with_spread(metrics: Mapping[str, float | None], label: str, of: str) -> str:
    """A value with its 95 % interval over samples, or the spread that belongs to it, where it has one."""
    value = shown(metrics.get(f"{label},{of}]"))
    std, low, high = (metrics.get(f"{label.replace('[', f'{end}[', 1)},{of}]") for end in SPREADS[:3])
    if low is not None and high is not None:
        return f"{value} [{shown(low)}, {shown(high)}]"
    return value if std is None else f"{value} ± {shown(std)}"


def bits(likelihood: Mapping[str, Any]) -> dict[str, str]:
    """Bits per dimension with the kind of number that it is, and what no model can go below, if known."""
    if likelihood.get("n") == 0:
        return {"bits/dim": NOT_MEASURED}
    value, kind = likelihood["bits_per_dim"], (likelihood["bound"], likelihood.get("method"))
    text = with_kind(value, ", ".join(word for word in kind if word))
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
