"""One result on the terminal."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from genbench.report.names import OF, parse, rank
from genbench.report.table import written

__all__ = ["print_result"]

TITLES = {"ema": "EMA", "raw": "raw", "test": "held-out test"}


def print_result(result: Mapping[str, Any], console: Console) -> None:
    """Print what a run is, how good (EMA, raw weights, real test images side by side), and what it cost."""
    axes = {**result["choices"], "seed": result["seed"]}
    console.print(pairs(f"{result['group']}/{result['run']}", axes))
    if result["metrics"]:
        console.print(quality(result["metrics"]))
    real = {**bits(result["likelihood"]), **error(result.get("reconstruction", {}))}
    console.print(pairs("real test images", real))
    console.print(pairs("cost", result["cost"]))


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
    for of in OF:
        grid.add_column(TITLES[of], justify="right")
    for label in labels(metrics):
        grid.add_row(Text(f"{label}]"), *(Text(with_spread(metrics, label, of)) for of in OF))
    return grid


def labels(metrics: Iterable[str]) -> list[str]:
    """The metrics' names up to whose images were measured, each once, without the spreads."""
    means = [name for name in sorted(metrics, key=rank) if not parse(name).kind.endswith("_std")]
    return list(dict.fromkeys(name.rpartition(",")[0] for name in means))


def with_spread(metrics: Mapping[str, float | None], label: str, of: str) -> str:
    """A value with the spread that belongs to it, where it has one."""
    spread = metrics.get(f"{label.replace('[', '_std[', 1)},{of}]")
    value = shown(metrics.get(f"{label},{of}]"))
    return value if spread is None else f"{value} ± {shown(spread)}"


def bits(likelihood: Mapping[str, Any]) -> dict[str, str]:
    """Bits per dimension with the kind of number that it is."""
    value, kind = likelihood["bits_per_dim"], (likelihood["bound"], likelihood.get("method"))
    return {"bits/dim": with_kind(value, ", ".join(word for word in kind if word))}


def error(reconstruction: Mapping[str, Any]) -> dict[str, str]:
    """The error of rebuilt images."""
    return {"reconstruction MSE": with_kind(reconstruction.get("mse"), "pixels in [0, 1]")}


def with_kind(value: float | None, kind: str) -> str:
    """A number with what kind it is, where there is one."""
    return shown(value) if value is None else f"{shown(value)} ({kind})"


def shown(value: object) -> str:
    """Numbers to four figures, all else as it is."""
    return written(value) if value is None or isinstance(value, int | float) else str(value)
