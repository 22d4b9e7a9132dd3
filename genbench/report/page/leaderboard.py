"""The page of leaderboards: a table for each protocol, with the code and the files behind each row."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from genbench.records.metric_kinds import KINDS
from genbench.report.columns import column, leading
from genbench.report.conclusion import conclusion
from genbench.report.footnotes import notes
from genbench.report.numbers import written
from genbench.report.page.write import environment, styles
from genbench.report.protocol.file import Protocol
from genbench.report.protocol.leaderboard import Board
from genbench.report.row_names import row_names
from genbench.report.table import Line, differences
from genbench.runtime.printable import counted

__all__ = ["leaderboard_html", "rules"]

COMPARED = 8  # the most rows whose settings are listed side by side


class BoardRow(NamedTuple):
    """One row of a leaderboard, by its place, which gives its colour and symbol."""

    number: int
    name: str
    line: Line


def leaderboard_html(found: Sequence[Board], left_out: Mapping[str, str], *, title: str) -> str:
    """Return the page of some leaderboards as text, which loads nothing and in which every text is escaped.

    left_out: files that are no submissions -> the reason.
    """
    rows = sum(len(board.origins) for board in found)
    files = len({origin.file for board in found for origin in board.origins})
    page: dict[str, object] = {
        "title": title,
        "overview": f"{counted(files, 'submission')}, {counted(rows, 'row')}. Figures are those that the "
        "files state: a checksum shows that a file is whole, not that its numbers were measured.",
        "sections": [section(number, board) for number, board in enumerate(found)],
        "left_out": left_out,
    }
    return environment().get_template("leaderboard.html").render(page, **styles("page"))


def section(number: int, board: Board) -> dict[str, Any]:
    """Return what the page shows of one leaderboard."""
    table, first = board.table, leading(board.table.columns)
    lines = zip(row_names(table), table.lines, strict=True)
    return {
        "number": number,
        "title": f"{board.protocol.name}, version {board.protocol.version}",
        "rules": " ".join(filter(None, (rules(board.protocol), board.remark))),
        "table": table,
        "numeric": [any(isinstance(x.value, int | float) for x in places) for places in table.entries],
        "sorted_by": None if first is None else table.columns[first],
        "rows": [BoardRow(i, name, line) for i, (name, line) in enumerate(lines)],
        "conclusion": conclusion(table),
        "notes": notes(table, with_settings=True),
        "differences": [x for x in differences(table, COMPARED) if x[0] not in ("entry", "submission")],
        "origins": board.origins,
    }


def rules(protocol: Protocol) -> str:
    """Return a protocol in words: its data, its budget, its seeds, its first score, what it fixes and what it
    excludes, and the beginning of its hash.
    """
    unit, device = protocol.unit, protocol.budget.get("device")
    budget = f"{written(protocol.budget[unit])} {unit}{f' on {device}' if device else ''}"
    main = column(protocol.scores[0], KINDS)
    fixed = ", ".join(f"{key}={value}" for key, value in protocol.settings.items())
    words = [
        f"{protocol.data['name']}, {budget}, seeds {', '.join(map(str, protocol.seeds))}",
        f"ranked by {main.title} {main.arrow}",
        f"with {fixed}" if fixed else "",
        f"without {', '.join(protocol.excluded)} models" if protocol.excluded else "",
        f"sha256 {protocol.sha256[:12]}",
    ]
    return f"{'; '.join(filter(None, words))}."
