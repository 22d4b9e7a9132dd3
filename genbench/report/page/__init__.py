"""The HTML page of a comparison: its sections, its figures as SVG, its templates, and a server for it.

Reads the tables of `report` and the files of runs; matplotlib is imported only where figures are made.
"""

from genbench.report.page.write import html, write_folder

__all__ = ["html", "write_folder"]
