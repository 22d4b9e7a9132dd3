"""Result files -> a data frame of runs -> tables, comparisons and the HTML page.

Reads records alone; imports no torch, and pandas only when runs are read. Only `app` and `cli` import it.
"""

from genbench.report.formats.markdown import frame_markdown
from genbench.report.formats.one_result import print_quality, print_result
from genbench.report.runs import load
from genbench.report.table import Query, Table

__all__ = ["Query", "Table", "frame_markdown", "load", "print_quality", "print_result"]
