"""Names by which figures and sentences call the rows of a table."""

from collections import Counter

from genbench.report.numbers import written
from genbench.report.table import Table

__all__ = ["row_names"]

LATE = ("budget", "device", "seeds")  # columns that name a row only where no other one tells it apart


def row_names(table: Table) -> list[str]:
    """The choices that tell each row from the others: ddpm · cosine · l2.

    Budgets, then devices, then numbers of seeds are named where rows differ in nothing before them.
    """
    # A row's choices by the names of their columns; a number follows its column's title: optim.lr 0.001.
    texts = [
        {
            col.name: f"{'' if isinstance(entry.value, str) else f'{col.title} '}{written(entry.value)}"
            for entry, col in zip(line.entries, table.columns, strict=True)
            if entry.estimate is None and entry.value is not None
        }
        for line in table.lines
    ]
    names = [" · ".join(text for name, text in row.items() if name not in LATE) for row in texts]
    for late in LATE:
        own = [row.get(late, "") for row in texts]
        twins = Counter(name for name, _ in {*zip(names, own, strict=True)})
        named = zip(names, own, strict=True)
        names = [" · ".join(filter(None, (name, text if twins[name] > 1 else ""))) for name, text in named]
    return [name or line.runs[0] for name, line in zip(names, table.lines, strict=True)]
