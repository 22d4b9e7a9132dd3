"""Metric names as the reports read them: kind[protocol,of]."""

import re
from typing import NamedTuple

__all__ = ["OF", "MetricName", "is_detail", "is_metric", "parse", "rank"]

OF = ("ema", "raw", "test")  # whose images were measured, in the order of the columns
# These kinds first, others after them by name.
KINDS = ("fid", "is", "kid", "precision", "recall", "density", "coverage")
MANIFOLD = KINDS[3:]
PATTERN = re.compile(r"(?P<kind>[^\[\]]+)\[(?P<protocol>[^\[\]]+),(?P<of>ema|raw|test)\]")


class MetricName(NamedTuple):
    """fid[digits-cnn-v1,n=359,ref=train,ema]: fid · digits-cnn-v1,n=359,ref=train · ema."""

    kind: str
    protocol: str
    of: str


def is_metric(name: str) -> bool:
    """Whether a column holds a metric."""
    return PATTERN.fullmatch(name) is not None


def is_detail(name: str) -> bool:
    """Whether a column is left to CSV and JSON: of precision, recall, density and coverage, each against two
    splits, a table to be read has room for the first two of the EMA weights alone.
    """
    if not is_metric(name):
        return False
    kind, _, of = parse(name)
    return kind in MANIFOLD and (kind not in ("precision", "recall") or of != "ema")


def parse(name: str) -> MetricName:
    """The parts of a metric's name; ValueError where it does not say its protocol."""
    match = PATTERN.fullmatch(name)
    if match is None:
        raise ValueError(
            f"metric {name!r} does not state its protocol; a name is kind[...,of], of one of {OF},"
            " as in fid[digits-cnn-v1,n=359,ref=train,ema]"
        )
    return MetricName(**match.groupdict())


def rank(name: str) -> tuple[int, str, str, int, bool]:
    """Where a metric's column stands: by kind, protocol, then EMA, raw, test; a spread follows its mean."""
    kind, protocol, of = parse(name)
    base = kind.removesuffix("_std")
    place = KINDS.index(base) if base in KINDS else len(KINDS)
    return place, base, protocol, OF.index(of), kind != base
