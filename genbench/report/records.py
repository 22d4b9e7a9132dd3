"""Runs and tables -> CSV and JSON, with all digits."""

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from genbench.records.files import plain
from genbench.records.metric_name import is_metric, rank
from genbench.report.columns import AXES, COSTS, LIKELIHOOD, all_names
from genbench.report.runs import Cell, Runs
from genbench.report.select import without_reruns
from genbench.report.table import Entry, Table
from genbench.report.written import MISSING
from genbench.runtime.printable import in_one_line

__all__ = ["csv_text", "json_text", "row_records", "run_records"]

FIRST = ("run", "group", "status", "seed", "model", "data", *AXES[1:])
Record = Mapping[str, Cell]
FORMULA = re.compile(r"(?:^|(?<=;))(?=\s*[=+\-@\uff1d\uff0b\uff0d\uff20])")
"""Where a cell begins that spreadsheets compute: at its start, and after a semicolon, at which some split."""


def run_records(runs: Runs, only: Sequence[str] = ()) -> list[dict[str, Cell]]:
    """One record a run: who it is, its choices, the settings in which runs differ, all that was measured.

    only: the columns to keep beside the run's name and seed, by default all. `counted` says whether tables
    count a run, or another of the same configuration and seed in its place.
    """
    metrics = sorted(filter(is_metric, all_names(runs)), key=rank)
    chosen = [name for name in (*runs.choices, *runs.settings) if not is_metric(name)]
    names = [*FIRST, *chosen, *metrics, *LIKELIHOOD, "reconstruction_mse", *COSTS]
    rest = sorted(all_names(runs) - {*names})
    if only:
        return [{name: row.get(name) for name in dict.fromkeys(["run", "seed", *only])} for row in runs.rows]
    repeats = without_reruns(runs)[1]
    return [
        {name: row.get(name) for name in dict.fromkeys([*names, *rest])}
        | {"counted": row["run"] not in repeats}
        for row in runs.rows
    ]


def row_records(tables: Iterable[Table]) -> list[dict[str, Cell]]:
    """One record a row of the tables: each number's mean under its name, with `(std)` over seeds,
    `(low)` and `(high)` of one seed's interval, and `(n)` seeds behind it."""
    return [
        {"data": table.title, "runs": len(line.runs)}
        | {
            key: value
            for col, entry in zip(table.columns, line.entries, strict=True)
            for key, value in fields(col.name, entry).items()
        }
        for table in tables
        for line in table.lines
    ]


def fields(name: str, entry: Entry) -> dict[str, Cell]:
    """A place of the table as columns."""
    x = entry.estimate
    if x is None:
        return {name: entry.value}
    rest = {"std": x.std, "low": x.low, "high": x.high, "n": x.n}
    return {name: entry.value, **{f"{name} ({key})": value for key, value in rest.items()}}


def csv_text(records: Sequence[Record]) -> str:
    """CSV; a missing value is n/a, and text that a spreadsheet would compute begins with an apostrophe."""
    file, names = io.StringIO(), dict.fromkeys(name for record in records for name in record)
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(field, names))
    writer.writerows([field(record.get(name)) for name in names] for record in records)
    return file.getvalue()


def field(value: Cell) -> Any:  # noqa: ANN401
    """A value as CSV has it: numbers as they are, text that no spreadsheet takes for a formula."""
    if isinstance(value, str):
        return value if is_number(value) else FORMULA.sub("'", in_one_line(value))
    return MISSING if value is None else value


def is_number(text: str) -> bool:
    """True for text that is a number, such as -0.5, which computes nothing."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def json_text(records: Sequence[Record]) -> str:
    """A JSON list of objects; a missing value is null."""
    return f"{json.dumps(plain(records), indent=2, allow_nan=False)}\n"
