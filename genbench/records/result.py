"""The final record of a run as a typed object: a session writes it, trackers, reports and commands read it.

Results of earlier versions and results that other people made are read too: a key that is missing is None or
empty, and a key that this version does not know is carried along.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any, TypeVar, get_type_hints

from genbench.records.feature_network import FeatureNetwork, recorded_networks
from genbench.records.feature_network import to_record as networks_record
from genbench.records.metric_kinds import KINDS, Kind, recorded_kinds, to_record
from genbench.records.metric_name import of_ema

__all__ = [
    "NOT_FINITE",
    "VERSION",
    "Best",
    "Cost",
    "Likelihood",
    "Part",
    "Reconstruction",
    "Result",
    "number",
    "section",
]

VERSION = 2
"""Of the record. 1, which says no version, has the same keys but for `version` and `kinds`."""
NOT_FINITE = ("nan", "inf", "-inf")  # in the place of numbers for which JSON has no word
WORDS = ("genbench", "group", "run", "status", "identity", "data_key")
EARLIER_KINDS: dict[tuple[str | None, str | None], tuple[str | None, str | None]] = {
    ("exact", "uniform dequantization"): ("lower", "one draw of uniform dequantization"),
    ("lower", "variational dequantization"): ("lower", "one draw of variational dequantization"),
}
"""Names of a flow's bound and method in results of earlier versions -> their names now."""
Section = TypeVar("Section", bound="Part")


# A report reads the same few classes a thousand times.
hints: Callable[[type], dict[str, Any]] = lru_cache(get_type_hints)


@dataclass(frozen=True)
class Part:
    """One section of a result: numbers and words by name, None for what was not measured or not recorded."""

    more: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    """Values under names that this version does not know, as another version recorded them."""

    @classmethod
    def of(cls: type[Section], found: Mapping[str, Any]) -> Section:
        """Read a section of a result.json. Raises ValueError where a number is none."""
        kinds = {name: kind for name, kind in hints(cls).items() if name != "more"}
        known = {name: found[name] for name in kinds if name in found}
        for name, value in known.items():
            known[name] = word(name, value) if kinds[name] == str | None else number(name, value)
        return cls(**known, more={name: found[name] for name in found if name not in kinds})

    def to_record(self) -> dict[str, Any]:
        """Return the section as result.json holds it; of what only some runs have, what this one has."""
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "more"}
        rare = {item.name for item in fields(self) if item.metadata.get("rare")}
        return {
            name: value for name, value in values.items() if value is not None or name not in rare
        } | dict(self.more)


def rare() -> Any:  # noqa: ANN401 (as dataclasses.field is typed)
    """A field that stands in the records of those runs alone that have it."""
    return field(default=None, metadata={"rare": True})


@dataclass(frozen=True)
class Likelihood(Part):
    """Bits per dimension of n held-out images and the kind of that number; n is 0 where none was asked for.

    bound: "exact", "lower" (of the likelihood, so the bits are too high) or "estimate". method: in words.
    solver_error_bits: what finer steps of an integrated likelihood would add, on solver_error_n images.
    floor_bits_per_dim, gap_bits_per_dim, gap_se: the entropy of data whose distribution is known, what the
    model needs above it, and that difference's standard error.
    """

    bits_per_dim: float | None = None
    bound: str | None = None
    method: str | None = None
    n: int | None = None
    solver_error_bits: float | None = rare()
    solver_error_n: int | None = rare()
    floor_bits_per_dim: float | None = rare()
    gap_bits_per_dim: float | None = rare()
    gap_se: float | None = rare()

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> "Likelihood":
        """Read a recorded likelihood, with the kind of its number under today's names, see EARLIER_KINDS."""
        read = super().of(found)
        bound, method = EARLIER_KINDS.get((read.bound, read.method), (read.bound, read.method))
        return replace(read, bound=bound, method=method)


@dataclass(frozen=True)
class Reconstruction(Part):
    """Mean squared error of n rebuilt held-out images, as bytes in [0, 1]; None for models without codes."""

    mse: float | None = None
    n: int | None = None


@dataclass(frozen=True)
class Cost(Part):
    """Device, time, memory and floating-point operations that a run took; None where nothing was sampled.

    flops_per_sample, passes_per_sample, seconds_per_image: of one sample, sampling_batch of them at a time.
    out_of_range: share of pixels that rounding to 8 bits clamped. fitting_seconds: of the training, what a
    phase that is fitted in closed form took. ended_early: the reason, in words, why the training ended before
    its budget. target: what budget.until ends the training at, in words; target_images_seen, target_seconds:
    of the training when the check came that found it reached, None where none did; target_value: what the
    last of its target_checks found; checking_seconds: of all of them, no part of the training's.
    start_images, start_seconds, start_flops: of the training of the run whose weights this one began with;
    training_seconds and training_flops include them, as do target_seconds and training_joules.
    training_joules, joules_per_sample: energy of the device in the time of the training and of
    seconds_per_image, where a counter could be read (of the training: in all of that time).
    """

    device: str | None = None
    parameters: int | None = None
    images_seen: int | None = None
    ended_early: str | None = rare()
    skipped_batches: int | None = rare()
    target: str | None = rare()
    target_images_seen: int | None = rare()
    target_seconds: float | None = rare()
    target_value: float | None = rare()
    target_checks: int | None = rare()
    checking_seconds: float | None = rare()
    start_images: int | None = rare()
    start_seconds: float | None = rare()
    start_flops: float | None = rare()
    training_flops: float | None = None
    flops_per_sample: float | None = None
    training_seconds: float | None = None
    fitting_seconds: float | None = None
    images_per_second: float | None = None
    passes_per_sample: float | None = None
    seconds_per_image: float | None = None
    sampling_batch: int | None = None
    out_of_range: float | None = None
    evaluation_seconds: float | None = None
    peak_memory_bytes: int | None = None
    training_joules: float | None = rare()
    joules_per_sample: float | None = rare()


