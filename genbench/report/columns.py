"""What stands in a column: its title, which way is better, and the protocol behind it."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from genbench.records.metric_name import SPREADS, is_detail, is_metric, parse, rank
from genbench.report.runs import Runs

__all__ = [
    "AXES",
    "CONVERGED_BITS",
    "COSTS",
    "KINDS",
    "LIKELIHOOD",
    "MEASURES",
    "Column",
    "all_names",
    "column",
    "metrics",
    "protocol",
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
KINDS = {
    "fid": ("FID", -1),
    "is": ("IS", 1),
    "kid": ("KID", -1),
    "fid_inf": ("FID∞", -1),
    "precision": ("precision", 1),
    "recall": ("recall", 1),
    "density": ("density", 1),
    "coverage": ("coverage", 1),
    "swd": ("SWD", -1),
    "fid_class": ("FID/class", -1),
    "fid_gap": ("FID gap", 0),
    "authenticity": ("authentic", 0),
    "fd_exact": ("exact FD", -1),
    "modes": ("modes", 1),
    "mode_tv": ("mode TV", -1),
    "off_law": ("off law", -1),
    "law_bits": ("law bits", 0),
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


def column(name: str, mark: int = 0) -> Column:
    """The column of a name; a metric's title says what is unusual of it: the raw weights, the test split."""
    if not is_metric(name):
        title, better = MEASURES.get(name, (name.replace("_", " ") if name in COSTS else name, 0))
        return Column(name, title, better, mark)
    kind, protocol, of = parse(name)
    title, better = KINDS.get(kind, (kind, 0))
    unusual = [*(["ref=test"] if "ref=test" in protocol.split(",") else []), *([of] if of != "ema" else [])]
    return Column(name, " ".join([title, *unusual]), better, mark)


def metrics(runs: Runs) -> list[str]:
    """All metrics that some run has, without what belongs to others as their spread, in their order."""
    names = {name for name in all_names(runs) if is_metric(name)}
    return sorted((name for name in names if not is_spread(name, names)), key=rank)


def all_names(runs: Runs) -> set[str]:
    """Every column that some run has."""
    return set().union(*runs.rows)


def is_spread(name: str, names: set[str]) -> bool:
    """Whether a metric is the spread or an end of the interval of another one."""
    kind, bracket, rest = name.partition("[")
    return any(f"{kind.removesuffix(end)}{bracket}{rest}" in names for end in SPREADS if kind.endswith(end))


def shown_metrics(names: Iterable[str]) -> list[str]:
    """Those that a table to be read has room for: of the EMA weights, against the training split."""
    return [
        name
        for name in names
        if parse(name).of == "ema" and "ref=test" not in parse(name).protocol and not is_detail(name)
    ]


def protocol(name: str) -> str:
    """Features and number of samples of a metric: digits-cnn-v1,n=359."""
    match = re.search(r"\[(.*?\bn=\d+)", name)
    return match[1] if match else parse(name).protocol
