"""Result files -> tables and the HTML report; imports no torch."""

from genbench.report.load import Runs, load, read
from genbench.report.markdown import frame_markdown, markdown
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
