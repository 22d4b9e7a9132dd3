"""Runs and tables -> CSV and JSON, with all digits."""

import csv
import io
import json
import math
import re
from collections.abc import Sequence
from contextlib import suppress

from genbench.records.files import plain
from genbench.records.metric_name import is_metric, rank
from genbench.records.titles import UNCONDITIONAL
from genbench.report.columns import AXES, COSTS, LIKELIHOOD, TARGET
from genbench.report.compare import Comparison
from genbench.report.data_frame import Cell, cells
from genbench.report.one_run import network_columns
from genbench.report.query import in_order, measure, order
from genbench.report.runs import Runs, without_reruns
from genbench.report.table import Line, Table
from genbench.runtime.printable import in_one_line

__all__ = ["csv_text", "json_text"]

FIRST = ("run", "group", "status", "seed", "model", "data", "conditioning", *AXES[1:])
FORMULA = re.compile(r"(?:^|(?<=;))(?=\s*[=+\-@\uff1d\uff0b\uff0d\uff20])")
"""The beginning of what spreadsheets compute: the start of a cell, or the place after a semicolon in it."""


def csv_text(found: Comparison) -> str:
    """Return CSV with one line a run, or one a row of the tables where the user says what a row is (--by).

    A missing value is n/a, text that a spreadsheet would compute begins with an apostrophe.
    """
    lines = records(found)
    file, names = io.StringIO(), dict.fromkeys(name for record in lines for name in record)
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(field, names))
    writer.writerows([field(record.get(name)) for name in names] for record in lines)
    return file.getvalue()


def json_text(found: Comparison) -> str:
    """Return a JSON list with one object a run or row, see `csv_text`; missing is null, nan is text."""
    return f"{json.dumps(plain(records(found)), indent=2, allow_nan=False)}\n"


def records(found: Comparison) -> list[dict[str, Cell]]:
    """Records of a comparison with all digits, in the order that the user asks for."""
    runs, query = found.runs, found.query
    if query.by:
        return [line_record(table, line) for table in found.tables for line in table.lines]
    if query.sort:
        col, down = order(runs, query.sort)
        runs = runs._replace(frame=runs.frame.iloc[in_order(cells(runs.frame, col.name), down=down)])
    return run_records(runs, [name for word in query.columns for name in measure(runs, word)])


def run_records(runs: Runs, only: Sequence[str]) -> list[dict[str, Cell]]:
    """One record a run: its name and choices, the settings in which runs differ, all measurements.

    only: the columns to keep beside the run's name, its seed and what its samples are conditioned on, if they
    are; by default all. `counted` says whether tables
    count a run, or another of the same configuration and seed in its place.
    """
    known = list(runs.frame.columns)
    metrics = sorted(filter(is_metric, known), key=rank)
    chosen = [name for name in (*runs.choices, *runs.settings) if not is_metric(name)]
    costs = [name for name in COSTS if name in known or name not in TARGET]
    names = [*FIRST, *chosen, *metrics, *LIKELIHOOD, "reconstruction_mse", *costs]
    told = [] if {*cells(runs.frame, "conditioning")} <= {None, UNCONDITIONAL} else ["conditioning"]
    names = ["run", "seed", *told, *only] if only else [*names, *sorted({*known} - {*names})]
    names = list(dict.fromkeys(names))
    rows = zip(*(cells(runs.frame, name) for name in names), strict=True)
    records = [dict(zip(names, row, strict=True)) for row in rows]
    if only:
        return records
    repeats = without_reruns(runs)[1]
    return [record | {"counted": record["run"] not in repeats} for record in records]


def line_record(table: Table, line: Line) -> dict[str, Cell]:
    """Record of one row of a table, with each number's mean under its name.

    Behind it stand `(std)` over seeds, `(low)` and `(high)` of one seed's interval, and `(n)` seeds; last,
    what is known of the networks behind the features.
    """
    record: dict[str, Cell] = {"data": table.data, "runs": len(line.runs)}
    record |= {name: table.constants[name] for name in ("conditioning",) if name in table.constants}
    for col, entry in zip(table.columns, line.entries, strict=True):
        record[col.name] = entry.value
        if x := entry.estimate:
            rest = {"std": x.std, "low": x.low, "high": x.high, "n": x.n}
            record |= {f"{col.name} ({key})": value for key, value in rest.items()}
    return record | network_columns(table.runs.networks)


def field(value: Cell) -> Cell:
    """A value as CSV has it: numbers as they are, text that no spreadsheet takes for a formula."""
    if not isinstance(value, str):
        return "n/a" if value is None else value
    with suppress(ValueError):  # text that is a number, such as -0.5, computes nothing
        if math.isfinite(float(value)):
            return value
    return FORMULA.sub("'", in_one_line(value))
