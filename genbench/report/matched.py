"""Quality against diversity of guided and stepped models: a curve a model over the settings of its sampling,
from `genbench sampler-sweep`, ranked at equal diversity and at each one's best.

A single setting says little of such a model: guidance buys quality with diversity, and more steps buy quality
with time. Curves compare where they have the same diversity. See Kynkaanniemi et al. 2019, Sec. 4.1.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from genbench.records.metric_name import MetricName, is_metric
from genbench.report.columns import Column, column
from genbench.report.numbers import written
from genbench.report.row_names import row_names
from genbench.report.sampler_sweeps import SCALE, SamplerSweep, Setting, read_sweeps
from genbench.report.table import Line, Table
from genbench.report.table_cell import GUIDED

__all__ = ["MOST", "Curve", "Matched", "Place", "Ranked", "best", "common_level", "interpolated", "matched"]

DIVERSITY = ("recall", "coverage")
QUALITY = ("fid", "precision")
"""Kinds of scores on the axes, the first that is there of diversity, and each of quality that is."""
MOST = 16  # curves


class Place(NamedTuple):
    """One setting of a curve: its label, such as "scale 2", and its two scores. chosen_by: the quality of
    other samples against the validation images, None where it was not measured.
    """

    label: str
    diversity: float
    quality: float
    chosen_by: float | None = None


class Curve(NamedTuple):
    """The settings of one model in order. row: its number in the table; name: of the row, with what else
    tells this curve from others of it.
    """

    row: int
    name: str
    places: Sequence[Place]


class Ranked(NamedTuple):
    """One row of the comparison: quality at equal diversity, None with the reason where the curve does not
    tell, and the place of the best quality.
    """

    curve: Curve
    at_level: float | None
    reason: str
    best: Place


class Matched(NamedTuple):
    """The curves of one quality against one diversity, from best to worst."""

    quality: Column
    diversity: Column
    basis: str  # features and number of samples of both
    level: float | None  # the diversity at which all curves compare, None where there is none
    rows: Sequence[Ranked]
    notes: Sequence[str]

    @property
    def title(self) -> str:
        """The heading: FID ↓ against recall ↑."""
        return (
            f"{self.quality.title} {self.quality.arrow} against {self.diversity.title} {self.diversity.arrow}"
        )

    @property
    def heads(self) -> list[str]:
        """The heads of the columns of the table."""
        quality, diversity = self.quality.title, self.diversity.title
        at = f"equal {diversity}" if self.level is None else f"{diversity} {self.level:.3g}"
        return ["model", f"{quality} at {at}", f"best {quality}", f"its {diversity}", "at"]

    @property
    def are_numbers(self) -> list[bool]:
        """True of each column that holds numbers."""
        return [False, True, True, True, False]

    @property
    def texts(self) -> list[list[str]]:
        """The rows of the table as text."""
        return [
            [
                row.curve.name,
                "n/a" if row.at_level is None else f"{row.at_level:.3f}",
                f"{row.best.quality:.3f}",
                f"{row.best.diversity:.3f}",
                row.best.label,
            ]
            for row in self.rows
        ]


def matched(table: Table, paths: Mapping[str, Path]) -> list[Matched]:
    """Compare the sweeps of a table's runs: a comparison for each quality that two curves or more have beside
    a diversity, under one protocol; none where no run was swept. paths: the directories of the runs.
    """
    read = {run: read_sweeps(paths[run]) for line in table.lines for run in line.runs if run in paths}
    sweeps = {run: found for run, (found, _) in read.items() if found}
    if not sweeps:
        return []
    refused = [f"{run}/{why}" for run, (_, several) in read.items() for why in several]
    names = dict.fromkeys(
        name for found in sweeps.values() for sweep in found for x in sweep.settings for name in x.scores
    )
    result = list[Matched]()
    for quality, diversity in pairs(names):
        curves = list(curves_of(table, sweeps, quality, diversity))
        if len(curves) > 1:
            found = ranking(quality, diversity, curves[:MOST], table, refused)
            notes = [*found.notes, *left_out(len(curves) - MOST)]
            said = {note for earlier in result for note in earlier.notes}
            result.append(found._replace(notes=[note for note in notes if note not in said]))
    return result


def pairs(names: Sequence[str] | Mapping[str, None]) -> Iterator[tuple[MetricName, MetricName]]:
    """Yield the pairs of a quality and a diversity among some scores that share features, number of samples
    and reference, of the averaged weights.
    """
    found = [MetricName.parse(name) for name in names if is_metric(name)]
    own = [name for name in found if name.of == "ema" and name.ref == "train"]
    for kind in QUALITY:
        for quality in (name for name in own if name.kind == kind):
            beside = [name for key in DIVERSITY for name in own if name.kind == key]
            fitting = [name for name in beside if name.basis == quality.basis]
            if fitting:
                yield quality, fitting[0]


def curves_of(
    table: Table, sweeps: Mapping[str, Sequence[SamplerSweep]], quality: MetricName, diversity: MetricName
) -> Iterator[Curve]:
    """Yield the curves of all runs that were swept, and the result of each other row as a curve of one place,
    where it has both scores.
    """
    for number, (name, line) in enumerate(zip(row_names(table), table.lines, strict=True)):
        marked = f"{name} {GUIDED}" if line.is_guided else name
        swept = [run for run in line.runs if run in sweeps]
        several = len(swept) > 1
        for run in swept:
            seed = f", seed {written(line.cells('seed')[line.runs.index(run)])}" if several else ""
            for sweep in sweeps[run]:
                for more, places in parts_of(sweep, str(quality), str(diversity)):
                    yield Curve(number, f"{of_sweep(name, line, sweep)}{seed}{more}", places)
        if not swept and (place := own_place(line, str(quality), str(diversity))) is not None:
            yield Curve(number, marked, [place])


def of_sweep(name: str, line: Line, sweep: SamplerSweep) -> str:
    """Return the name of a row for a curve of one of its sweeps: without the row's own scale where scales
    vary, and with the mark of guided samples where they do or the row is guided.
    """
    is_scaled = SCALE in sweep.varied
    shown = re.sub(r"(guided \(\w{1,40}) [0-9.]{1,12}\)", r"\1)", name) if is_scaled else name
    return f"{shown} {GUIDED}" if is_scaled or line.is_guided else shown


def own_place(line: Line, quality: str, diversity: str) -> Place | None:
    """Return the result of the first run of a row that was not swept, None without both scores."""
    for x, y in zip(line.cells(diversity), line.cells(quality), strict=True):
        if isinstance(x, int | float) and isinstance(y, int | float) and x == x and y == y:
            return Place("its own setting", float(x), float(y))
    return None


def parts_of(sweep: SamplerSweep, quality: str, diversity: str) -> Iterator[tuple[str, list[Place]]]:
    """Yield the curves of one sweep with what tells them apart: along scales where these vary, else along
    network evaluations; one for each combination of the other settings.
    """
    scales = {x.scale for x in sweep.settings}
    along_scales = SCALE in sweep.varied and (len(scales) > 1 or len(sweep.varied) == 1)
    steps = [key for key in sweep.varied if key.endswith("steps")]
    others = [key for key in sweep.varied if key != SCALE and (along_scales or key not in steps)]
    if not along_scales and SCALE in sweep.varied:
        others.append(SCALE)
    validation = str(MetricName.parse(quality).at("ema", "validation"))
    groups: dict[tuple[str, ...], list[Setting]] = {}
    for setting in sweep.settings:
        if quality in setting.scores and diversity in setting.scores:
            groups.setdefault(tuple(setting.values[key] for key in others), []).append(setting)
    for values, found in groups.items():
        found.sort(key=lambda x: (x.scale or 0.0) if along_scales else x.passes)
        words = [f"{key.rpartition('.')[2]} {value}" for key, value in zip(others, values, strict=True)]
        places = [
            Place(
                f"scale {x.scale:g}" if along_scales else f"{x.passes:g} NFE",
                x.scores[diversity],
                x.scores[quality],
                x.scores.get(validation),
            )
            for x in found
        ]
        yield "".join(f", {word}" for word in words), places


def ranking(
    quality: MetricName, diversity: MetricName, curves: Sequence[Curve], table: Table, refused: Sequence[str]
) -> Matched:
    """Rank curves at the level that they share, then by their best, and say how to read that."""
    col, across = (column(str(name), table.runs.kinds) for name in (quality, diversity))
    moving = [curve for curve in curves if len({x.diversity for x in curve.places}) > 1]
    level, why = common_level(moving, across.title)
    rows = []
    for curve in curves:
        at_level = None if level is None else interpolated(curve.places, level, col.better)
        alike = "one setting alone" if len(curve.places) == 1 else f"all its settings have one {across.title}"
        reason = why if curve in moving else f"{alike}: it has no curve"
        rows.append(Ranked(curve, at_level, reason, best(curve.places, col.better)))
    rows.sort(
        key=lambda x: (
            x.at_level is None,
            -col.better * (x.best.quality if x.at_level is None else x.at_level),
        )
    )
    notes = [
        *level_notes(level, across.title, rows),
        best_note(curves),
        f"{GUIDED}: guided samples.",
        "Each curve is of one run: neither the training seeds nor the samples are tested.",
    ]
    if refused:
        notes.append(f"Sweeps that cannot be read: {'; '.join(refused[:3])}.")
    return Matched(col, across, quality.basis, level, rows, notes)


def left_out(n: int) -> list[str]:
    """Return the note on n curves beyond the largest number, none where there are no such."""
    return (
        [f"Beyond the first {MOST} curves {n} more are left out: choose runs by --filter."] if n > 0 else []
    )


def level_notes(level: float | None, diversity: str, rows: Sequence[Ranked]) -> list[str]:
    """Return the notes on how qualities at equal diversity were found, and on the rows that have none."""
    found = []
    if level is not None:
        found.append(
            f"At {diversity} {level:.3g}: on the straight line between the two settings around it, the "
            "better one where a curve passes there twice; nothing is extrapolated. That level is the "
            "middle of the range that all curves share."
        )
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.at_level is None:
            reasons.setdefault(row.reason, []).append(row.curve.name)
    return found + [f"n/a of {'; '.join(names)}: {why}." for why, names in reasons.items()]


def best_note(curves: Sequence[Curve]) -> str:
    """Return the note on how each one's best was picked, and what that flatters."""
    if all(x.chosen_by is not None for curve in curves for x in curve.places if len(curve.places) > 1):
        return (
            "Best: the setting was picked by other samples, against the validation images, and the number is "
            "of samples that did not pick it."
        )
    return (
        "Best: picked on the same samples that it is the score of, which flatters it, the more settings were "
        "tried the more; `genbench sampler-sweep RUN --validation` picks by other samples."
    )


