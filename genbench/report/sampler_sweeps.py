"""Results of `genbench sampler-sweep` in the directories of runs, which may be anybody's files."""

import csv
import io
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from genbench.records.metric_name import is_metric
from genbench.records.untrusted_files import read_regular
from genbench.runtime.printable import in_one_line

__all__ = ["SCALE", "SamplerSweep", "Setting", "read_sweeps"]

SCALE = "guidance.scale"
TABLE = "table.csv"
PLACES = ("", "sampler_sweeps")
"""Folders of a run whose folders may be sweeps: its own, and the one that sweeps go to by default."""
BYTES, ROWS, COLUMNS, FOLDERS = 2**20, 500, 400, 100  # a sweep of today has some 20 kB
LONGEST = 60  # letters of a setting
COSTS = ("passes", "seconds_per_image")


class Setting(NamedTuple):
    """One row of a sweep: the settings that vary, as text, the network evaluations of a sample, and the
    scores by their full names, those that are finite numbers.
    """

    values: Mapping[str, str]
    passes: float
    scores: Mapping[str, float]

    @property
    def scale(self) -> float | None:
        """The scale of guidance, None where it does not vary."""
        return number(self.values[SCALE]) if SCALE in self.values else None


class SamplerSweep(NamedTuple):
    """One sweep of a run: the keys of the settings that vary, and a row for each combination."""

    varied: Sequence[str]
    settings: Sequence[Setting]


def read_sweeps(run: Path) -> tuple[list[SamplerSweep], list[str]]:
    """Read the sweeps in the directory of a run, and say of each that cannot be read why.

    A sweep is a folder with a table.csv, in the run itself or in its `sampler_sweeps`. Links that lead out of
    the run, large files and what is no table of a sweep are not read.
    """
    found, refused = list[SamplerSweep](), list[str]()
    for path in tables(run):
        try:
            found.append(parsed(read_regular(path, at_most=BYTES, inside=run)))
        except (OSError, ValueError, csv.Error) as error:
            why = in_one_line(str(error).removeprefix(f"{path} "))[:200]
            refused.append(f"{in_one_line(str(path.relative_to(run)))}: {why}")
    return found, refused


def tables(run: Path) -> Iterator[Path]:
    """Yield the files of a run that may be tables of sweeps, by name; of very many folders the first."""
    for place in PLACES:
        try:
            folders = sorted(entry.name for entry in os.scandir(run / place) if entry.is_dir())
        except OSError:  # most runs have no sweeps
            continue
        paths = (run / place / name / TABLE for name in folders[:FOLDERS])
        yield from (path for path in paths if os.path.lexists(path))


def parsed(content: bytes) -> SamplerSweep:
    """Read the table of a sweep: settings, then passes, seconds_per_image and scores. Raises ValueError where
    it is none, or has more rows or columns than a sweep has.
    """
    lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))
    if not lines or COSTS[0] not in lines[0]:
        raise ValueError(f"no table of a sweep: its first line has no column {COSTS[0]}")
    head, rows = lines[0], lines[1:]
    if len(head) > COLUMNS or len(rows) > ROWS or len({*head}) < len(head):
        raise ValueError(f"not a sweep of at most {ROWS} rows and {COLUMNS} columns, each of them once")
    varied = head[: head.index(COSTS[0])]
    settings = []
    for row in rows:
        if len(row) != len(head):
            raise ValueError(f"a row has {len(row)} places, the first line has {len(head)}")
        cells = dict(zip(head, row, strict=True))
        passes = number(cells[COSTS[0]])
        scores = {name: number(text) for name, text in cells.items() if is_metric(name)}
        known = {name: value for name, value in scores.items() if value is not None}
        values = {key: in_one_line(cells[key])[:LONGEST] for key in varied}
        if passes is None or passes < 0 or (SCALE in values and number(values[SCALE]) is None):
            raise ValueError("a row whose passes or guidance.scale is no number")
        settings.append(Setting(values, passes, known))
    return SamplerSweep([in_one_line(key)[:LONGEST] for key in varied], settings)


def number(text: str) -> float | None:
    """Return the finite number that a text is, None for all else, such as an empty place."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) < 1e100 else None
