"""Metric names, which hold all that makes two values comparable: fid[digits-cnn-v1,n=359,ref=train,ema].

The one writer (`str`) and the one reader (`MetricName.parse`); everything else reads fields.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeVar

from genbench.records.metric_kinds import KINDS, SPREADS, Kind

__all__ = ["OF", "SPREADS", "MetricName", "by_kind", "is_metric", "of_ema", "rank"]

OF = ("ema", "best", "raw", "given", "test")  # whose images were measured, in the order of the columns
PATTERN = re.compile(rf"(?P<kind>[^\[\]]+)\[(?P<inside>[^\[\]]+),(?P<of>{'|'.join(OF)})\]")
COUNT = re.compile(r"n=(0|[1-9][0-9]{0,17})")
OF_FILE = re.compile(r"[0-9a-f]{8}")
PLACES = {key: place for place, key in enumerate(KINDS)}
Number = TypeVar("Number", bound=float | None)


@dataclass(frozen=True)
class MetricName:
    """A metric with its protocol: kind[protocol,n=..,part,..,ref=..,of]; `str` writes it, `parse` reads it.

    kind: a key of the table of kinds, or one with the ending of an interval (fid_low). protocol: of the
    features, which may hold commas. n: how many images were measured. ref: what they are compared with, a
    split of the real images as a rule, or the first 8 hex digits of the sha256 of a file of statistics. of:
    whose images they are, one of `OF`: samples of the averaged weights at the end of a training (ema), of
    those of the best validation (best), of the last step's weights (raw), images from elsewhere (given) or
    real ones (test). part: further settings, such as k=5 or class=3. `n` and `ref` are None where the name
    has none. Raises ValueError on another `of`.
    """

    kind: str
    protocol: str
    n: int | None
    ref: str | None
    of: str
    part: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.of not in OF:
            raise ValueError(f"of is {self.of!r}; choose from {', '.join(OF)}")

    def __str__(self) -> str:
        return f"{self.kind}[{','.join((self.basis, *self.details, self.of))}]"

    @staticmethod
    @lru_cache(maxsize=10_000)  # the same few names stand in each of many runs
    def parse(text: str) -> "MetricName":
        """Read a name; str(parse(text)) == text. Raises ValueError where it does not state its protocol."""
        match = PATTERN.fullmatch(text)
        if match is None:
            raise ValueError(
                f"metric {text!r} does not state its protocol; a name is kind[...,of], of one of {OF},"
                " as in fid[digits-cnn-v1,n=359,ref=train,ema]"
            )
        # The protocol is never empty, so that its first part is not taken for a count or a reference.
        first, *rest = match["inside"].split(",")
        ref = rest.pop().removeprefix("ref=") if rest and rest[-1].startswith("ref=") else None
        place = next((i for i, item in enumerate(rest) if COUNT.fullmatch(item)), None)
        if place is None:  # written by nobody here, but legal: all of it is the protocol
            return MetricName(match["kind"], ",".join([first, *rest]), None, ref, match["of"])
        protocol, n = ",".join([first, *rest[:place]]), int(rest[place].removeprefix("n="))
        return MetricName(match["kind"], protocol, n, ref, match["of"], tuple(rest[place + 1 :]))

    @property
    def basis(self) -> str:
        """Features and number of images, on which values must agree to compare: digits-cnn-v1,n=359."""
        return self.protocol if self.n is None else f"{self.protocol},n={self.n}"

    @property
    def details(self) -> tuple[str, ...]:
        """Settings and reference, which stand between the basis and `of`: ("k=5", "ref=train")."""
        return self.part if self.ref is None else (*self.part, f"ref={self.ref}")

    @property
    def is_to_file(self) -> bool:
        """True where `ref` is a file of statistics that somebody gave, no split of the data."""
        return self.ref is not None and OF_FILE.fullmatch(self.ref) is not None

    def setting(self, key: str) -> str | None:
        """Look up a further setting: "10" for splits in is[..,splits=10,..]; None where it has none."""
        found = (part.partition("=") for part in self.part)
        return next((value for name, _, value in found if name == key), None)

    @property
    def spread(self) -> str:
        """The ending that marks an uncertainty of another value, one of `SPREADS`; "" of a value itself."""
        return next((end for end in SPREADS if self.kind.endswith(end)), "")

    @property
    def value_kind(self) -> str:
        """The kind of the value that an uncertainty belongs to: fid for fid_low, and for fid itself."""
        return self.kind.removesuffix(self.spread)

    def beside(self, spread: str) -> "MetricName":
        """The name of an uncertainty of the same value, by its ending ("_low"); "" gives the value itself."""
        return replace(self, kind=self.value_kind + spread)

    def of_images(self, of: str) -> "MetricName":
        """The same metric measured on other images, "test" say. Raises ValueError on what is not in `OF`."""
        return replace(self, of=of)

    def at(self, of: str, ref: str | None) -> "MetricName":
        """The same metric of other images, against another reference where it has one at all. Raises
        ValueError on what is not in `OF`.
        """
        return replace(self, of=of, ref=ref if self.ref is not None else None)

    def is_detail(self, kinds: Mapping[str, Kind] = KINDS) -> bool:
        """True for what only CSV and JSON show: ends of intervals, single classes, kinds not in tables."""
        kind = kinds.get(self.value_kind)
        is_listed = kind is None or kind.in_tables
        return self.spread in SPREADS[1:] or self.setting("class") is not None or not is_listed

    @property
    def rank(self) -> tuple[int, str, str, int, int]:
        """Sort key of columns: kind as in the table, protocol, EMA before raw and test; spreads last."""
        place = PLACES.get(self.value_kind, len(PLACES))  # kinds that are not in the table follow by name
        spread = 1 + SPREADS.index(self.spread) if self.spread else 0
        protocol = ",".join((self.basis, *self.details))
        return place, self.value_kind, protocol, OF.index(self.of), spread


def is_metric(text: str) -> bool:
    """True where a column's name is that of a metric with its protocol, which `MetricName.parse` reads."""
    return PATTERN.fullmatch(text) is not None


def rank(text: str) -> tuple[int, str, str, int, int]:
    """Sort key of metrics by their names as text, see `MetricName.rank`. Raises ValueError on others."""
    return MetricName.parse(text).rank


def by_kind(metrics: Mapping[str, Number], of: str) -> dict[str, Number]:
    """Return the scores of one set of weights by kind alone: of several the first, against the training
    split.

    {"fid[digits-cnn-v1,n=359,ref=train,ema]": 1.2, ..} -> {"fid": 1.2, ..}; without values of single classes.
    of: the weights, "ema" or "best".
    """
    found: dict[str, Number] = {}
    for text, value in metrics.items():
        name = MetricName.parse(text)
        if name.of == of and name.setting("class") is None:
            found.setdefault(name.kind, value)
    return found


def of_ema(metrics: Mapping[str, Number]) -> dict[str, Number]:
    """Return the scores of the averaged weights at the end of a training by kind alone, see `by_kind`."""
    return by_kind(metrics, "ema")
