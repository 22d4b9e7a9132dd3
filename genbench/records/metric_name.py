"""Metric names as the reports read them: kind[protocol,of]."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

__all__ = ["OF", "SPREADS", "MetricName", "base", "is_detail", "is_metric", "of_ema", "parse", "rank"]

OF = ("ema", "raw", "given", "test")  # whose images were measured, in the order of the columns
# These kinds first, others after them by name.
MANIFOLD = ("precision", "recall", "density", "coverage")
KINDS = (
    "fid",
    "is",
    "kid",
    *MANIFOLD,
    "fid_inf",
    "swd",
    "fid_class",
    "fid_gap",
    "authenticity",
    "nearest",
    "fd_exact",
    "modes",
    "mode_tv",
    "off_law",
    "law_bits",
)
SPREADS = ("_std", "_low", "_high", "_se")
"""What stands beside a value: its spread over parts of the samples; the ends of a 95 % interval over samples,
and the standard error."""
PATTERN = re.compile(r"(?P<kind>[^\[\]]+)\[(?P<protocol>[^\[\]]+),(?P<of>ema|raw|given|test)\]")


class MetricName(NamedTuple):
    """fid[digits-cnn-v1,n=359,ref=train,ema]: fid · digits-cnn-v1,n=359,ref=train · ema."""

    kind: str
    protocol: str
    of: str


def is_metric(name: str) -> bool:
    """Whether a column holds a metric."""
    return PATTERN.fullmatch(name) is not None


def is_detail(name: str) -> bool:
    """Whether a column is left to CSV and JSON: ends of intervals, single classes; and of precision, recall,
    density and coverage, each against two splits, a table to be read has room for the first two of the EMA
    weights alone.
    """
    if not is_metric(name):
        return False
    kind, protocol, of = parse(name)
    if kind.endswith(SPREADS[1:]) or ",class=" in protocol:
        return True
    return kind in MANIFOLD and (kind not in ("precision", "recall") or of != "ema")


@lru_cache(maxsize=10_000)  # the same few names stand in each of many runs
def parse(name: str) -> MetricName:
    """The parts of a metric's name; ValueError where it does not say its protocol."""
    match = PATTERN.fullmatch(name)
    if match is None:
        raise ValueError(
            f"metric {name!r} does not state its protocol; a name is kind[...,of], of one of {OF},"
            " as in fid[digits-cnn-v1,n=359,ref=train,ema]"
        )
    return MetricName(**match.groupdict())


def of_ema(metrics: Mapping[str, float]) -> dict[str, float]:
    """What the EMA weights come to, by kind alone: of several values the first, against the training split.

    {"fid[digits-cnn-v1,n=359,ref=train,ema]": 1.2, ..} -> {"fid": 1.2, ..}; without values of single classes.
    """
    found: dict[str, float] = {}
    for name, value in metrics.items():
        kind, protocol, of = parse(name)
        if of == "ema" and ",class=" not in protocol:
            found.setdefault(kind, value)
    return found


def base(kind: str) -> str:
    """The kind that a spread belongs to, or the kind itself."""
    return next((kind.removesuffix(end) for end in SPREADS if kind.endswith(end)), kind)


def rank(name: str) -> tuple[int, str, str, int, int]:
    """Where a metric's column stands: by kind, protocol, then EMA, raw, test; its spreads follow a value."""
    kind, protocol, of = parse(name)
    value = base(kind)
    place = KINDS.index(value) if value in KINDS else len(KINDS)
    spread = kind.removeprefix(value)
    return place, value, protocol, OF.index(of), 1 + SPREADS.index(spread) if spread else 0