@dataclass(frozen=True)
class Best(Part):
    """The checkpoint that was the best of a training on the validation split, where trainer.keep=best.

    images_seen: of the training up to it. by: what it was chosen by, `loss`, `bits_per_dim` or a kind of
    score. value: of that, on the validation split. Scores of its averaged weights stand among the metrics of
    the result, under names that end in `best`; their likelihood is `best_likelihood`.
    """

    images_seen: int | None = rare()
    by: str | None = rare()
    value: float | None = rare()


@dataclass(frozen=True)
class Result:
    """All that a finished run leaves for comparisons: what it is, how good, and what it cost.

    genbench: the version of the package. group, run: its place below runs_dir. identity: the hash of its
    configuration, data_key that of its images. choices: the option chosen in each group. metrics: values by
    their full names, see `MetricName`; kinds: of those that genbench does not ship, see `recorded_kinds`.
    samples: paths of pictures within the run. noise: alpha_bar over t, of models that have it. version: of
    this record. feature_networks: what the scores were taken by, by the protocol of its features. best,
    best_likelihood: of the weights that were the best on the validation split, where they were retained.
    """

    genbench: str | None = None
    group: str | None = None
    run: str | None = None
    status: str | None = None
    identity: str | None = None
    data_key: str | None = None
    choices: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    likelihood: Likelihood = field(default_factory=Likelihood)
    reconstruction: Reconstruction = field(default_factory=Reconstruction)
    cost: Cost = field(default_factory=Cost)
    samples: Mapping[str, str] = field(default_factory=dict)
    noise: Mapping[str, Any] = field(default_factory=dict)
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    feature_networks: Mapping[str, FeatureNetwork] = field(default_factory=dict)
    best: Best = field(default_factory=Best)
    best_likelihood: Likelihood = field(default_factory=Likelihood)
    version: int = VERSION

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Result":
        """Read the content of a result.json of this version or an earlier one; missing keys are empty.

        Raises ValueError where a section is not an object, or a number is none.
        """
        words = {name: word(name, record.get(name)) for name in WORDS}
        values = section(record, "metrics")
        return cls(
            **words,
            choices=section(record, "choices"),
            seed=number("seed", record.get("seed")),
            config=section(record, "config"),
            metrics={name: number(name, value) for name, value in values.items()},
            likelihood=Likelihood.of(section(record, "likelihood")),
            reconstruction=Reconstruction.of(section(record, "reconstruction")),
            cost=Cost.of(section(record, "cost")),
            samples=record.get("samples", {}),
            noise=record.get("noise", {}),
            kinds=recorded_kinds(record),
            feature_networks=recorded_networks(record),
            best=Best.of(section(record, "best")),
            best_likelihood=Likelihood.of(section(record, "best_likelihood")),
            version=number("version", record.get("version", 1)),
        )

    def value(self, key: str) -> float:
        """Return the number of the EMA weights of a kind of score, "fid" say, or "bits_per_dim"; nan where it
        was not measured.
        """
        values = {**of_ema(self.metrics), "bits_per_dim": self.likelihood.bits_per_dim}
        return math.nan if (found := values.get(key)) is None else float(found)

    def better(self, key: str) -> int:
        """Return -1 where lower values of a kind of number are better, 1 where higher are, 0 for neither."""
        kind = {**KINDS, **self.kinds}.get(key)
        return -1 if kind is None else kind.better

    def to_record(self) -> dict[str, Any]:
        """Return the result as plain data, as result.json holds it; `kinds`, `feature_networks` and what the
        best weights have only where there are some.
        """
        found = {item.name: getattr(self, item.name) for item in fields(self)}
        sections = {name: part.to_record() for name, part in found.items() if isinstance(part, Part)}
        rare = {
            "kinds": to_record(self.kinds.values()),
            "feature_networks": networks_record(self.feature_networks),
            "best": self.best.to_record(),
            "best_likelihood": self.best_likelihood.to_record() if self.best.to_record() else {},
        }
        return {name: value for name, value in (found | sections | rare).items() if value or name not in rare}


def section(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    """One object of a record, empty where it has none. Raises ValueError where another thing stands there."""
    value = record.get(name, {})
    if not isinstance(value, dict):
        raise ValueError(f"{name} holds a {type(value).__name__}, not an object")
    return value


def number(name: str, value: Any) -> Any:  # noqa: ANN401
    """A recorded number or None; a float for the words nan, inf and -inf. Raises ValueError on all else."""
    if isinstance(value, str) and value in NOT_FINITE:
        return float(value)
    if isinstance(value, bool) or not (value is None or isinstance(value, int | float)):
        raise ValueError(f"{name} is {str(value)[:40]!r}, not a number")
    return value


def word(name: str, value: Any) -> Any:  # noqa: ANN401
    """A recorded text or None. Raises ValueError on all else."""
    if not (value is None or isinstance(value, str)):
        raise ValueError(f"{name} holds a {type(value).__name__}, not one value")
    return value
