"""A comparison -> everything that the page shows of it, in the order in which it is read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genbench.report.columns import leading
from genbench.report.compare import Comparison
from genbench.report.conclusion import conclusion
from genbench.report.footnotes import notes
from genbench.report.matched import matched
from genbench.report.numbers import written
from genbench.report.page import figures, run_folder
from genbench.report.page.figures import ShownRow
from genbench.report.page.pictures import Pictures
from genbench.report.pivot import pivot_of
from genbench.report.row_names import row_names
from genbench.report.table import Table, differences

__all__ = ["section"]

COMPARED = 8  # the most rows whose settings are listed side by side


def section(number: int, table: Table, found: Comparison, pictures: Pictures) -> dict[str, Any]:
    """Collect what the page shows of one table of a comparison, from the table and from its runs' files.

    pictures: brings the pictures into the page, and records which files of the runs cannot be shown, and why.
    """
    # The run that is shown of a row is of the seed that all rows have, else its first.
    trained = [line for line in table.lines if not line.is_given] or table.lines
    shared = sorted(set.intersection(*(set(line.seeds) for line in trained)), key=str)
    shown = [
        line.cells("seed").index(shared[0]) if shared and shared[0] in line.seeds else 0
        for line in table.lines
    ]
    rows = [
        ShownRow(i, name, line, found.runs.paths[line.runs[place]])
        for i, (name, line, place) in enumerate(zip(row_names(table), table.lines, shown, strict=True))
    ]
    for row in rows:
        pictures.refused |= run_folder.unreadable_files(row.path)
    costs, first = figures.cost_panel(table, rows), leading(table.columns)
    return {
        "number": number,
        "table": table,
        # The columns that hold numbers; rows go by the first metric, unless the user named a column.
        "numeric": [any(isinstance(x.value, int | float) for x in places) for places in table.entries],
        "sorted_by": None if found.query.sort or first is None else table.columns[first],
        "rows": rows,
        "commands": [commands(row, found.runs.paths) for row in rows],
        "conclusion": conclusion(table),
        "notes": notes(table, with_settings=1 < len(table.lines) <= COMPARED),
        "pivot": pivot_of(table),
        "costs": costs,
        "matched": figures.matched_panels(matched(table, found.runs.paths)),
        "seconds": figures.seconds_panel(rows, table.runs.kinds),
        "training": figures.training_panel(rows, table.runs.kinds),
        "noise": figures.noise_panel(rows),
        "pictures": figures.pictures_by_kind(rows, pictures),
        "prompts": {row.number: run_folder.prompts(row.path) for row in rows[: figures.PICTURED]},
        "has_given": len(trained) < len(rows),
        "has_fronts": any("front-0" in figure.svg for figure in costs.figures),
        "pictures_note": figures.first_rows(len(rows), figures.PICTURED),
        # Different ones of the runs that are shown.
        "seeds": sorted(
            {
                written(row.line.cells("seed")[i])
                for row, i in zip(rows, shown, strict=True)
                if any(row.line is line for line in trained)
            }
        ),
        "differences": differences(table, COMPARED),
    }


def commands(shown: ShownRow, paths: Mapping[str, Path]) -> list[tuple[str, str | None, str, str]]:
    """Seed, command and versions of each run of a row, the shown one first, and the words that stand where
    there is no command; paths: of all runs.
    """
    found = list[tuple[str, str | None, str, str]]()
    for run, seed in zip(shown.line.runs, shown.line.cells("seed"), strict=True):
        path = paths[run]
        instead = "not recorded"
        if shown.line.is_given:
            instead = f"images of another tool: {shown.line.cells('given')[0]}"
        command = written(seed), run_folder.command(path), run_folder.made_by(path), instead
        found.insert(0 if path == shown.path else len(found), command)
    return found
