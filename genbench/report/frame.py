"""The runs below a directory as one pandas data frame."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from genbench.report.runs import Cell, read
from genbench.report.select import without_reruns
from genbench.runtime.printable import in_one_line

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load"]


def load(runs_dir: str | Path) -> "pd.DataFrame":
    """Every finished run below a directory, one row a run, as a data frame.

    Columns: `run` (its path below runs_dir), `group`, `status`, `seed`, `identity`, `budget`; the option
    chosen in each group (`model`, `schedule`, ..); each setting in which runs differ, under its key
    (`sampler.steps`); each metric under its full name, with `_std`, `_se`, `_low`, `_high` where they were
    recorded; `bits_per_dim`, its `bound`, `method` and `likelihood_n`; `reconstruction_mse`; each cost.
    Numbers are numbers and missing ones nan; other columns hold Python objects, None where there is none.
    `counted` is False of a run that the tables leave out, since another of the same configuration and seed
    stands for it. `attrs`: "choices" and "settings" name those columns, "left_out" says which runs are
    missing, and why, as a warning does.
    Raises FileNotFoundError where there is no such directory, or no result in it.
    """
    import pandas as pd

    runs = read(runs_dir)
    for run, why in runs.left_out.items():
        warnings.warn(in_one_line(f"{run} is left out: {why}"), stacklevel=2)
    for run, lines in runs.passed_over.items():
        warnings.warn(in_one_line(f"{run}: passed over what cannot be read: {lines}"), stacklevel=2)
    columns = dict.fromkeys(name for row in runs.rows for name in row)
    frame = pd.DataFrame({name: series([row.get(name) for row in runs.rows]) for name in columns})
    frame["counted"] = ~frame["run"].isin([*without_reruns(runs)[1]])
    frame.attrs |= {"choices": runs.choices, "settings": runs.settings, "left_out": runs.left_out}
    return frame


def series(values: list[Cell]) -> "pd.Series":
    """A column of a data frame."""
    import pandas as pd

    kinds = {type(value) for value in values}
    if (float in kinds and kinds <= {int, float, type(None)}) or kinds == {int, type(None)}:
        return pd.Series(values, dtype=float)
    return pd.Series(values, dtype=None if len(kinds) == 1 else object)
