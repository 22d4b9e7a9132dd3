"""The one table of metric kinds: title, which way is better, what an interval covers; reports read no other.

The order is that of the columns. A score of another package declares kinds of its own; a run records those,
so that a report of it needs no code of theirs.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

__all__ = ["KINDS", "SPREADS", "Kind", "merged", "recorded_kinds", "to_record"]

SPREADS = ("_std", "_low", "_high", "_se")
"""Endings of the names that stand beside a value: its standard deviation over parts of the samples, the ends
of a 95 % interval over samples, and the standard error."""
Interval = Literal["samples", "samples and real images", "none"]
KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")
LONGEST_TITLE = 40
MOST = 100  # kinds that one record may bring


@dataclass(frozen=True)
class Kind:
    """One kind of number that samples are given, such as a distance; a score lists those that it computes.

    key: in metric names, `fid` of fid[digits-cnn-v1,n=359,ref=train,ema]. title: of its column, one short
    line. better: -1 where lower is, 1 where higher is, 0 where neither can be said, so that nothing is ranked
    by it. interval: over what its recorded 95 % interval is, where it has one; "none" of a share of
    real images, which other samples do not move at random. in_tables: False leaves it to CSV and JSON.
    Raises ValueError on anything else, for records of runs may come from anybody.
    """

    key: str
    title: str
    better: int = 0
    interval: Interval = "samples"
    in_tables: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.key, str) or not KEY.fullmatch(self.key) or self.key.endswith(SPREADS):
            raise ValueError(
                f"the metric kind {str(self.key)[:60]!r} is not 1 to 40 lower-case letters, digits "
                f"and underscores that begin with a letter and do not end in {', '.join(SPREADS)}"
            )
        if not isinstance(self.title, str) or not self.title.strip() or not self.title.isprintable():
            raise ValueError(f"the title of metric kind {self.key} is not one line of text")
        if len(self.title) > LONGEST_TITLE:
            raise ValueError(f"the title of metric kind {self.key} is longer than {LONGEST_TITLE} characters")
        if type(self.better) is not int or self.better not in (-1, 0, 1):
            raise ValueError(
                f"`better` of metric kind {self.key} is {str(self.better)[:20]}; choose from -1 (lower), "
                "1 (higher) and 0 (neither)"
            )
        if self.interval not in get_args(Interval) or not isinstance(self.in_tables, bool):
            raise ValueError(
                f"metric kind {self.key} must have an `interval` of {', '.join(get_args(Interval))}, and "
                "`in_tables` true or false"
            )


TABLE = (
    Kind("fid", "FID", -1),
    Kind("is", "IS", 1),
    Kind("kid", "KID", -1),
    Kind("precision", "precision (k-NN)", 1),
    Kind("recall", "recall", 1, interval="none"),
    Kind("density", "density (k-NN)", 1, in_tables=False),
    Kind("coverage", "coverage", 1, interval="none", in_tables=False),
    Kind("fid_inf", "FID∞", -1),
    Kind("swd", "SWD", -1),
    Kind("fid_class", "FID/class", -1),
    Kind("fid_gap", "FID gap", interval="samples and real images"),
    Kind("authenticity", "authentic"),
    Kind("nearest", "nearest"),
    Kind("nearest_ratio", "nearest_ratio", interval="samples and real images"),
    Kind("sharpness", "sharpness"),
    Kind("fd_exact", "exact FD", -1),
    Kind("modes", "modes", 1),
    Kind("mode_tv", "mode TV", -1),
    Kind("off_law", "off law", -1),
    Kind("law_bits", "law bits"),
    Kind("caption_accuracy", "captions right", 1),
    Kind("caption_seen", "seen captions right", 1),
    Kind("caption_held_out", "new captions right", 1),
    Kind("caption_objects", "objects right", 1, in_tables=False),
    Kind("caption_places", "places right", 1, in_tables=False),
    Kind("caption_sizes", "sizes right", 1, in_tables=False),
    Kind("clip_score", "CLIP score", 1),
    Kind("cas", "CAS", 1, interval="none"),
    Kind("cas_real", "CAS real", interval="none"),
    Kind("cmmd", "CMMD", -1),
    Kind("fld", "FLD", -1, interval="none"),
    Kind("fld_gap", "FLD gap", interval="none"),
    Kind("vendi", "Vendi"),
)
KINDS: Mapping[str, Kind] = {kind.key: kind for kind in TABLE}
"""The kinds of the scores that genbench ships, by key, in the order of the columns."""


def to_record(kinds: Iterable[Kind]) -> dict[str, dict[str, Any]]:
    """Return kinds that are not in the table as they stand in a result, by key; JSON values only."""
    found = {kind.key: asdict(kind) for kind in kinds if kind.key not in KINDS}
    return {
        key: {name: value for name, value in kind.items() if name != "key"} for key, kind in found.items()
    }


def recorded_kinds(record: Mapping[str, Any]) -> dict[str, Kind]:
    """Read the kinds that a result or an evaluation brings beside those of the table, by key.

    Nothing recorded changes a kind of the table. Raises ValueError where what is recorded is no kind.
    """
    found = record.get("kinds", {})
    if (
        not isinstance(found, dict)
        or len(found) > MOST
        or not all(isinstance(x, dict) for x in found.values())
    ):
        raise ValueError(f"kinds is not an object of at most {MOST} metric kinds")
    # What another version may record beside these is passed over, as in the rest of a result.
    fields = [name for name in Kind.__dataclass_fields__ if name != "key"]
    kinds = {
        key: Kind(key, **{"title": None} | {name: x[name] for name in fields if name in x})
        for key, x in found.items()
    }
    return {key: kind for key, kind in kinds.items() if key not in KINDS}


def merged(several: Iterable[Mapping[str, Kind]]) -> dict[str, Kind]:
    """Return the table with the kinds that runs recorded; one on which they disagree ranks nothing."""
    found = dict(KINDS)
    for kinds in several:
        for key, kind in kinds.items():
            # Whose title and direction would be right, no reader can know.
            found[key] = kind if found.get(key, kind) == kind else Kind(key, key, in_tables=kind.in_tables)
    return found
