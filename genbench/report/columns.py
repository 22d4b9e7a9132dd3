"""Columns of the tables: their titles, which way is better, and which of them have room."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from genbench.records.metric_kinds import KINDS, Kind
from genbench.records.metric_name import MetricName, is_metric

__all__ = [
    "AT_TARGET",
    "BEST",
    "MEASURES",
    "TARGET",
    "Column",
    "best_of",
    "column",
    "leading",
    "measured_metrics",
    "shown_metrics",
    "titled",
]

AXES = ("model", "process", "schedule", "loss", "parameterization", "sampler")  # in this order, before others
BITS = ("bits_per_dim", "solver_error_bits", "floor_bits_per_dim", "gap_bits_per_dim")
LIKELIHOOD = [*BITS, "bound", "method", "likelihood_n", "solver_error_n"]
BEST = ("best_images_seen", "best_by", "best_value", *(f"best_{name}" for name in LIKELIHOOD))
"""Columns of the weights that were the best on the validation split, beside their scores; see `records.Best`.
"""
CONVERGED_BITS = 0.005  # per dimension: what finer steps of an integrated likelihood may change
AT_TARGET = ("target_seconds", "target_images_seen")
"""Columns of a training with budget.until that have values once its target is reached."""
TARGET = ("target_seconds", "target_images_seen", "target_value", "target_checks", "checking_seconds")
SEEN = ("parameters", "images_seen", "training_flops")
TRAINING = (*SEEN, "training_seconds", "images_per_second", "training_joules", *TARGET)
SAMPLING = ("passes_per_sample", "flops_per_sample", "seconds_per_image", "joules_per_sample")
REST = ("peak_memory_bytes", "evaluation_seconds", "out_of_range", "sampling_batch", "device")
COSTS = [*TRAINING, *SAMPLING, *REST]
MEASURES = {  # title and better side of the columns that tables show beside the metrics, in their order
    "bits_per_dim": ("bits/dim", -1),
    "best_bits_per_dim": ("bits/dim best", -1),
    "passes_per_sample": ("NFE", 0),
    "seconds_per_image": ("s/sample", 0),
    "target_seconds": ("time to target", -1),
    "training_seconds": ("train s", 0),
    "joules_per_sample": ("J/sample", 0),
    "training_joules": ("train J", 0),
    "parameters": ("params", 0),
    "images_seen": ("images", 0),
    "floor_bits_per_dim": ("floor", 0),
    "gap_bits_per_dim": ("gap", 0),
    "solver_error_bits": ("solver error", 0),
    "reconstruction_mse": ("rec. MSE", -1),
    "device": ("device", 0),
}
FIRST = ("fid", "is")  # kinds of metrics before all of these; the others follow what each row has
MAIN = (
    "bits_per_dim",
    "best_bits_per_dim",
    "passes_per_sample",
    "seconds_per_image",
    "target_seconds",
    "training_seconds",
    "joules_per_sample",
    "training_joules",
    "parameters",
    "images_seen",
)
TITLES = {
    "training_flops": "train FLOPs",
    "group": "name",
    "precision": "precision (option)",
    "density": "density (option)",
}  # of columns that only those see who ask for them
EARLIER_TITLES = {"passes_per_sample": "passes"}
LONG_TITLES = {  # of costs where there is more room than in a table, others go by their names
    "passes_per_sample": "network evaluations per sample (NFE)",
    "out_of_range": "share of pixels clipped",
}


class Column(NamedTuple):
    """A column of a table for readers."""

    name: str  # its name in the data frame; of a metric its full name
    title: str
    better: int = 0  # -1: lower is better, 1: higher is better, 0: neither
    mark: int = 0  # number of the footnote that holds its protocol, 0 for none
    is_weak: bool = False  # if the classifier behind its features is, see `FeatureNetwork`

    @property
    def arrow(self) -> str:
        """Arrow to the better side, empty where there is none."""
        return {-1: "↓", 0: "", 1: "↑"}[self.better]

    @property
    def is_of_best(self) -> bool:
        """True for a number of weights that validation chose, which no row is ranked by: the ordinary number
        of a run is that of its last checkpoint.
        """
        return self.name in BEST or (is_metric(self.name) and MetricName.parse(self.name).of == "best")


def column(name: str, kinds: Mapping[str, Kind] = KINDS, mark: int = 0) -> Column:
    """Return the column of a name; the title of a metric says what is unusual: raw weights, the test split.

    kinds: the kinds of scores, with those that runs recorded themselves; mark: see `Column`.
    """
    if not is_metric(name):
        own = name.replace("_", " ") if name in COSTS else name
        title, better = MEASURES.get(name, ({**LONG_TITLES, **TITLES}.get(name, own), 0))
        return Column(name, title, better, mark)
    metric = MetricName.parse(name)
    kind = kinds.get(metric.kind)
    title, better = (metric.kind, 0) if kind is None else (kind.title, kind.better)
    split = [f"ref={metric.ref}"] if metric.ref == "test" or metric.is_to_file else []
    weights = [metric.of] if metric.of != "ema" else []
    return Column(name, " ".join([title, *split, *weights]), better, mark)


def leading(columns: Sequence[Column]) -> int | None:
    """Return the place of the column by which rows are ranked: the time to a target, where runs had one, else
    the first with a better side; None where there is none.
    """
    found = [place for place, col in enumerate(columns) if col.better]
    return next((i for i in found if columns[i].name == "target_seconds"), next(iter(found), None))


def best_of(names: Iterable[str], there: Collection[str]) -> list[str]:
    """Return the names of some metrics of the EMA weights with that of the best ones behind each, of those
    that are `there`, the columns of a data frame.
    """
    pairs = ((name, str(MetricName.parse(name).of_images("best"))) for name in names)
    return [each for name, best in pairs for each in (name, best) if each == name or best in there]


def titled(title: str) -> list[str]:
    """Return the names of the columns that have a title in tables, or had it in those of earlier versions."""
    return [key for key in (*MEASURES, *TITLES) if title in (column(key).title, EARLIER_TITLES.get(key))]


def measured_metrics(names: Iterable[str]) -> list[str]:
    """Return the metrics among some columns in the order of tables, see `MetricName.rank`.

    Ends of intervals, standard errors and the like of a metric that is there are left out.
    """
    found = {name: MetricName.parse(name) for name in names if is_metric(name)}
    spreads = [name for name, metric in found.items() if metric.spread and str(metric.beside("")) in found]
    return sorted(found.keys() - {*spreads}, key=lambda name: found[name].rank)


def shown_metrics(names: Iterable[str], kinds: Mapping[str, Kind] = KINDS) -> list[str]:
    """Return those metrics for which a table has room: of the EMA weights, against the training split, not
    the test split or statistics of others.

    kinds: the kinds of scores; some of them stand in CSV and JSON alone, as single classes do.
    """
    found = {name: MetricName.parse(name) for name in names}
    return [
        name
        for name, metric in found.items()
        if metric.of == "ema"
        and metric.ref != "test"
        and not metric.is_to_file
        and not metric.is_detail(kinds)
    ]
