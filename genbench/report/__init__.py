"""Result files -> tables; imports no torch."""

from genbench.report.load import load
from genbench.report.table import csv_text, json_text, markdown, table
from genbench.report.terminal import print_result

__all__ = ["csv_text", "json_text", "load", "markdown", "print_result", "table"]
