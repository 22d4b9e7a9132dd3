"""The summary of a run for trackers, in short keys by which runs of all families are compared."""

from collections.abc import Mapping

from genbench.records.metric_name import MetricName, by_kind, is_metric, of_ema, rank
from genbench.records.result import Result

__all__ = ["TRAINING", "VALIDATION", "comparable", "on_the_way"]

TRAINING, VALIDATION = "training/", "validation/"
"""Begin the names of what is measured during a training: quick evaluations, and values on the validation
images."""


def comparable(result: Result) -> dict[str, float | str | None]:
    """Return the short keys of a result: family, data, protocol, fid, is, .., bits_per_dim, bound, costs.

    Distances and scores are those of the EMA weights against the training split; compare only runs of one
    `protocol` (features and number of samples). The bits also stand under bits_per_dim_exact, _lower or
    _estimate, since an exact number and a bound do not compare either; solver_error_bits is what finer steps
    of an integrated likelihood would add to them. Of a run that retained its best weights, their scores and
    bits stand under best_fid, .., best_bits_per_dim, and best_images_seen says when they were the best.
    """
    bits, bound = result.likelihood.bits_per_dim, result.likelihood.bound
    solver_error = result.likelihood.solver_error_bits
    return {
        "family": result.choices["model"],
        "data": result.choices["data"],
        "protocol": protocol(result.metrics),
        **of_ema(result.metrics),
        "bits_per_dim": bits,
        "bound": bound,
        **({} if bits is None else {f"bits_per_dim_{bound}": bits}),
        **({} if solver_error is None else {"solver_error_bits": solver_error}),
        "reconstruction_mse": result.reconstruction.mse,
        **result.cost.to_record(),
        **of_best(result),
    }


def of_best(result: Result) -> dict[str, float | None]:
    """Return the short keys of the best weights of a run, see `comparable`; none where it retained none."""
    if result.best.images_seen is None:
        return {}
    values = by_kind(result.metrics, "best") | {"bits_per_dim": result.best_likelihood.bits_per_dim}
    return {f"best_{name}": value for name, value in values.items()} | {
        "best_images_seen": result.best.images_seen
    }


def on_the_way(values: Mapping[str, float]) -> dict[str, float]:
    """Return the short keys of an evaluation during training: training/fid[..,ref=train,ema] -> training/fid,
    and of a validation likewise.

    They keep their prefix: the samples are fewer than those of the result, so the two do not compare.
    """
    found: dict[str, float] = {}
    for prefix in (TRAINING, VALIDATION):
        names = {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}
        short = of_ema({name: value for name, value in names.items() if is_metric(name)})
        found |= {f"{prefix}{kind}": value for kind, value in short.items()}
    return found


def protocol(metrics: Mapping[str, float | None]) -> str | None:
    """Features and number of samples of the first distance or score: digits-cnn-v1,n=359."""
    if not metrics:
        return None
    return MetricName.parse(min(metrics, key=rank)).basis
