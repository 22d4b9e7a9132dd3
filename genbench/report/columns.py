"""What stands in a column: its title, which way is better, and the protocol behind it."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from genbench.records.metric_kinds import KINDS, Kind
from genbench.records.metric_name import MetricName, is_metric, rank
from genbench.report.runs import Runs

__all__ = [
    "AXES",
    "CONVERGED_BITS",
    "COSTS",
    "LIKELIHOOD",
    "MEASURES",
    "Column",
    "all_names",
    "column",
    "metrics",
    "shown_metrics",
]

AXES = ("model", "process", "schedule", "loss", "parameterization", "sampler")  # in this order, before others
LIKELIHOOD = (
    "bits_per_dim",
    "solver_error_bits",
    "floor_bits_per_dim",
    "gap_bits_per_dim",
    "bound",
    "method",
    "likelihood_n",
    "solver_error_n",
)
CONVERGED_BITS = 0.005  # a dimension: what finer steps of an integrated likelihood may change
COSTS = (
    "parameters",
    "images_seen",
    "training_flops",
    "training_seconds",
    "images_per_second",
    "passes_per_sample",
    "flops_per_sample",
    "seconds_per_image",
    "peak_memory_bytes",
    "evaluation_seconds",
    "out_of_range",
    "sampling_batch",
    "device",
)
MEASURES = {  # the columns of a table to be read that are no metrics: title, and which way is better
    "bits_per_dim": ("bits/dim", -1),
    "solver_error_bits": ("solver error", 0),
    "floor_bits_per_dim": ("floor", 0),
    "gap_bits_per_dim": ("gap", 0),
    "reconstruction_mse": ("rec. MSE", -1),
    "parameters": ("params", 0),
    "images_seen": ("images", 0),
    "training_seconds": ("train s", 0),
    "passes_per_sample": ("passes", 0),
    "seconds_per_image": ("s/sample", 0),
    "training_flops": ("train FLOPs", 0),
    "device": ("device", 0),
    "group": ("name", 0),
}


class Column(NamedTuple):
    """A column of a table to be read."""

    name: str
    """In the rows; of a metric its full name."""
    title: str
    better: int = 0
    """-1: lower is better, 1: higher is, 0: neither is said."""
    mark: int = 0
    """Number of the foot-note that holds its protocol, 0 for none."""

    @property
    def arrow(self) -> str:
        """Which way is better."""
        return {-1: "↓", 0: "", 1: "↑"}[self.better]


def column(name: str, kinds: Mapping[str, Kind] = KINDS, mark: int = 0) -> Column:
    """The column of a name; a metric's title says what is unusual of it: the raw weights, the test split."""
    if not is_metric(name):
        title, better = MEASURES.get(name, (name.replace("_", " ") if name in COSTS else name, 0))
        return Column(name, title, better, mark)
    metric = MetricName.parse(name)
    kind = kinds.get(metric.kind)
    title, better = (metric.kind, 0) if kind is None else (kind.title, kind.better)
    against = "ref=test" if metric.ref == "test" else ""
    of = metric.of if metric.of != "ema" else ""
    return Column(name, " ".join(filter(None, (title, against, of))), better, mark)


def metrics(runs: Runs) -> list[str]:
    """All metrics that some run has, without what belongs to others as their spread, in their order."""
    names = {name for name in all_names(runs) if is_metric(name)}
    return sorted((name for name in names if not is_spread(name, names)), key=rank)


def all_names(runs: Runs) -> set[str]:
    """Every column that some run has."""
    return set().union(*runs.rows)


def is_spread(name: str, names: set[str]) -> bool:
    """Whether a metric is the spread or an end of the interval of another one."""
    metric = MetricName.parse(name)
    return bool(metric.spread) and str(metric.beside("")) in names


def shown_metrics(names: Iterable[str], kinds: Mapping[str, Kind] = KINDS) -> list[str]:
    """Those that a table to be read has room for: of the EMA weights, against the training split."""
    parsed = ((name, MetricName.parse(name)) for name in names)
    return [
        name
        for name, metric in parsed
        if metric.of == "ema" and metric.ref != "test" and not metric.is_detail(kinds)
    ]