def common_level(curves: Sequence[Curve], title: str) -> tuple[float | None, str]:
    """Return a diversity that lies inside the ranges of all curves, the middle of what they share, to two
    decimals where that is inside; or None with the reason why there is none. title: of the diversity.
    """
    if len(curves) < 2:
        return None, "fewer than two models have several settings"
    ranges = [
        (min(x.diversity for x in c.places), max(x.diversity for x in c.places), c.name) for c in curves
    ]
    low, high = max(ranges), min(ranges, key=lambda x: x[1])
    if low[0] > high[1]:
        return None, (
            f"no {title} that all have: {high[2]} ends at {high[1]:.3g}, {low[2]} begins at {low[0]:.3g}"
        )
    middle = (low[0] + high[1]) / 2
    rounded = round(middle, 2)
    return (rounded if low[0] <= rounded <= high[1] else middle), ""


def interpolated(places: Sequence[Place], level: float, better: int) -> float | None:
    """Return the quality of a curve at a diversity, on straight lines between neighbouring settings; the best
    where the curve has that diversity several times, None where it never has it. better: 1 for higher, -1.
    """
    found = [x.quality for x in places if x.diversity == level]
    for a, b in itertools.pairwise(places):
        if min(a.diversity, b.diversity) < level < max(a.diversity, b.diversity):
            share = (level - a.diversity) / (b.diversity - a.diversity)
            found.append(a.quality + share * (b.quality - a.quality))
    return max(found, key=lambda value: better * value, default=None)


def best(places: Sequence[Place], better: int) -> Place:
    """Return the place of the best quality, picked by other samples where all places have that."""
    if all(x.chosen_by is not None for x in places):
        return max(places, key=lambda x: better * (x.chosen_by or 0.0))
    return max(places, key=lambda x: better * x.quality)
