"""The glossary has an entry for each number that tables, CSV and JSON can show, under its title there."""

import pytest

from genbench.records.metric_kinds import KINDS
from genbench.report.columns import COSTS, LIKELIHOOD, MEASURES, column
from tests.documents.pages import text_of

ENTRIES = dict(
    cells[:2]
    for line in text_of("docs/glossary.md").splitlines()
    if len(cells := [cell.strip() for cell in line.strip("| ").split(" | ")]) == 3
)


@pytest.mark.parametrize("key", dict.fromkeys([*KINDS, *LIKELIHOOD, *COSTS, *MEASURES]))
def test_every_number_of_a_table_has_an_entry_with_its_title(key: str) -> None:
    found = column(f"{key}[digits-cnn-v1,n=359,ref=train,ema]" if key in KINDS else key)
    assert ENTRIES.get(f"`{key}`") == f"{found.title} {found.arrow}".strip()
