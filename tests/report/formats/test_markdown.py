"""Tables as Markdown that can be read as it is."""

from collections.abc import Callable
from pathlib import Path

from rich.cells import cell_len

from genbench.report import Query
from genbench.report.compare import compare
from genbench.report.formats.markdown import markdown

Write = Callable[..., Path]


def test_columns_stand_below_one_another_whatever_letters_a_name_has(tmp_path: Path, write: Write) -> None:
    for loss in ("l1", "a\x1b[2J\u202e b|*", "模型 e\u0301"):
        write(f"run{len(loss)}", choices={"model": "ddpm", "data": "digits", "loss": loss})
    rows = [line for line in markdown(compare(tmp_path, Query())).splitlines() if line.startswith("|")]
    assert len(rows) == 5
    assert "\\x1b" in "".join(rows)
    assert len({cell_len(row) for row in rows}) == 1
