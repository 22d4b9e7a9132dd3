"""A data frame of runs -> the comparison as Markdown, CSV or JSON."""

import csv
import io
import json
import re
from typing import TYPE_CHECKING

from genbench.report.names import is_detail, is_metric, rank
from genbench.run import plain

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["csv_text", "frame_markdown", "json_text", "markdown", "table"]

AXES = ("run", "model", "data", "schedule", "loss", "parameterization", "sampler")
COSTS = {  # after the metrics; with the titles that a reader sees
    "bits_per_dim": "bits/dim",
    "bound": "bound",
    "method": "bound by",
    "likelihood_n": "n of bits/dim",
    "reconstruction_mse": "reconstruction MSE",
    "parameters": "parameters",
    "images_seen": "images seen",
    "training_flops": "training FLOPs",
    "training_seconds": "training seconds",
    "images_per_second": "images/s",
    "passes_per_sample": "passes a sample",
    "seconds_per_image": "seconds an image",
    "device": "device",
}
MISSING = "n/a"


def table(runs: "pd.DataFrame") -> "pd.DataFrame":
    """The columns to compare, in their order: axes, one column a metric and protocol, likelihood, cost."""
    chosen = [*AXES, *varying(runs), "seed", *sorted(filter(is_metric, runs.columns), key=rank), *COSTS]
    return runs.assign(**{name: None for name in chosen if name not in runs})[chosen]


def varying(runs: "pd.DataFrame") -> list[str]:
    """The other choices in which runs that have one differ."""
    others = [axis for axis in runs.attrs.get("axes", []) if axis not in AXES and not is_metric(axis)]
    return [axis for axis in others if runs[axis].nunique() > 1]


def markdown(runs: "pd.DataFrame") -> str:
    """A Markdown table, without details, numbers to four figures."""
    shown = table(runs)
    shown = shown.loc[:, [not is_detail(name) for name in shown.columns]]
    return frame_markdown(shown.rename(columns=COSTS))


def frame_markdown(shown: "pd.DataFrame") -> str:
    """Any table as Markdown, numbers to four figures."""
    titles = [escape(str(name)) for name in shown.columns]
    rows = ([escape(written(value)) for value in row] for row in rows_of(shown))
    return "".join(f"| {' | '.join(row)} |\n" for row in (titles, ["---"] * len(titles), *rows))


def csv_text(runs: "pd.DataFrame") -> str:
    """CSV with all digits; a missing value is n/a."""
    shown, file = table(runs), io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(shown.columns)
    writer.writerows([MISSING if value is None else value for value in row] for row in rows_of(shown))
    return file.getvalue()


def json_text(runs: "pd.DataFrame") -> str:
    """A JSON list of objects, one a run; a missing value is null."""
    shown = table(runs)
    records = [dict(zip(shown.columns, row, strict=True)) for row in rows_of(shown)]
    return f"{json.dumps(plain(records), indent=2, allow_nan=False)}\n"


def rows_of(shown: "pd.DataFrame") -> list[list[str | float | None]]:
    """The rows as lists, as they were put in."""
    return shown.to_numpy(dtype=object).tolist()


def written(value: str | float | None) -> str:
    """A value as a reader wants it: 3.142, 12,346, n/a."""
    if value is None:
        return MISSING
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,d}"
    if 1e4 <= abs(value) < 1e15:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def escape(cell: str) -> str:
    """Text that stays in its cell: no bare pipe, line break or tag."""
    return re.sub(r"([\\|])", r"\\\1", " ".join(cell.split())).replace("<", "&lt;")
