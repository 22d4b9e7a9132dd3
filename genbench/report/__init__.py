"""Result files -> tables, comparisons and the HTML report.

Reads records alone, imports no torch, and is imported by `app` and `cli` only.
"""

from genbench.report.frame import load
from genbench.report.markdown import frame_markdown, markdown
from genbench.report.runs import Runs, read
from genbench.report.table import Query, Table, tables
from genbench.report.terminal import print_quality, print_result

__all__ = [
    "Query",
    "Runs",
    "Table",
    "frame_markdown",
    "load",
    "markdown",
    "print_quality",
    "print_result",
    "read",
    "tables",
]
